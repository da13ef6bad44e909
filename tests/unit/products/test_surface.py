"""The surface model: a plane of noisy points, eaves, the weighted mean of stereo and splat, and the stated σ."""

from __future__ import annotations

import numpy as np
import pytest

from products.grid import Grid
from products.scene import Scene, read_scene
from products.surface import SurfacePoints, sigma_of_fog, surface
from splat.depths import Crossing
from tests.unit.products import scenes

CELL = 0.05


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return read_scene(*scenes.write_scene(tmp_path_factory.mktemp("scene")))


def unknown(grid: Grid) -> Crossing:
    nothing = np.full((grid.height, grid.width), np.nan, np.float32)
    return Crossing(nothing, nothing.copy())


def test_a_plane_of_noisy_points_is_that_plane() -> None:
    rng = np.random.default_rng(0)
    xy = rng.uniform(-5, 5, (4000, 2))
    noise = rng.normal(0, 0.02, 4000)
    points = np.column_stack([xy, 10 + 0.5 * xy[:, 0] - 0.2 * xy[:, 1] + noise])
    grid = Grid(-4.0, 4.0, CELL, 160, 160)
    sorted_points = SurfacePoints.sorted(points, np.full(4000, 0.02, np.float32), CELL)
    found = surface(sorted_points, unknown(grid), np.zeros((160, 160), np.float32), grid)
    x, y = grid.centres()
    error = found.heights - (10 + 0.5 * x[None] - 0.2 * y[:, None])
    known = np.isfinite(error)
    assert known.mean() > 0.99
    assert np.abs(error[known]).mean() < 0.015
    # the stated σ is right: about two thirds of the cells are within one σ, and no σ is below half a cell
    assert 0.6 < (np.abs(error) < found.sigma)[known].mean() <= 1
    assert found.sigma[known].min() >= CELL / 2


def test_an_eave_stays_where_it_is(scene: Scene) -> None:
    grid = Grid(-4.0, 4.0, CELL, 160, 160)
    points = SurfacePoints.sorted(scene.dense.points, scene.dense.sigma, CELL)
    found = surface(points, unknown(grid), np.zeros((160, 160), np.float32), grid)
    x, y = grid.centres()
    true = scenes.heights(x[None], y[:, None])
    wrong = np.abs(found.heights - true) > 0.1
    edge = np.maximum(np.abs(x)[None], np.abs(y)[:, None])
    assert not wrong[np.abs(edge - 2.0) > 0.1].any()


def test_the_splat_decides_between_two_surfaces_and_fills_holes() -> None:
    grid = Grid(0.0, 1.0, CELL, 20, 20)
    rng = np.random.default_rng(1)
    low, high = (np.column_stack([rng.uniform(-1, 2, (500, 2)), np.full(500, z)]) for z in (0.0, 4.0))
    both = SurfacePoints.sorted(np.concatenate([low, high]), np.full(1000, 0.02, np.float32), CELL)
    for level in (0.0, 4.0):
        median = np.full((20, 20), level + 0.4, np.float32)  # nearer to one of them, but it is neither
        found = surface(both, Crossing(median, np.zeros_like(median)), np.ones((20, 20), np.float32), grid)
        np.testing.assert_allclose(found.heights, level, atol=1e-3)
    far = SurfacePoints.sorted(low + np.array([50.0, 0, 0]), np.full(500, 0.02, np.float32), CELL)
    median, spread = np.full((20, 20), 7.0, np.float32), np.full((20, 20), 0.5, np.float32)
    alpha = np.where(np.arange(20) < 10, 0.9, 0.2).astype(np.float32)[None].repeat(20, axis=0)
    found = surface(far, Crossing(median, spread), alpha, grid)
    np.testing.assert_allclose(found.heights[:, :10], 7.0)
    np.testing.assert_allclose(found.sigma[:, :10], np.hypot(CELL / 2, 0.1), rtol=1e-5)
    assert np.isnan(found.heights[:, 10:]).all()


def test_where_stereo_and_splat_see_one_surface_their_errors_even_out() -> None:
    grid = Grid(-4.0, 4.0, CELL, 160, 160)
    rng = np.random.default_rng(2)
    xy = rng.uniform(-5, 5, (4000, 2))
    points = np.column_stack([xy, rng.normal(0, 0.1, 4000)])
    sorted_points = SurfacePoints.sorted(points, np.full(4000, 0.1, np.float32), CELL)
    fog = np.full((160, 160), 0.1, np.float32)
    heights = rng.normal(0, 1, fog.shape) * sigma_of_fog(fog, CELL)
    nothing = np.zeros_like(fog)
    splat = Crossing(heights.astype(np.float32), fog)
    alone = surface(sorted_points, splat, nothing, grid)
    found = surface(sorted_points, splat, nothing + 1, grid)
    known = np.isfinite(alone.heights)

    def rms(errors: np.ndarray) -> float:
        return float(np.sqrt(np.mean(errors[known] ** 2)))

    assert rms(found.heights) < 0.9 * min(rms(alone.heights), rms(heights))
    assert 0.6 < (np.abs(found.heights) < found.sigma)[known].mean() < 0.85
    assert (found.sigma <= alone.sigma * 3.01)[known].all()


def test_two_surfaces_leave_stereos_in_more_doubt() -> None:
    grid = Grid(0.0, 1.0, CELL, 20, 20)
    points = np.column_stack([np.random.default_rng(3).uniform(-1, 2, (900, 2)), np.zeros(900)])
    sorted_points = SurfacePoints.sorted(points, np.full(900, 0.02, np.float32), CELL)
    opaque, thin = np.ones((20, 20), np.float32), np.full((20, 20), 0.05, np.float32)
    doubts = []
    for apart in (0.0, 0.5, 1.0, 40.0):
        found = surface(sorted_points, Crossing(np.full((20, 20), apart, np.float32), thin), opaque, grid)
        np.testing.assert_allclose(found.heights, 0.0, atol=1e-6)
        doubts.append(float(found.sigma.mean()))
    assert doubts[0] < doubts[1] < doubts[2] < doubts[3] < 0.6


def test_thicker_fog_is_less_sure() -> None:
    spread = np.array([[0.0, 0.1, 1.0, np.nan]], np.float32)
    sigma = sigma_of_fog(spread, 0.03)[0]
    assert (np.diff(sigma) > 0).all()
    assert sigma[0] == pytest.approx(0.015)
