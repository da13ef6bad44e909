"""Flight plans: spacing, overlap, viewing directions."""

from itertools import pairwise

import numpy as np
import pytest

from sample.camera import Camera, world_to_camera
from sample.flight import (
    FOCUS,
    FORWARD_OVERLAP,
    SIDE_OVERLAP,
    Lens,
    Plan,
    Shot,
    fly,
    footprint,
    ground_half,
    orbit_count,
    strips,
)
from sample.property import farmland_material
from sample.terrain import Terrain, build_terrain
from sample.textures import FURROWS, LAWN, MEADOW, PASTURE, TILLED, ground_albedo

LENS = Lens()
PLAN = Plan(20)


@pytest.fixture(scope="module")
def terrain() -> Terrain:
    return build_terrain(*ground_half(PLAN, LENS), np.zeros((0, 4)))


@pytest.fixture(scope="module")
def shots(terrain: Terrain) -> list[Shot]:
    return fly(PLAN, 1600, terrain, LENS, seed=0)


def ground_corners(camera: Camera, level: float) -> np.ndarray:
    """The points (4, 2) where the rays of a picture's corners meet a level plane."""
    x = (np.array([0, camera.width, camera.width, 0]) - camera.cx) / camera.fx
    y = (np.array([0, 0, camera.height, camera.height]) - camera.cy) / camera.fy
    rays = np.stack([x, y, np.ones(4)], 1) @ camera.world_to_camera[:3, :3]
    reach = (level - camera.centre[2]) / rays[:, 2]
    corners: np.ndarray = camera.centre[:2] + rays[:, :2] * reach[:, None]
    return corners


def shared(a: np.ndarray, b: np.ndarray) -> float:
    """The share of the ground in a's bounding rectangle that is also in b's."""
    low, high = np.maximum(a.min(0), b.min(0)), np.minimum(a.max(0), b.max(0))
    return float(np.prod(np.maximum(high - low, 0)) / np.prod(a.max(0) - a.min(0)))


@pytest.mark.parametrize("photos", [8, 16, 20, 24, 36, 72, 150, 500])
def test_every_photo_is_flown(photos: int) -> None:
    plan = strips(Plan(photos), LENS)
    assert sum(plan.counts) + orbit_count(Plan(photos)) == photos
    assert max(plan.counts) - min(plan.counts) <= 1


@pytest.mark.parametrize("photos", [20, 150, 500])
def test_the_land_is_about_as_long_as_it_is_wide(photos: int) -> None:
    plan = strips(Plan(photos), LENS)
    assert 0.5 < (max(plan.counts) * plan.forward) / (len(plan.counts) * plan.side) < 2


@pytest.mark.parametrize("photos", [8, 24, 150])
def test_without_rings_all_photos_look_straight_down_from_the_altitude(photos: int, terrain: Terrain) -> None:
    shots = fly(Plan(photos, rings=False, altitude=50.0), 400, terrain, LENS, seed=0)
    assert len(shots) == photos
    for shot in shots:
        east, north, up = shot.camera.centre
        assert shot.camera.world_to_camera[2, 2] < -0.98
        assert up - terrain.height(east, north) == pytest.approx(50.0, abs=2.5)


def test_planned_overlap_is_what_mapping_asks_for() -> None:
    across, along = footprint(LENS)
    plan = strips(PLAN, LENS)
    assert 1 - plan.forward / along == pytest.approx(FORWARD_OVERLAP)
    assert 1 - plan.side / across == pytest.approx(SIDE_OVERLAP)
    assert 0.75 <= SIDE_OVERLAP <= FORWARD_OVERLAP <= 0.80


def test_neighbours_on_a_strip_overlap_on_the_ground(shots: list[Shot], terrain: Terrain) -> None:
    count = strips(PLAN, LENS).counts[0]
    level = terrain.height(0, 0)
    seen = [ground_corners(shot.camera, level) for shot in shots[:count]]
    for a, b in pairwise(seen):
        assert 0.62 < shared(a, b) < 0.90  # drift and tilt reduce the planned 79 %


