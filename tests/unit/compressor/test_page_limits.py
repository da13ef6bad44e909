"""Limits of navigation in the page, by the page's own code (compressor/viewer/src/limits.mjs) in Node.js."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from compressor.deliver.limits import Limits, limits_of
from compressor.deliver.viewer import rotate, upright, upright_rotation
from compressor.framing import frame_scene
from splat.camera import View, look_at
from splat.surroundings import Surroundings
from tests.support.splats import village, village_surroundings
from tests.support.viewer_modules import module_calls, needs_node

UP = np.array([0.36, 0.48, 0.8])
ROTATION = upright_rotation(UP)
LIMITS = Limits(nearest=0.5, farthest=9, lowest=25, clearance=0.7, margin=1)
pytestmark = needs_node


def called(name: str, fixed: list[Any], calls: list[list[Any]]) -> list[Any]:
    """The results of the page's function for the fixed arguments followed by those of each call."""
    return module_calls("limits", name, [[*fixed, *each] for each in calls])


@pytest.fixture(scope="module")
def scene() -> Surroundings:
    return village_surroundings(UP)


@pytest.fixture(scope="module")
def drawn(scene: Surroundings) -> dict[str, Any]:
    return upright(ROTATION, scene)


@pytest.fixture(scope="module")
def places() -> NDArray[np.float64]:
    """Places in and around the village, in the splat's coordinates."""
    rng = np.random.default_rng(5)
    return rng.uniform(-4, 4, (400, 3)) + 0.5 * UP


def in_page(points: NDArray[np.float64]) -> list[list[float]]:
    return [rotate(ROTATION, point).tolist() for point in points]


def test_the_page_knows_what_photos_support(
    scene: Surroundings, drawn: dict[str, Any], places: NDArray[np.float64]
) -> None:
    found = called("supported", [drawn], [[place] for place in in_page(places)])
    expected = scene.supports(places)
    assert found == expected.tolist()
    assert 20 < np.count_nonzero(expected) < 380


def test_a_target_is_brought_to_the_nearest_supported_place(
    scene: Surroundings, drawn: dict[str, Any], places: NDArray[np.float64]
) -> None:
    points = in_page(places)
    held = called("heldTarget", [asdict(LIMITS), drawn], [[point] for point in points])
    heights = np.array(held)[:, 1]
    assert heights.min() >= scene.ground
    assert heights.max() <= scene.ceiling
    shrunk = [[x * 0.999, min(y, scene.ceiling - 1e-6), z * 0.999] for x, y, z in held]
    assert all(called("supported", [drawn], [[place] for place in shrunk]))
    corners = np.array(drawn["footprint"])
    for point, result in zip(points, held, strict=True):
        moved = np.hypot(point[0] - result[0], point[2] - result[2])
        assert moved <= np.linalg.norm(corners - (point[0], point[2]), axis=1).min() + 1e-9
    again = called("heldTarget", [asdict(LIMITS), drawn], [[place] for place in held])
    assert np.allclose(again, held, atol=1e-9)


def test_a_kept_view_has_a_target_that_the_limits_leave_where_it_is(drawn: dict[str, Any]) -> None:
    rng = np.random.default_rng(8)
    ground, ceiling = drawn["ground"], drawn["ceiling"]
    targets = np.array(drawn["footprint"]).mean(axis=0) + rng.uniform(-0.3, 0.3, (60, 2))
    targets = np.column_stack([targets[:, 0], rng.uniform(ground, ceiling, 60), targets[:, 1]])
    offsets = rng.normal(size=(60, 3)) * [3, 1, 3] + [0, 3, 0]
    positions, distances = targets + offsets, np.linalg.norm(offsets, axis=1)
    kept = (distances > LIMITS.nearest) & (distances < LIMITS.farthest)
    forwards = -offsets / distances[:, None]
    calls = [[p.tolist(), f.tolist()] for p, f in zip(positions, forwards, strict=True)]
    with_depth = [[*call, depth] for call, depth in zip(calls, distances.tolist(), strict=True)]
    np.testing.assert_allclose(
        np.array(called("orbitDistance", [asdict(LIMITS), drawn], with_depth))[kept], distances[kept]
    )
    found = np.array(called("orbitDistance", [asdict(LIMITS), drawn], calls))
    assert ((found >= LIMITS.nearest - 1e-9) & (found <= LIMITS.farthest + 1e-9)).all()
    ahead = positions + found[:, None] * forwards
    held = np.array(called("heldTarget", [asdict(LIMITS), drawn], [[place] for place in ahead.tolist()]))
    assert np.linalg.norm(held - ahead, axis=1)[kept].max() < 0.2  # the steps between the distances tried


