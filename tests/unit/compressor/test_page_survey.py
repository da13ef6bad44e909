"""The uncertainty that the page states for its measurements."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from compressor.deliver.survey import Survey, fitted_terms, monomials, survey_of
from geo.projected import Place, Projected
from splat.camera import Camera, look_at

PLACE = Place(47.36, 8.53, 512.0)
BY_GPS: dict[str, Any] = {
    "georeferenced": True, "source": "GPS", "rms_metres": 0.4, "vertical_rms_metres": 0.5,
    "heights": {"datum": "as by GPS"},
}  # fmt: skip
BY_POINTS: dict[str, Any] = {**BY_GPS, "source": "control points"}


def cameras() -> list[Camera]:
    grid = [(x, y, 30.0) for x in (-30, -10, 10, 30) for y in (-30, -10, 10, 30)]
    return [look_at(eye, (*eye[:2], 0), (0, 1, 0), width=800, height=600) for eye in grid]


def accuracy(count: int, *rms: float | None) -> dict[str, Any]:
    return {"count": count, "rms_metres": list(rms)}


def made(georeference: dict[str, Any], survey: dict[str, Any] | None, projected: Projected | None = None) -> Survey:
    return survey_of(cameras(), 30.0, georeference, survey, (0.0, 0.0, 0.0), projected, 100.0)


@pytest.mark.parametrize(("system", "reach"), [(None, 1000.0), (2056, 1000.0), (2263, 300.0)])
def test_the_pages_polynomial_is_the_projection_to_a_millimetre(system: int | None, reach: float) -> None:
    place = Place(40.7, -74.0, 20.0) if system == 2263 else PLACE  # a system in feet
    projected = Projected.about(place, system)
    offset = np.array([100.0, -50.0, 3.0])
    points = np.random.default_rng(0).uniform(-1, 1, (500, 3)) * (reach, reach, 0.2 * reach)
    found = monomials(points) @ fitted_terms(projected, offset, reach).T
    error = found - projected.from_enu(points + offset)
    assert np.abs(error[:, :2]).max() * projected.metres_per_unit < 1e-3
    assert np.abs(error[:, 2]).max() < 1e-3


def test_the_scale_is_as_sure_as_what_placed_the_scene() -> None:
    gps = {"gps": accuracy(16, 0.3, 0.3, 0.5), "control": None, "check": None}
    control = {**gps, "control": accuracy(6, 0.01, 0.01, 0.02)}
    by_gps, by_points = made(BY_GPS, gps).scale, made(BY_POINTS, control).scale
    spread = np.sqrt(2 * np.mean(np.square([-30, -10, 10, 30])))
    assert by_gps == pytest.approx(np.sqrt((0.09 + 0.09 + 0.25) / 3) / (4 * spread))
    assert by_points < by_gps / 10
    assert made(BY_GPS, None).scale == pytest.approx(0.4 / np.sqrt(2) / (4 * spread))  # without survey figures


def test_a_place_on_earth_is_as_sure_as_its_check_points_say() -> None:
    survey = {
        "gps": accuracy(16, 0.3, 0.3, 0.5), "control": accuracy(6, 0.01, 0.01, 0.02),
        "check": accuracy(4, 0.03, 0.04, 0.06),
    }  # fmt: skip
    checked = made(BY_POINTS, survey).absolute
    assert checked is not None
    assert checked.plan == pytest.approx(0.05)
    assert (checked.height, checked.by) == (0.06, "check points")
    fitted = made(BY_POINTS, {**survey, "check": None}).absolute
    assert fitted is not None
    assert "not checked" in fitted.by
    alone = made(BY_GPS, None).absolute
    assert alone is not None
    assert (alone.plan, alone.height) == (0.4, 0.5)
    assert "GPS" in alone.by


def test_the_page_names_system_and_datum_and_the_photos_resolution() -> None:
    found = made(BY_GPS, None, Projected.about(PLACE, 2056))
    assert found.gsd == pytest.approx(30.0 / cameras()[0].fx)
    assert found.system is not None
    assert found.system.name == "CH1903+ / LV95, EPSG:2056; heights: as by GPS"


def test_a_lone_splat_has_no_scale_and_no_place() -> None:
    found = survey_of([], None, {}, None, (0.0, 0.0, 0.0), None, 1.0)
    assert found == Survey()
    assert found.as_json(metric=False) == {
        "gsd": None, "scale": 0.0, "offset": (0.0, 0.0, 0.0), "absolute": None, "system": None, "control": (),
        "georeferenced": False, "unit": "units",
    }  # fmt: skip


def test_surveyed_points_are_in_the_splats_own_coordinates_and_older_ones_are_left_out() -> None:
    point = {"name": "A1", "position_metres": [110.0, -45.0, 7.5], "check": False, "used": True}
    older = {"name": "A2", "check": True, "used": False}
    offset = (100.0, -50.0, 3.0)
    georeference = {**BY_POINTS, "control_points": [point, older, {**point, "name": "A3_check", "check": True}]}
    found = survey_of(cameras(), 30.0, georeference, None, offset, None, 100.0).control
    assert [(each.name, each.check) for each in found] == [("A1", False), ("A3_check", True)]
    assert found[0].point == pytest.approx([10.0, 5.0, 4.5])
    assert made(BY_GPS, None).control == []