def test_the_orbit_looks_at_the_house(shots: list[Shot], terrain: Terrain) -> None:
    house = np.array([[*FOCUS, terrain.height(*FOCUS) + 2]])
    bearings = []
    for shot in shots[-orbit_count(PLAN) :]:
        pixels, depth = shot.camera.project(house)
        assert depth[0] > 25
        assert np.hypot(pixels[0, 0] - 800, pixels[0, 1] - 600) < 60
        bearings.append(np.arctan2(*(shot.camera.centre[:2] - FOCUS)))
    steps = np.diff(np.sort(np.mod(bearings, 2 * np.pi)))
    assert steps.max() < np.radians(55)


def test_strips_look_down_and_the_north_is_on_top(shots: list[Shot]) -> None:
    for shot in shots[: 20 - orbit_count(PLAN)]:
        rotation = shot.camera.world_to_camera[:3, :3]
        assert rotation[2] @ [0, 0, -1] > np.cos(np.radians(10))
        assert rotation[1] @ [0, -1, 0] > 0.95


def test_time_runs_and_poses_are_rigid(shots: list[Shot]) -> None:
    times = [shot.seconds for shot in shots]
    assert all(later - earlier >= 2.0 for earlier, later in pairwise(times))
    for shot in shots:
        rotation = shot.camera.world_to_camera[:3, :3]
        assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1)


def test_the_detailed_ground_holds_what_the_strips_see(shots: list[Shot], terrain: Terrain) -> None:
    half = np.array(ground_half(PLAN, LENS))
    for shot in shots[: 20 - orbit_count(PLAN)]:
        corners = ground_corners(shot.camera, terrain.height(0, 0))
        assert (np.abs(corners) < half + 4).all()


def test_focal_length_agrees_with_its_equivalent() -> None:
    diagonal = np.hypot(LENS.sensor_width_mm, 0.75 * LENS.sensor_width_mm)
    assert LENS.focal_mm * np.hypot(36, 24) / diagonal == pytest.approx(LENS.focal_35mm)
    assert LENS.focal_pixels(1600) == pytest.approx(24 / np.hypot(36, 24) * 2000)


def test_projection_follows_opencv_axes() -> None:
    camera = Camera(
        200, 100, 80.0, 80.0, 100.0, 50.0, world_to_camera(np.zeros(3), np.array([0, 1.0, 0]), np.array([0, 0, 1.0]))
    )
    pixels, depth = camera.project(np.array([[1.0, 4.0, 0.0], [0.0, 4.0, 1.0]]))
    assert depth == pytest.approx([4, 4])
    assert pixels == pytest.approx(np.array([[120.0, 50.0], [100.0, 30.0]]))
    assert camera.centre == pytest.approx([0, 0, 0])


def test_farmland_is_one_garden_amid_fields_of_several_lots() -> None:
    lots = {(i, j): farmland_material(i, j, seed=0) for i in range(-9, 9) for j in range(-8, 8)}
    assert [place for place, material in lots.items() if material == LAWN] == [(0, 0)]
    fields = [material for material in lots.values() if material != LAWN]
    assert 0.25 < fields.count(TILLED) / len(fields) < 0.75
    assert set(fields) == {TILLED, PASTURE}
    beside = [
        lots[i, j] == lots[i + 1, j] for i, j in lots if (i + 1, j) in lots and (0, 0) not in ((i, j), (i + 1, j))
    ]
    assert sum(beside) > 0.6 * len(beside)  # at random, half would be


def test_farmland_has_little_contrast() -> None:
    random = np.random.default_rng(0)

    def contrast(material: int) -> float:
        """Standard deviation over mean of the ground's brightness, in texels of 9 cm."""
        places = random.uniform(-100, 100, (4000, 2))
        seen = np.array([sum(ground_albedo(material, x, y, 0.09)) for x, y in places])
        return float(seen.std() / seen.mean())

    assert max(contrast(PASTURE), contrast(TILLED)) < 0.1
    assert min(contrast(MEADOW), contrast(FURROWS)) > 0.2
