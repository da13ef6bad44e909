"""Ground and sky beyond the photos: what a ray sees, which area the photos saw, and the file that describes it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import ConvexHull, QhullError

from splat.camera import Camera, look_at, orbit
from splat.errors import InvalidSceneError
from splat.footprint import footprint_of, pale_sky, up_of
from splat.surroundings import (
    SHADE,
    Surroundings,
    background,
    inscribed_ellipse,
    read_surroundings,
    write_surroundings,
)

UP = np.array([0.0, 0.0, 1.0])
GROUND, HORIZON, ZENITH = np.array([0.3, 0.35, 0.2]), np.array([0.8, 0.82, 0.84]), np.array([0.5, 0.6, 0.8])


def square(up: np.ndarray = UP, ground: float = 2.0) -> Surroundings:
    """A footprint of 20 by 20, its ground at height 2, seen up to height 8."""
    footprint = footprint_of(
        np.array([(x, y, z) for x in (-10, 0, 10) for y in (-10, 0, 10) for z in (ground, 8)], np.float64), [], UP
    )
    turn = rotation_to(up)
    return Surroundings(
        up=up, ground=ground, ceiling=8.0, haze=50.0, footprint=footprint.corners @ turn.T,
        ground_colour=GROUND, horizon=HORIZON, zenith=ZENITH, sky_photographed=True,
    )  # fmt: skip


def rotation_to(up: np.ndarray) -> np.ndarray:
    side = np.cross(up, np.eye(3)[int(np.argmin(np.abs(up)))])
    side /= np.linalg.norm(side)
    return np.stack([side, np.cross(up, side), up], axis=1)


def along(direction: tuple[float, float, float], eye: tuple[float, float, float] = (0, 0, 12)) -> np.ndarray:
    """The colour at the middle of a picture in this viewing direction."""
    camera = look_at(eye, np.add(eye, direction), UP, width=3, height=3)
    middle: np.ndarray = background(square(), camera)[1, 1]
    return middle


def test_straight_down_is_the_ground_in_little_haze() -> None:
    haze = 1 - np.exp(-10 / 50)
    beside = along((0, 0, -1), (30, 0, 12))
    assert beside == pytest.approx(GROUND + haze * (HORIZON - GROUND), abs=1e-6)


def test_below_what_the_photos_saw_the_ground_lies_in_shade_up_to_the_footprints_rim() -> None:
    beside = along((0, 0, -1), (30, 0, 12))
    assert along((0, 0, -1)) == pytest.approx(SHADE * beside, abs=1e-6)
    assert along((0, 0, -1), (9.99, 0, 12)) == pytest.approx(beside, abs=1e-3)
    across = [float(along((0, 0, -1), (x, 0, 12)).mean()) for x in (0, 6.9, 7.5, 8.5, 9.5)]
    assert across == sorted(across)
    assert across[1] == pytest.approx(across[0])
    assert across[4] > 2 * across[1]


def test_from_below_the_ground_nothing_is_shaded() -> None:
    assert along((0, 0.1, -1), (0, 0, 1)).mean() > GROUND.mean()


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 6.28), st.floats(0.2, 5)), min_size=8, max_size=40), st.floats(0.1, 10))
def test_the_shaded_ellipse_lies_within_the_polygon(spokes: list[tuple[float, float]], stretch: float) -> None:
    points = np.array([(stretch * r * np.cos(a), r * np.sin(a)) for a, r in spokes])
    try:
        hull = ConvexHull(points)
    except QhullError:
        return
    if hull.volume < 0.05:
        return
    centre, matrix = inscribed_ellipse(points[hull.vertices])
    angles = np.linspace(0, 2 * np.pi, 60)
    rim = centre + np.stack([np.cos(angles), np.sin(angles)], axis=1) @ np.linalg.inv(matrix).T
    outside = rim @ hull.equations[:, :2].T + hull.equations[:, 2]
    assert outside.max() < 1e-6 * (1 + np.abs(points).max())


def test_the_ground_fades_into_the_horizon_with_its_distance() -> None:
    rise = -np.sin(np.radians(30))
    haze = 1 - np.exp(-(10 / -rise) / 50)
    ahead = (np.cos(np.radians(30)), 0, rise)
    assert along(ahead) == pytest.approx(GROUND + haze * (HORIZON - GROUND), abs=1e-6)
    assert along((1, 0, -1e-4)) == pytest.approx(HORIZON, abs=1e-3)


def test_the_sky_runs_from_the_horizon_to_the_zenith() -> None:
    assert along((1, 0, 1e-5)) == pytest.approx(HORIZON, abs=1e-3)
    assert along((0, 0, 1)) == pytest.approx(ZENITH, abs=1e-6)
    middle = HORIZON + (1 - 0.5**3) * (ZENITH - HORIZON)
    assert along((np.cos(np.radians(30)), 0, 0.5)) == pytest.approx(middle, abs=1e-6)


@pytest.mark.parametrize("up", [(0, 0, 1), (0, -1, 0), (0.36, 0.48, 0.8)])
def test_the_horizon_is_level_whatever_is_up(up: tuple[float, float, float]) -> None:
    axis = np.array(up, np.float64)
    side = rotation_to(axis)[:, 0]
    eye = 5 * axis + 40 * side  # beside the shaded area
    camera = look_at(eye, eye + side, axis, width=64, height=48)
    picture = background(square(axis), camera)
    assert np.ptp(picture, axis=1).max() < 0.05  # a row has nearly the same colour throughout
    brightness = picture.mean(axis=2).mean(axis=1)
    assert brightness[0] > 0.6
    assert brightness[-1] < 0.5


@settings(deadline=None)
@given(
    st.tuples(*[st.floats(-60, 60)] * 3),
    st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda direction: np.linalg.norm(direction) > 0.1),
)
def test_nothing_is_ever_black_or_beyond_the_three_colours(
    eye: tuple[float, float, float], direction: tuple[float, float, float]
) -> None:
    camera = look_at(eye, np.add(eye, direction), UP, width=16, height=12, field_of_view=90)
    picture = background(square(), camera)
    colours = np.stack([GROUND, HORIZON, ZENITH])
    assert (picture >= SHADE * colours.min(axis=0) - 1e-6).all()
    assert (picture <= colours.max(axis=0) + 1e-6).all()


def test_photos_support_what_lies_in_the_footprint_below_the_ceiling() -> None:
    inside, outside, above = (9, -9, 2.5), (10.5, 0, 2.5), (0, 0, 8.1)
    assert square().supports([inside, outside, above]).tolist() == [True, False, False]


def test_a_footprint_is_where_three_photos_look_without_outliers() -> None:
    rng = np.random.default_rng(3)
    points = np.column_stack([rng.uniform(-30, 30, (4000, 2)), rng.normal(1, 0.05, 4000)])
    points[:5] = rng.uniform(-400, 400, (5, 3))
    cameras = [
        look_at((x, y, 11), (x, y, 0), (0, 1, 0), width=40, height=40, field_of_view=53.13)
        for x in (-6, 0, 6) for y in (-6, 0, 6)
    ]  # fmt: skip
    found = footprint_of(points, cameras, UP)
    # each sees 10 by 10, at a distance of 6: three or more see places 1 to 5 off in both directions
    reach = np.abs(found.corners[:, :2]).max(axis=0)
    assert reach == pytest.approx([5, 5], abs=0.7)
    assert found.ground == pytest.approx(1, abs=0.1)
    assert found.ceiling < 2
    sides = np.roll(found.corners, -1, axis=0) - found.corners
    turns = np.cross(sides, np.roll(sides, -1, axis=0)) @ UP
    assert (turns > -1e-9).all(), "not convex and counterclockwise"


@pytest.mark.parametrize("points", [np.zeros((1, 3)), np.outer(np.arange(20.0), (1, 2, 0))], ids=["point", "line"])
def test_a_footprint_of_hardly_anything_is_still_one(points: np.ndarray) -> None:
    found = footprint_of(points, [], UP)
    scene = found.surroundings(GROUND, HORIZON, ZENITH, photographed=False)
    assert scene.radius > 0
    assert scene.supports(points).all()


def test_up_of_level_cameras() -> None:
    assert up_of(orbit((0, 0, 0), 6, 25, 12, width=64, height=48, up=(0, -1, 0))) @ (0, -1, 0) > 0.99


@settings(deadline=None)
@given(st.tuples(*[st.floats(0, 1)] * 3))
def test_a_sky_that_no_photo_saw_is_pale_and_lighter_than_garish(tone: tuple[float, float, float]) -> None:
    horizon, zenith = pale_sky(np.array(tone))
    for colour in (horizon, zenith):
        assert colour.mean() > 0.5
        assert np.ptp(colour) < 0.25
    assert zenith.mean() < horizon.mean()


def test_the_file_holds_everything(tmp_path: Path) -> None:
    write_surroundings(tmp_path / "surroundings.json", square())
    found = read_surroundings(tmp_path / "surroundings.json")
    assert found.as_json() == square().as_json()
    camera: Camera = look_at((0, 0, 12), (5, 5, 0), UP, width=8, height=6)
    assert np.array_equal(background(found, camera), background(square(), camera))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("version", 2),
        ("up", [0, 0, 2]),
        ("up", [0, 0]),
        ("haze", 0),
        ("ceiling", 1),
        ("footprint", [[0, 0, 0], [1, 0, 0]]),
        ("footprint", "round"),
        ("ground.colour", [0, 0, 1.5]),
        ("ground.height", float("nan")),
        ("sky.zenith", None),
    ],
)
def test_a_file_that_is_not_as_agreed_is_refused(tmp_path: Path, path: str, value: object) -> None:
    document = square().as_json()
    *folders, name = path.split(".")
    place = document
    for folder in folders:
        place = place[folder]
    place[name] = value
    (tmp_path / "surroundings.json").write_text(json.dumps(document))
    with pytest.raises(InvalidSceneError, match=r"surroundings\.json"):
        read_surroundings(tmp_path / "surroundings.json")


def test_a_file_without_a_part_is_refused(tmp_path: Path) -> None:
    document = square().as_json()
    del document["sky"]
    (tmp_path / "surroundings.json").write_text(json.dumps(document))
    with pytest.raises(InvalidSceneError):
        read_surroundings(tmp_path / "surroundings.json")
