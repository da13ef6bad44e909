"""A scene's up direction, its middle and the orbit around it, from photos' cameras or from the Gaussians alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from compressor.framing import frame_scene
from compressor.support import support_of
from splat.camera import View, look_at, orbit
from splat.gaussians import Gaussians

MakeSplat = Callable[..., Gaussians]


def rotation(seed: int) -> np.ndarray:
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q if np.linalg.det(q) > 0 else -q


def views(cameras: list) -> list[View]:  # type: ignore[type-arg]
    return [View(f"{i}.jpg", "train", camera) for i, camera in enumerate(cameras)]


def turned(splat: Gaussians, by: np.ndarray) -> Gaussians:
    return Gaussians(**{**vars(splat), "means": splat.means @ by.T})


@pytest.mark.parametrize("seed", range(4))
def test_up_is_found_in_any_frame_from_cameras_held_level(make_splat: MakeSplat, seed: int) -> None:
    turn = rotation(seed)
    up = turn @ (0, 0, 1)
    cameras = orbit((0, 0, 0), 6, 25, 12, width=64, height=48, up=up)
    framing = frame_scene(turned(make_splat(), turn), views(cameras), z_up=False)
    assert framing.up @ up > 0.99
    assert framing.sway == 180
    assert np.linalg.norm(framing.target) < 1
    assert framing.radius == pytest.approx(6, rel=0.2)


@pytest.mark.parametrize("seed", range(4))
def test_up_is_found_from_a_drone_that_looks_straight_down(make_splat: MakeSplat, seed: int) -> None:
    turn = rotation(seed)
    up = turn @ (0, 0, 1)
    grid = [(x, y, 5.0) for x in (-2, 0, 2) for y in (-2, 0, 2)]
    cameras = [look_at(turn @ eye, turn @ (eye[0], eye[1], 0), turn @ (0, 1, 0), width=64, height=48) for eye in grid]
    framing = frame_scene(turned(make_splat(), turn), views(cameras), z_up=False)
    assert framing.up @ up > 0.99
    assert framing.elevation <= 55  # never straight from above, because such a picture shows no depth
    assert framing.camera(0, 64, 48).position @ up > 0


def test_a_georeferenced_scene_is_z_up_whatever_the_cameras_say(make_splat: MakeSplat) -> None:
    cameras = orbit((0, 0, 0), 6, 30, 8, width=64, height=48, up=(0, 1, 0))
    assert frame_scene(make_splat(), views(cameras), z_up=True).up.tolist() == [0, 0, 1]


def test_a_scene_seen_from_one_side_is_not_turned_all_the_way(make_splat: MakeSplat) -> None:
    cameras = orbit((0, 0, 0), 6, 30, 36, width=64, height=48)[:9]  # 0° to 80°
    framing = frame_scene(make_splat(), views(cameras), z_up=True)
    middle = framing.camera(0, 64, 48).position
    assert framing.sway < 60
    assert max(abs(turn) for turn in framing.turns(24)) <= framing.sway
    expected = orbit((0, 0, 0), 6, 30, 36, width=64, height=48)[4].position
    assert np.degrees(np.arccos(middle @ expected / np.linalg.norm(middle) / np.linalg.norm(expected))) < 8


@pytest.mark.parametrize("z_up", [True, False])
def test_without_views_the_whole_scene_is_in_the_picture(make_splat: MakeSplat, z_up: bool) -> None:
    splat = make_splat()
    framing = frame_scene(splat, [], z_up)
    assert framing.up.tolist() == ([0, 0, 1] if z_up else [0, -1, 0])
    for turn in framing.turns(6):
        pixels, depths = framing.camera(turn, 160, 90).project(splat.means)
        inside = (depths > 0) & (pixels > 0).all(axis=1) & (pixels < (160, 90)).all(axis=1)
        assert inside.mean() > 0.93


def test_turns_close_and_start_ahead(make_splat: MakeSplat) -> None:
    framing = frame_scene(make_splat(), [], z_up=True)
    assert framing.turns(4) == [0, 90, 180, 270]


def test_one_gaussian_is_a_scene(make_splat: MakeSplat) -> None:
    framing = frame_scene(make_splat(1), [], z_up=False)
    assert np.isfinite(framing.camera(0, 16, 9).world_to_camera).all()


def grid_over(width: float, height: float) -> list[View]:
    """A flight that looks straight down."""
    eyes = [(x, y, height) for x in np.linspace(-width, width, 4) for y in np.linspace(-width, width, 4)]
    return views([look_at(eye, (*eye[:2], 0), (0, 1, 0), width=64, height=48) for eye in eyes])


def test_a_flight_that_looks_down_is_seen_first_from_where_photos_support_it(make_splat: MakeSplat) -> None:
    framing = frame_scene(make_splat(), grid_over(1.5, 4), z_up=True)
    assert framing.photo_distance is not None
    assert framing.photo_distance == pytest.approx(4, abs=1)
    assert framing.lowest == 25
    assert 35 <= framing.elevation <= 55
    assert framing.radius <= 1.3 * framing.photo_distance
    supported = support_of(make_splat().means.astype(float), [view.camera for view in grid_over(1.5, 4)])
    along_the_ground = replace(framing, elevation=10.0)
    assert supported.of(framing.camera(0, 64, 36)) > 2 * supported.of(along_the_ground.camera(0, 64, 36))


def test_the_first_view_is_near_the_photos_of_the_side_that_has_them(make_splat: MakeSplat) -> None:
    ring = orbit((0, 0, 0), 6, 35, 16, width=64, height=48)
    low = orbit((0, 0, 0), 6, 12, 2, width=64, height=48, start=40)
    framing = frame_scene(make_splat(), views(ring + low), z_up=True)
    assert 20 <= framing.elevation <= 40
    away = [np.linalg.norm(camera.position - framing.camera(0, 64, 36).position) for camera in ring + low]
    assert min(away) < 3
    assert framing.lowest is not None
    assert 0 < framing.lowest < 20


def test_a_view_from_a_photos_own_place_is_supported_and_one_from_below_is_not(make_splat: MakeSplat) -> None:
    points = make_splat().means.astype(float)
    cameras = orbit((0, 0, 0), 6, 35, 8, width=64, height=48)
    supported = support_of(points, cameras)
    assert supported.of(cameras[3]) > 0.99
    assert supported.of(look_at((0, 5, -5), (0, 0, 0), width=64, height=48)) < 0.1
    assert supported.of(look_at((0, 0, 5), (0, 0, 9), width=64, height=48)) == 0
    assert 15 < supported.elevation(np.array([0.0, 0.0, 1.0]), 5) < 35
