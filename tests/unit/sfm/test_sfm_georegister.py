"""A model in any frame is transformed to metres, z up and north up; bad GPS is recognised."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from sfm.geodesy import LocalFrame
from sfm.georegister import Georegistration, PosedPhoto, georegister
from sfm.gimbal import Gimbal
from sfm.position import GeoPosition
from sfm.remarks import place_warnings

TRUTH = LocalFrame(46.84, -91.99, 150.0)
NADIR = np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]])


def geo(enu: np.ndarray) -> GeoPosition:
    """Inverse of LocalFrame.to_enu near its origin, by Newton steps."""
    position = np.array([TRUTH.latitude, TRUTH.longitude, TRUTH.altitude])
    metres_per_unit = np.array([np.cos(np.deg2rad(TRUTH.latitude)) * 111_320, 111_150, 1.0])
    for _ in range(20):
        error = enu - TRUTH.to_enu(GeoPosition(*position))
        position += (error / metres_per_unit)[[1, 0, 2]]
    return GeoPosition(*position)


class Scene:
    """A nadir flight over flat ground, seen in a random model frame."""

    def __init__(self, seed: int = 0, gimbals: bool = False) -> None:
        rng = np.random.default_rng(seed)
        grid = np.array([[x, y, 50.0] for x in np.linspace(-60, 60, 5) for y in np.linspace(-40, 40, 4)])
        self.centres = grid + rng.normal(0, 1.0, grid.shape)
        self.points = np.column_stack([rng.uniform(-80, 80, (300, 2)), rng.normal(0, 0.5, 300)])
        self.spin = Rotation.random(rng=rng).as_matrix()
        self.scale, self.shift = 0.07, rng.normal(size=3)
        self.gps = self.centres + rng.normal(0, 0.2, grid.shape)
        self.gimbals = gimbals

    def to_model(self, world: np.ndarray) -> np.ndarray:
        moved: np.ndarray = self.scale * world @ self.spin.T + self.shift
        return moved

    def photos(self) -> list[PosedPhoto]:
        gimbal = Gimbal(-90.0, 0.0) if self.gimbals else None
        return [
            PosedPhoto(f"{i:06d}.jpg", NADIR @ self.spin.T, self.to_model(centre), geo(gps), gimbal)
            for i, (centre, gps) in enumerate(zip(self.centres, self.gps, strict=True))
        ]

    def register(self, photos: list[PosedPhoto] | None = None) -> Georegistration:
        return georegister(photos or self.photos(), self.to_model(self.points))


def placed(result: Georegistration, points: np.ndarray) -> np.ndarray:
    return result.scale * points @ result.rotation.T + result.translation


def truth_in(result: Georegistration, world: np.ndarray) -> np.ndarray:
    """True ENU coordinates relative to the result's own origin."""
    assert result.origin is not None
    return np.array([result.origin.to_enu(geo(row)) for row in world])


