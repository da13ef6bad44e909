"""The first Gaussians."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from splat.camera import look_at
from tests.unit.trainer.synthetic import BOUNDLESS, make_scene
from trainer.dataset import load_scene
from trainer.initialise import Seeds, _Nearest, from_seeds, guess_depths, seed_points
from trainer.photo_store import PhotoStore


def test_depths_of_a_slanted_plane_are_guessed_exactly_even_beyond_its_points() -> None:
    camera = look_at((2, -3, 4), (0, 0, 0), width=80, height=60)
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.uniform(-0.5, 0.5, (40, 2)), np.zeros(40)])
    pixels, depths = guess_depths(camera, points, 10.0)
    assert len(pixels) > 30
    np.testing.assert_allclose(camera.unproject(pixels, depths)[:, 2], 0, atol=1e-6)


def test_points_behind_the_camera_are_ignored() -> None:
    camera = look_at((0, 0, 4), (0, 0, 0), width=80, height=60)
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.uniform(-1, 1, (40, 2)), np.zeros(40)])
    points[:3, 2] = 9
    _, depths = guess_depths(camera, points, 10.0)
    np.testing.assert_allclose(depths, 4, atol=1e-6)


@pytest.mark.parametrize("in_front", [0, 1, 11])
def test_no_depth_is_guessed_from_a_few_points(in_front: int) -> None:
    camera = look_at((0, 0, 4), (0, 0, 0), width=80, height=60)
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (20, 3))
    points[in_front:, 2] += 5.0  # behind the camera, as in a broken model of another tool
    pixels, depths = guess_depths(camera, points, 10.0)
    assert pixels.shape == (0, 2)
    assert depths.shape == (0,)


def test_gaps_are_filled_with_the_photos_colours(tmp_path: Path) -> None:
    make_scene(tmp_path)
    scene = load_scene(tmp_path, 96)
    seeds = seed_points(scene, PhotoStore(), 100_000, BOUNDLESS)
    added = seeds.positions[len(scene.positions) :] * scene.frame.scale + scene.frame.centre
    assert len(added) > 50
    assert np.median(np.abs(added[:, 2] - 0.15 * np.sin(3 * added[:, 0]))) < 0.1
    assert ((seeds.colours >= 0) & (seeds.colours <= 1)).all()
    np.testing.assert_array_equal(seeds.positions[: len(scene.positions)], scene.frame.points(scene.positions))


def test_there_are_never_more_than_allowed(tmp_path: Path) -> None:
    make_scene(tmp_path)
    scene = load_scene(tmp_path, 96)
    few = seed_points(scene, PhotoStore(), 300, BOUNDLESS)
    assert few.positions.shape == few.colours.shape == (300, 3)
    assert len(np.unique(few.positions, axis=0)) == 300


def test_gaussians_are_as_wide_as_their_neighbours_are_far() -> None:
    grid = np.stack(np.meshgrid(np.arange(6.0), np.arange(6.0), [0.0]), axis=-1).reshape(-1, 3) * 0.1
    colours = np.full((36, 3), 0.75)
    gaussians = from_seeds(Seeds(grid, colours), 2)
    np.testing.assert_allclose(np.exp(gaussians.scales), 0.1, rtol=0.3)
    np.testing.assert_allclose(gaussians.sh0 * 0.28209479 + 0.5, 0.75, atol=1e-6)
    assert gaussians.shN.shape == (36, 8, 3)
    coincident = from_seeds(Seeds(np.zeros((4, 3)), colours[:4]), 0)
    assert np.isfinite(coincident.scales).all()


@given(st.lists(st.integers(0, 40), max_size=12), st.integers(0, 99))
def test_distances_in_growing_trees_are_those_in_one(sizes: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.random((30, 3))
    trees = _Nearest(points)
    for size in sizes:
        more, asked = rng.random((size, 3)), rng.random((5, 3))
        trees.add(more)
        points = np.concatenate([points, more])
        np.testing.assert_array_equal(trees.distances(asked), cKDTree(points).query(asked)[0])
    assert len(trees._trees) <= 2 + np.log2(len(points))
