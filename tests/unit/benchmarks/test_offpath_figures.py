"""The figures for a splat's quality off the flight path: each on inputs whose result is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.transform import Rotation

from benchmarks.contact_sheet import WIDTH, save_sheet
from benchmarks.drawing import over
from benchmarks.fog import axes_of, in_colours, share_in_the_air
from benchmarks.similarity import similarity
from benchmarks.splat_figures import shape, weights
from benchmarks.truth_views import TrueView, Truth, in_the_air, load, save
from sample.camera import Camera as TrueCamera
from sample.camera import world_to_camera
from splat.camera import look_at
from splat.gaussians import Gaussians
from splat.render import render, render_with_alpha

DOWN, NORTH = np.array([0.0, 0.0, -1.0]), np.array([0.0, 1.0, 0.0])


def above(height: float, width: int = 80) -> TrueCamera:
    """A camera that looks straight down from `height` over the origin."""
    transform = world_to_camera(np.array([0.0, 0.0, height]), DOWN, NORTH)
    return TrueCamera(width, width * 3 // 4, width, width, width / 2, width * 3 / 8, transform)


def gaussians(means: np.ndarray, deviations: np.ndarray, opacity: float = 0.9) -> Gaussians:
    count = len(means)
    return Gaussians(
        means=means,
        quats=np.tile([1.0, 0, 0, 0], (count, 1)),
        scales=np.log(deviations),
        opacities=np.full(count, np.log(opacity / (1 - opacity))),
        sh0=np.zeros((count, 3), np.float32),
        shN=np.zeros((count, 0, 3), np.float32),
    )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.05, 20.0))
def test_a_similarity_is_found_again_and_carries_cameras(seed: int, scale: float) -> None:
    random = np.random.default_rng(seed)
    points = random.normal(0, 10, (12, 3))
    rotation = Rotation.random(random_state=seed).as_matrix()
    shift = random.normal(0, 5, 3)
    found = similarity(points, scale * points @ rotation.T + shift)
    assert found.scale == pytest.approx(scale, rel=1e-6)
    assert np.allclose(found.rotation, rotation, atol=1e-6)
    assert np.allclose(found.back(found.points(points)), points, atol=1e-6)
    assert found.off < 1e-6 * scale * 10
    camera = above(30.0)
    pixels, depths = camera.project(points)
    moved_pixels, moved_depths = found.camera(camera).project(found.points(points))
    assert np.allclose(moved_depths, scale * depths, atol=1e-5 * scale)
    front = depths > 1
    assert np.allclose(moved_pixels[front], pixels[front], atol=1e-3)


def test_a_mirrored_cloud_is_not_taken_for_a_turn() -> None:
    points = np.random.default_rng(1).normal(size=(20, 3))
    found = similarity(points, points * [1, 1, -1])
    assert np.linalg.det(found.rotation) == pytest.approx(1.0)
    assert found.off > 0.1


def test_what_a_splat_does_not_cover_shows_the_background() -> None:
    camera = look_at([0, 0, 5], [0, 0, 0], up=(0, 1, 0), width=64, height=48)
    splat = gaussians(np.array([[0.0, 0.0, 0.0]]), np.full((1, 3), 0.3), opacity=0.99)
    image, coverage = render_with_alpha(splat, camera)
    background = np.full((48, 64, 3), (0.2, 0.4, 0.8), np.float32)
    shown = over(image, coverage, background)
    assert np.allclose(shown, render(splat, camera, (0.2, 0.4, 0.8)), atol=1e-6)
    assert np.allclose(shown[0, 0], (0.2, 0.4, 0.8))
    assert coverage[24, 32] > 0.95


def test_weights_add_up_to_what_the_picture_is_covered_by() -> None:
    camera = look_at([0, 0, 5], [0, 0, 0], up=(0, 1, 0), width=64, height=48)
    means = np.array([[0.0, 0, 0], [0.1, 0, -1], [0, 0.2, 1], [0, 0, 50.0]])  # the last behind the camera
    splat = gaussians(means, np.full((4, 3), 0.3), opacity=0.8)
    found = weights(splat, camera)
    assert found.sum() == pytest.approx(render_with_alpha(splat, camera)[1].sum(), rel=1e-4)
    assert found[3] == 0
    image = render(in_colours(splat, np.array([0, 0, 1, 0], np.float32)[:, None].repeat(3, axis=1)), camera)
    assert image[..., 0].sum() == pytest.approx(found[2], rel=1e-4)


def test_shape_counts_needles_long_ones_and_what_nobody_sees() -> None:
    camera = look_at([0, 0, 10], [0, 0, 0], up=(0, 1, 0), width=64, height=48)
    means = np.array([[0.0, 0, 0], [0, 0, 0], [0, 0, 0], [500.0, 0, 0]])
    deviations = np.array([[0.1, 0.1, 0.1], [0.5, 0.04, 0.04], [2.0, 2.0, 0.1], [0.1, 0.1, 0.1]])
    found = shape(gaussians(means, deviations, opacity=0.3), [camera], viewing_distance=10.0)
    assert (found.needles, found.long, found.unseen) == (0.25, 0.25, 0.25)
    assert found.opacity == pytest.approx([0.3] * 4, abs=1e-5)


def test_air_is_what_some_view_looks_through() -> None:
    camera = above(20.0)
    depths = np.full((60, 80), 20.0, np.float32)
    depths[:, :40] = np.inf  # sky, or a hole
    ground, leaf, fog, cellar = [2.0, 0, 0], [2.0, 0, 0.3], [2.0, 0, 5.0], [2.0, 0, -3.0]
    before_the_sky, beside, behind = [-2.0, 0, 0.0], [90.0, 0, 5.0], [0, 0, 30.0]
    points = np.array([ground, leaf, fog, cellar, before_the_sky, beside, behind])
    assert in_the_air(points, [(camera, depths)]).tolist() == [False, False, True, False, True, False, False]
    # leaves beside a surface are no error: the nearest surface around a pixel counts
    assert not in_the_air(np.array([[-0.2, 0, 0.0]]), [(camera, depths)])[0]


def test_a_tall_gaussian_on_the_ground_is_partly_in_the_air() -> None:
    camera = above(20.0)
    maps = [(camera, np.full((60, 80), 20.0, np.float32))]
    same = similarity(np.eye(3), np.eye(3))
    deviations = np.array([[3.0, 3.0, 0.1], [0.1, 0.1, 3.0]])
    found = share_in_the_air(gaussians(np.zeros((2, 3)), deviations), same, maps)
    assert found == pytest.approx([0.0, 1 / 7])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_axes_are_the_columns_of_the_rotation(seed: int) -> None:
    turns = Rotation.random(5, random_state=seed)
    splat = gaussians(np.zeros((5, 3)), np.ones((5, 3)))
    x, y, z, w = turns.as_quat().T
    turned = replace(splat, quats=(2.5 * np.stack([w, x, y, z], axis=1)).astype(np.float32))
    assert np.allclose(axes_of(turned), turns.as_matrix().transpose(0, 2, 1), atol=1e-5)


def test_truth_is_read_as_it_was_written(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    view = TrueView(
        above(20.0, 800),
        random.integers(0, 255, (600, 800, 3)).astype(np.uint8),
        random.integers(0, 9, (300, 400)).astype(np.uint8),
        random.uniform(1, 50, (300, 400)).astype(np.float32),
    )
    photo = (above(30.0), view.depths[:60, :80])
    save(tmp_path / "truth.npz", Truth({"orbit": [view, view], "wide": []}, [photo]))
    found = load(tmp_path / "truth.npz")
    assert len(found.views["orbit"]) == 2
    kept = found.views["orbit"][1]
    assert np.array_equal(kept.picture, view.picture)
    assert np.array_equal(kept.depths, view.depths)
    assert kept.seen(4).shape == (600, 800)
    assert np.array_equal(kept.seen(4)[::2, ::2], view.seen_by >= 4)
    assert np.array_equal(kept.camera.world_to_camera, view.camera.world_to_camera)
    assert (kept.camera.width, kept.camera.fx) == (800, 800)
    assert np.array_equal(found.photos[0][1], photo[1])
    assert len(found.maps) == 3


def test_a_sheet_holds_every_picture(tmp_path: Path) -> None:
    white, grey = np.ones((30, 40, 3), np.float32), np.full((20, 40, 3), 0.5, np.float32)
    save_sheet(tmp_path / "sheet.jpg", [[white], [], [grey, white]])
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert sheet.size == (2 * WIDTH, 300 + 300)
        pixels = np.asarray(sheet)
    assert pixels[150, 200].min() > 250
    assert abs(int(pixels[400, 200, 0]) - 128) < 4
    assert pixels[150, 600].max() < 5
