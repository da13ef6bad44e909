"""The local frame in map projections: exact there and back, and no projection if a system cannot cover the scene."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS, Geod, Transformer

from geo.projected import Place, Projected, UnusableSystemError, horizontal, utm, vertical

ZURICH, LONDON = Place(47.3612, 8.5306, 466.2), Place(51.5, -0.1, 30.0)
HARRISBURG = Place(40.0, -77.0, 0.0)
GAUSS_KRUGER = "+proj=tmerc +lat_0=0 +lon_0=9 +k=1 +x_0=3500000 +y_0=0 +ellps=bessel +towgs84=598.1,73.7,418.2 +units=m"


@given(
    latitude=st.floats(-89, 89), longitude=st.floats(-180, 180), altitude=st.floats(-400, 8000),
    points=st.lists(st.tuples(*[st.floats(-2000, 2000)] * 3), min_size=1, max_size=5),
)  # fmt: skip
def test_utm_and_back_is_exact_everywhere(
    latitude: float, longitude: float, altitude: float, points: list[tuple[float, float, float]]
) -> None:
    frame = Projected.about(Place(latitude, longitude, altitude))
    found = frame.to_enu(frame.from_enu(np.array(points)))
    np.testing.assert_allclose(found, points, atol=1e-5)


@pytest.mark.parametrize(
    ("place", "system"),
    [(ZURICH, 25832), (ZURICH, 2056), (ZURICH, 31467), (ZURICH, GAUSS_KRUGER), (LONDON, 27700), (HARRISBURG, 2272)],
)
def test_a_surveyors_system_is_reached_to_the_micrometre(place: Place, system: int | str) -> None:
    """PROJ inverts datum shifts with seven parameters only to a millimetre."""
    frame = Projected.about(place, system)
    points = np.random.default_rng(1).uniform(-500, 500, (200, 3))
    np.testing.assert_allclose(frame.to_enu(frame.from_enu(points)), points, atol=2e-6)


def test_a_geodesic_ends_where_the_frame_says() -> None:
    frame = Projected.about(Place(47.3612, 8.5306, 0.0))
    (ours, east) = frame.from_enu(np.array([[0.0, 0, 0], [100.0, 0, 0]]))
    longitude, latitude, _ = Geod(ellps="WGS84").fwd(8.5306, 47.3612, 90, 100)
    wanted = Transformer.from_crs(4326, 32632, always_xy=True).transform(longitude, latitude)
    np.testing.assert_allclose(east[:2], wanted, atol=1e-3)
    assert np.hypot(*(east - ours)[:2]) == pytest.approx(99.9615, abs=1e-3)  # the zone's scale here


def test_the_affine_map_is_exact_near_the_origin() -> None:
    frame = Projected.about(ZURICH, 2056)
    points = np.random.default_rng(2).uniform(-55, 55, (200, 3))
    np.testing.assert_allclose(points @ frame.affine[:, :3].T + frame.affine[:, 3], frame.from_enu(points), atol=1e-3)


def test_heights_keep_their_datum() -> None:
    assert Projected.about(ZURICH, 2056).from_enu(np.zeros((1, 3)))[0, 2] == pytest.approx(466.2, abs=1e-6)


def test_feet_are_said() -> None:
    assert Projected.about(HARRISBURG, 2272).metres_per_unit == pytest.approx(0.3048006)


@pytest.mark.parametrize(
    ("system", "words"),
    [
        (4326, "not a projected system"), (4978, "not a projected system"), (999_999, "not a known coordinate system"),
        (2053, "axes that do not point east and north"), ("nonsense", "not a known coordinate system"),
    ],
)  # fmt: skip
def test_what_no_map_can_be_drawn_in(system: int | str, words: str) -> None:
    with pytest.raises(UnusableSystemError, match=words):
        Projected.about(ZURICH, system)


@pytest.mark.parametrize("system", [25832, 2056])
def test_a_system_of_another_continent_is_refused(system: int) -> None:
    with pytest.raises(UnusableSystemError, match="for another region"):
        Projected.about(Place(38.5, -98.0, 400.0), system)


@pytest.mark.parametrize(("system", "longitude"), [(32632, 13.0), (32601, 179.9), (32660, -179.9), (3857, 10.0)])
def test_a_system_may_be_used_a_zone_beyond_its_area(system: int, longitude: float) -> None:
    assert Projected.about(Place(47.0, longitude, 400.0), system).epsg == system


def test_a_zone_serves_beyond_its_country_where_it_neither_stretches_nor_turns_maps() -> None:
    """Las Palmas lies in zone 28, south of the area for which ETRS89 has a code of it, and not in zone 27."""
    las_palmas = Place(28.1, -15.4, 10.0)
    assert Projected.about(las_palmas, 25828).epsg == 25828
    with pytest.raises(UnusableSystemError, match="for another region"):
        Projected.about(Place(28.1, -4.0, 10.0), 25828)


def test_zones_of_utm() -> None:
    places = [(0.1, -180.0), (-0.1, 179.9), (47.0, 8.5), (85.0, 0.0), (-85.0, 0.0), (10.0, 180.0)]
    assert [utm(Place(*place, 0.0)) for place in places] == [32601, 32760, 32632, 5041, 5042, 32601]


def test_a_compound_system_has_two_parts() -> None:
    dutch = CRS.from_epsg(7415)
    height = vertical(dutch)
    assert (horizontal(dutch).to_epsg(), height and height.to_epsg()) == (28992, 5709)
    assert vertical(CRS.from_epsg(28992)) is None


@given(
    latitude=st.floats(-90, 90), longitude=st.floats(-180, 180), altitude=st.floats(-400, 8000),
    point=st.tuples(*[st.floats(-2000, 2000)] * 3),
)  # fmt: skip
def test_the_frame_stands_on_the_ellipsoid_as_proj_has_it(
    latitude: float, longitude: float, altitude: float, point: tuple[float, ...]
) -> None:
    place = Place(latitude, longitude, altitude)
    east, north, up = point
    proj = Transformer.from_pipeline(
        f"+proj=pipeline +step +inv +proj=topocentric +ellps=WGS84 +lon_0={longitude!r} +lat_0={latitude!r} "
        f"+h_0={altitude!r}"
    )
    np.testing.assert_allclose((place.to_earth @ [*point, 1])[:3], np.array(proj.transform(east, north, up)), atol=1e-5)


def test_a_scene_without_a_place_has_none() -> None:
    origin = {"latitude": 47.0, "longitude": 8.0, "altitude": None}
    assert Place.of({"georeferenced": True, "origin": origin}) == Place(47.0, 8.0, 0.0)
    assert Place.of({"georeferenced": False, "origin": origin}) is None
    assert Place.of({"georeferenced": True, "origin": None}) is None


@pytest.mark.parametrize("latitude", [91.0, float("nan"), "north"])
def test_an_origin_that_is_not_on_earth_is_refused(latitude: object) -> None:
    with pytest.raises(ValueError, match=r"Earth|float"):
        Place.of({"georeferenced": True, "origin": {"latitude": latitude, "longitude": 8.0, "altitude": 0.0}})


def test_what_makes_a_system_uncertain_is_named() -> None:
    gap = Projected.about(LONDON, 27700).grid_gap
    assert gap is not None
    assert gap.grids == ("uk_os_OSTN15_NTv2_OSGBtoETRS.tif",)
    assert gap.metres == 2.0
    assert "2 m" in str(gap)
    assert "uk_os_OSTN15" in str(gap)


@pytest.mark.parametrize(("place", "system"), [(ZURICH, 2056), (ZURICH, 25832), (LONDON, None), (ZURICH, 3857)])
def test_systems_that_need_no_grid_are_not_uncertain(place: Place, system: int | None) -> None:
    assert Projected.about(place, system).grid_gap is None


@pytest.mark.parametrize("longitude", [-180.0, 180.0])
def test_a_place_on_the_date_line_can_be_asked(longitude: float) -> None:
    assert Projected.about(Place(-17.0, longitude, 0.0)).grid_gap is None