@pytest.mark.parametrize("gimbals", [True, False])
def test_the_model_lands_where_it_was_taken(gimbals: bool) -> None:
    scene = Scene(gimbals=gimbals)
    result = scene.register()
    assert result.up_source == ("gimbal" if gimbals else "cameras")
    np.testing.assert_allclose(placed(result, scene.to_model(scene.centres)), truth_in(result, scene.centres), atol=0.4)
    ground = placed(result, scene.to_model(scene.points))
    assert np.median(ground[:, 2]) == pytest.approx(0, abs=1e-9)
    assert result.rms_metres == pytest.approx(0.28, abs=0.1)
    assert result.vertical_rms_metres == pytest.approx(0.2, abs=0.1)
    assert result.outliers == []
    np.testing.assert_allclose(result.rotation @ result.rotation.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(result.rotation) == pytest.approx(1)


def test_an_altitude_offset_or_a_broken_altimeter_tilts_less_than_the_gimbals_own_doubt() -> None:
    for altitudes in (np.full(20, 100.0), np.random.default_rng(1).normal(0, 40, 20), np.linspace(-60, 60, 20)):
        scene = Scene(gimbals=True)
        scene.gps[:, 2] += altitudes
        up = scene.register().rotation @ scene.spin @ np.array([0, 0, 1.0])
        assert np.rad2deg(np.arccos(up[2])) < 3.0


@pytest.mark.parametrize(
    "altitudes",
    [np.repeat([0.0, 100.0], 10), np.random.default_rng(1).normal(0, 40, 20), np.linspace(0, 95, 20)],
    ids=["another battery", "noise", "drift"],
)
def test_contradictory_altitudes_neither_tilt_nor_name_a_height(altitudes: np.ndarray) -> None:
    scene = Scene()
    level = scene.register()
    scene.gps[:, 2] += altitudes
    result = scene.register()
    up = result.rotation @ scene.spin @ np.array([0, 0, 1.0])
    assert np.rad2deg(np.arccos(up[2])) < 2.0
    assert result.as_json()["origin"]["altitude"] is None
    assert result.scale == pytest.approx(level.scale, rel=1e-3)
    (warning,) = place_warnings([], result)
    assert warning.code == "ALTITUDE_UNRELIABLE"


def test_agreeing_altitudes_correct_a_gimbal_that_is_off() -> None:
    scene = Scene(gimbals=True)
    tilt = Rotation.from_euler("x", 2.5, degrees=True).as_matrix()
    photos = [replace(photo, rotation=tilt @ photo.rotation) for photo in scene.photos()]
    up = scene.register(photos).rotation @ scene.spin @ np.array([0, 0, 1.0])
    assert np.rad2deg(np.arccos(up[2])) < 0.7


def test_wrong_positions_are_named() -> None:
    scene = Scene()
    scene.gps[[3, 11], :2] += 70
    result = scene.register()
    assert result.outliers == ["000003.jpg", "000011.jpg"]
    assert result.rms_metres is not None
    assert result.rms_metres < 0.5


def test_gps_that_disagrees_everywhere_gives_a_level_model_without_scale() -> None:
    scene = Scene()
    scene.gps[:, :2] = np.random.default_rng(2).uniform(-60, 60, (20, 2))
    result = scene.register()
    assert result.origin is None
    assert "GPS is unreliable" in str(result.reason)
    assert result.as_json()["georeferenced"] is False
    assert result.scale == 1.0
    up = result.rotation @ scene.spin @ np.array([0, 0, 1.0])
    assert up[2] > np.cos(np.deg2rad(2))


def test_two_positions_are_not_enough_and_one_place_is_none() -> None:
    scene = Scene()
    few = [replace(p, position=p.position if i < 2 else None) for i, p in enumerate(scene.photos())]
    assert "2 of 20 registered photos have a GPS position" in str(scene.register(few).reason)
    same = [replace(p, position=GeoPosition(46.0 + 1 / 3, 7.1, 100.0)) for p in scene.photos()]
    assert "same place" in str(scene.register(same).reason)


def test_without_altitudes_the_origin_has_none() -> None:
    scene = Scene()
    flat = [
        replace(p, position=GeoPosition(p.position.latitude, p.position.longitude, None))
        for p in scene.photos()
        if p.position
    ]
    content = scene.register(flat).as_json()
    assert content["georeferenced"] is True
    assert content["origin"]["altitude"] is None
    assert content["vertical_rms_metres"] is None


def test_the_json_has_the_contracts_fields() -> None:
    content = Scene().register().as_json()
    assert set(content) >= {"version", "georeferenced", "origin", "crs", "rms_metres", "outliers", "reason"}
    assert content["crs"] == "ENU metres about origin"
    assert set(content["origin"]) == {"latitude", "longitude", "altitude"}
    assert content["origin"]["altitude"] == pytest.approx(150, abs=1.5)


def test_a_receiver_that_knows_its_accuracy_decides_the_place() -> None:
    scene = Scene()
    scene.gps[:, :2] = scene.centres[:, :2] + np.random.default_rng(3).normal(0, 1.5, (20, 2))
    scene.gps[:, 2] = scene.centres[:, 2] + np.random.default_rng(4).normal(0, 3.0, 20)
    fixed = [0, 4, 7, 12, 15, 19]
    scene.gps[fixed] = scene.centres[fixed] + np.random.default_rng(5).normal(0, 0.01, (6, 3))

    def error(photos: list[PosedPhoto]) -> float:
        result = scene.register(photos)
        off = placed(result, scene.to_model(scene.centres)) - truth_in(result, scene.centres)
        return float(np.linalg.norm(off, axis=1).max())

    photos = scene.photos()
    weighed = list(photos)
    for index in fixed:
        position = photos[index].position
        assert position is not None
        weighed[index] = replace(photos[index], position=replace(position, horizontal_sigma=0.01, vertical_sigma=0.02))
    assert error(weighed) < 0.15
    assert error(photos) > 3 * error(weighed)


def test_heights_above_take_off_level_a_model_that_has_no_others() -> None:
    scene = Scene(gimbals=True)
    tilt = Rotation.from_euler("x", 2.5, degrees=True).as_matrix()
    photos = []
    for photo, centre in zip(scene.photos(), scene.centres, strict=True):
        assert photo.position is not None
        position = replace(photo.position, altitude=None, relative_altitude=float(centre[2]) - 3.0)
        photos.append(replace(photo, rotation=tilt @ photo.rotation, position=position))
    result = scene.register(photos)
    up = result.rotation @ scene.spin @ np.array([0, 0, 1.0])
    assert np.rad2deg(np.arccos(up[2])) < 0.7
    assert not result.altitude_known