def test_an_orbit_stays_above_the_lowest_elevation_and_the_ground(drawn: dict[str, Any]) -> None:
    ground = drawn["ground"]
    cases = [[ground + height, distance] for height in (0, 0.2, 2) for distance in (0.5, 3, 9)]
    assert called("lowestElevation", [asdict(LIMITS), drawn], cases) == [25] * 9
    from_below = {**asdict(LIMITS), "lowest": -40}
    for (height, distance), lowest in zip(cases, called("lowestElevation", [from_below, drawn], cases), strict=True):
        assert height + distance * np.sin(np.radians(lowest)) > ground
        assert lowest >= -40


def test_a_flight_never_gets_out_of_bounds(drawn: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    starts = np.column_stack([rng.uniform(-1, 1, 300), rng.uniform(1, 9, 300), rng.uniform(-1, 1, 300)])
    wanted = rng.normal(0, 6, starts.shape)
    calls = [[start.tolist(), step.tolist()] for start, step in zip(starts, wanted, strict=True)]
    ends = starts + called("heldStep", [asdict(LIMITS), drawn], calls)
    assert ends[:, 1].min() == pytest.approx(drawn["ground"] + LIMITS.clearance)
    assert ends[:, 1].max() <= drawn["ceiling"] + LIMITS.farthest + 1e-9
    held = called("heldTarget", [asdict(LIMITS), drawn], [[end.tolist()] for end in ends])
    beyond = np.linalg.norm((ends - held)[:, [0, 2]], axis=1)
    # at the footprint's corner, the corner of its margin is a little farther away
    assert 0.9 * LIMITS.margin < beyond.max() < 1.5 * LIMITS.margin
    free = np.linalg.norm((starts + wanted - held)[:, [0, 2]], axis=1) < 0.5 * LIMITS.margin
    level = (starts + wanted)[:, 1]
    free &= (level > LIMITS.clearance + 0.1) & (level < LIMITS.farthest)
    assert np.count_nonzero(free) > 5
    assert np.allclose((starts + wanted)[free], ends[free], atol=1e-9)


def test_a_flight_that_begins_out_of_bounds_gets_no_farther_and_comes_back_freely(drawn: dict[str, Any]) -> None:
    start = [9.0, drawn["ground"] + 0.2, 0.0]
    fixed = [asdict(LIMITS), drawn]
    out, down, back = called("heldStep", fixed, [[start, [1, 0, 0]], [start, [0, -0.1, 0]], [start, [-1, 0.5, 0]]])
    assert np.linalg.norm(out) < 0.05  # of a step of 1: along the bound, not through it
    assert down == pytest.approx([0, 0, 0], abs=1e-9)
    assert back == pytest.approx([-1, 0.5, 0], abs=1e-9)


def test_without_photos_one_may_look_from_below(drawn: dict[str, Any]) -> None:
    free = {**asdict(LIMITS), "lowest": None}
    assert called("lowestElevation", [free, drawn], [[0, 3]]) == [-90]
    assert called("heldStep", [free, drawn], [[[0, 1, 0], [0, -5, 0]]]) == [[0, -5, 0]]


def nadir_views() -> list[View]:
    grid = [(x, y, 5.0) for x in (-1.5, -0.5, 0.5, 1.5) for y in (-1.5, 0, 1.5)]
    cameras = [look_at(eye, (*eye[:2], 0), (0, 1, 0), width=64, height=48) for eye in grid]
    return [View(f"{i}.jpg", "train", camera) for i, camera in enumerate(cameras)]


def test_limits_follow_how_photos_saw_the_scene() -> None:
    up = np.array([0.0, 0.0, 1.0])
    scene = village_surroundings(up)
    nadir = limits_of(frame_scene(village(up), nadir_views(), z_up=True), scene)
    assert nadir.lowest == 25  # whatever the photos' corners saw from the side
    assert nadir.nearest < 1 < 5 < nadir.farthest < 20
    assert 0.3 < nadir.clearance < 2
    ring = [
        View(f"{i}.jpg", "train", look_at((6 * np.cos(i), 6 * np.sin(i), 2), (0, 0, 0.3), width=64, height=48))
        for i in range(12)
    ]
    oblique = limits_of(frame_scene(village(up), ring, z_up=True), scene)
    assert oblique.lowest is not None
    assert 0 < oblique.lowest < 10
    alone = limits_of(frame_scene(village(up), [], z_up=True), scene)
    assert alone.lowest is None
