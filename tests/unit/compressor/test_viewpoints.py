"""Viewpoints from which files are judged: near and far, of what is there, and from inside if there is room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from compressor.encode.quality import Yardstick, covered_pixels, draw, yardstick
from compressor.encode.viewpoints import exploring_cameras, measuring_cameras
from compressor.framing import frame_scene
from splat.camera import View, orbit
from splat.gaussians import Gaussians
from splat.loss import psnr
from splat.render import render_with_alpha

MakeSplat = Callable[..., Gaussians]


def moved(splat: Gaussians, offset: tuple[float, float, float]) -> Gaussians:
    return replace(splat, means=splat.means + np.array(offset, np.float32))


def room(count: int) -> Gaussians:
    """The six walls of an empty cube, 4 wide."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-2, 2, (count, 3))
    points[np.arange(count), rng.integers(0, 3, count)] = rng.choice([-2, 2], count)
    return Gaussians(
        means=points.astype(np.float32), quats=rng.normal(size=(count, 4)).astype(np.float32),
        scales=np.full((count, 3), np.log(0.1), np.float32), opacities=np.full(count, 3, np.float32),
        sh0=rng.normal(size=(count, 3)).astype(np.float32), shN=np.zeros((count, 0, 3), np.float32),
    )  # fmt: skip


def test_an_object_is_judged_large_and_every_third_time_from_nearby(make_splat: MakeSplat) -> None:
    splat = make_splat(400, 0)
    framing = frame_scene(splat, [], z_up=True)
    for cameras in (measuring_cameras(splat, [], framing), exploring_cameras(splat, [], framing)):
        distances = np.array([np.linalg.norm(camera.position - framing.target) for camera in cameras])
        near = np.isclose(distances, 0.4 * framing.radius)
        assert near.sum() == len(cameras) // 3
        assert np.isclose(distances[~near], framing.radius).all()
    assert {max(camera.width, camera.height) for camera in measuring_cameras(splat, [], framing)} == {960}


def test_a_room_is_judged_from_inside_too() -> None:
    splat = room(3000)
    framing = frame_scene(splat, [], z_up=True)
    cameras = measuring_cameras(splat, [], framing)
    inside = [camera for camera in cameras if np.abs(camera.position).max() < 1.5]
    assert len(inside) == 1
    _, alpha = render_with_alpha(splat, inside[0])
    assert alpha.mean() > 0.9, "it does not look at a wall"
    assert sum(np.abs(camera.position).max() < 1.5 for camera in exploring_cameras(splat, [], framing)) == 4


def test_photos_are_judged_large_and_every_third_from_half_the_distance(make_splat: MakeSplat) -> None:
    splat = make_splat(400, 0)
    cameras = orbit((0, 0, 0), 5, 60, 6, width=100, height=80)
    views = [View(f"{number}.jpg", "test", camera) for number, camera in enumerate(cameras)]
    framing = frame_scene(splat, views, z_up=True)
    chosen = measuring_cameras(splat, views, framing)
    assert [(camera.width, camera.height) for camera in chosen] == [(960, 768)] * 6
    for number, (camera, original) in enumerate(zip(chosen, cameras, strict=True)):
        assert np.allclose(camera.rotation, original.rotation)
        distance = np.linalg.norm(camera.position)
        assert distance == pytest.approx(2.5, abs=0.3) if number % 3 == 1 else distance == pytest.approx(5)


@pytest.mark.parametrize("limit", [12, 36])
def test_training_views_and_views_all_round_are_explored_and_held_out_ones_are_not(
    limit: int, make_splat: MakeSplat
) -> None:
    splat = make_splat(400, 0)
    train, test = (orbit((0, 0, 0), 5, rise, 40, width=100, height=80) for rise in (60, 80))
    views = [View(f"{n}.jpg", "train", camera) for n, camera in enumerate(train)]
    views += [View(f"{n}.jpg", "test", camera) for n, camera in enumerate(test)]
    framing = frame_scene(splat, views, z_up=True)
    cameras = exploring_cameras(splat, views, framing, limit)
    assert len(cameras) == limit
    own = [any(np.allclose(c.rotation, t.rotation) for t in train) for c in cameras]
    assert sum(own) == 2 * limit // 3
    distances = np.array([np.linalg.norm(c.position) for c, mine in zip(cameras, own, strict=True) if mine])
    assert np.count_nonzero(distances < 4) == round(len(distances) / 3)
    assert not any(np.allclose(c.rotation, t.rotation) for c in cameras for t in test)


def test_the_background_makes_no_file_better(make_splat: MakeSplat) -> None:
    """The same splat in pictures three times as wide, with empty margins: the same decibels."""
    splat = make_splat(300, 0)
    damaged = replace(splat, sh0=splat.sh0 + np.float32(0.1))
    stick = yardstick(splat, [], frame_scene(splat, [], z_up=True))
    wide = []
    for camera in stick.cameras:
        wide.append(replace(camera, width=3 * camera.width, cx=camera.cx + camera.width))
    covered = [covered_pixels(render_with_alpha(splat, camera)[1]) for camera in wide]
    with_margins = Yardstick(wide, [draw(splat, camera) for camera in wide], covered)
    decibels = psnr(stick.mean_squared_error(damaged))
    assert psnr(with_margins.mean_squared_error(damaged)) == pytest.approx(decibels, abs=0.3)
    whole = [float(np.square(draw(damaged, c) - p).mean()) for c, p in zip(wide, with_margins.pictures, strict=True)]
    assert psnr(float(np.mean(whole))) > decibels + 4, "the pictures are not empty"


def test_a_splat_that_no_view_shows_has_a_finite_error(make_splat: MakeSplat) -> None:
    splat = make_splat(1, 0)
    far = replace(splat, opacities=np.full(1, -5.4, np.float32), scales=np.full((1, 3), -20, np.float32))
    stick = yardstick(far, [], frame_scene(far, [], z_up=True))
    assert np.isfinite(stick.mean_squared_error(moved(far, (1, 0, 0))))
