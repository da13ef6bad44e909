"""Culling keeps whatever projection finds visible, and little else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splat.camera import Camera, look_at
from splat.culling import in_view
from splat.gaussians import Gaussians
from splat.projection import packed, project
from tests.support.gaussians import gaussians_of
from tests.unit.splat.scenes import HEIGHT, WIDTH, kinds_of_gaussians, make_camera, make_gaussians, seeds


def found(gaussians: Gaussians, camera: Camera) -> np.ndarray:
    return in_view(gaussians.means, gaussians.scales, packed(camera), camera.width, camera.height)


def visible(gaussians: Gaussians, camera: Camera) -> np.ndarray:
    g = gaussians
    arrays = (g.means, g.quats, g.scales, g.opacities, g.sh0, g.shN)
    return np.flatnonzero(project(*arrays, packed(camera), camera.width, camera.height, 0).depths > 0)


def scattered(count: int, seed: int) -> Gaussians:
    """Gaussians of all sizes and opacities anywhere around a camera."""
    rng = np.random.default_rng(seed)
    scales = rng.normal(-3, 3, (count, 3))
    scales[0], scales[1] = -40, 9.5  # beyond the range of the exponential
    return gaussians_of(
        means=rng.normal(0, 4, (count, 3)),
        quats=rng.normal(size=(count, 4)),
        scales=scales,
        opacities=rng.normal(3, 4, count),
        sh0=np.zeros((count, 3)),
        shN=np.zeros((count, 0, 3)),
    )


@settings(max_examples=60, deadline=None)
@given(kinds=kinds_of_gaussians, seed=seeds)
def test_what_is_visible_is_in_view(kinds: list[str], seed: int) -> None:
    gaussians, camera = make_gaussians(kinds, seed), make_camera()
    assert set(visible(gaussians, camera)) <= set(found(gaussians, camera))


@settings(max_examples=40, deadline=None)
@given(seed=seeds, width=st.integers(1, 200), angle=st.floats(10, 150))
def test_what_is_visible_is_in_view_wherever_it_lies(seed: int, width: int, angle: float) -> None:
    camera = look_at((0.5, -1, 3), (0, 0.2, 0), width=width, height=50, field_of_view=angle)
    gaussians = scattered(5000, seed)
    assert set(visible(gaussians, camera)) <= set(found(gaussians, camera))


def test_of_small_ones_only_those_near_the_picture_are_in_view() -> None:
    rng = np.random.default_rng(0)
    gaussians = make_gaussians(["tiny"] * 4000, 0)
    gaussians.means[:] = rng.normal(0, 5, gaussians.means.shape)
    camera = make_camera()
    pixels, depths = camera.project(gaussians.means)
    near = (depths > 0.01) & (np.abs(pixels - (WIDTH / 2, HEIGHT / 2)) < (WIDTH / 2 + 2, HEIGHT / 2 + 2)).all(axis=1)
    assert set(found(gaussians, camera)) <= set(np.flatnonzero(near))
    assert 0 < near.sum() < 2000


@pytest.mark.parametrize("count", [0, 1])
def test_none_and_one(count: int) -> None:
    gaussians = make_gaussians(["plain"], 3).select(np.arange(count))
    assert found(gaussians, make_camera()).tolist() == list(range(count))
    behind = make_gaussians(["behind"], 3).select(np.arange(count))
    assert found(behind, make_camera()).tolist() == []
