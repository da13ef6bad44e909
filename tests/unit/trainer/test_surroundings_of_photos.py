"""Colours of ground and sky from photos with known pixels."""

from __future__ import annotations

import numpy as np
import pytest

from splat.camera import Camera, look_at
from splat.footprint import pale_sky
from trainer.surroundings import surroundings_of

UP = np.array([0.0, 0.0, 1.0])
GRASS, FIELD = np.array([0.25, 0.4, 0.15]), np.array([0.5, 0.45, 0.3])  # in the middle, and around it
HORIZON, ZENITH = np.array([0.85, 0.87, 0.9]), np.array([0.3, 0.5, 0.8])

Picture = np.ndarray


def points() -> np.ndarray:
    rng = np.random.default_rng(2)
    return np.column_stack([rng.uniform(-20, 20, (3000, 2)), np.zeros(3000)])


def photo(camera: Camera, sky: bool = True) -> Picture:
    """The level ground z = 0: grass within 6 of the middle, fields beyond; and a sky, or a dark forest in its place."""
    rows, columns = np.mgrid[0 : camera.height, 0 : camera.width] + 0.5
    local = np.stack([(columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy, np.ones_like(rows)], axis=-1)
    rays = local @ camera.rotation
    rise = rays[..., 2] / np.linalg.norm(rays, axis=-1)
    away = camera.position[2] / np.maximum(-rays[..., 2], 1e-6)
    place = camera.position[:2] + away[..., None] * rays[..., :2]
    ground = np.where(np.hypot(*np.moveaxis(place, -1, 0))[..., None] < 6, GRASS, FIELD)
    climb = (1 - (1 - np.clip(rise, 0, 1)) ** 3)[..., None]
    above = HORIZON + climb * (ZENITH - HORIZON) if sky else np.broadcast_to([0.1, 0.15, 0.08], ground.shape)
    picture = np.where(rise[..., None] < 0, ground, above)
    noise = np.random.default_rng(0).normal(0, 0.02, picture.shape)
    return np.asarray(np.rint(np.clip(picture + noise, 0, 1) * 255), dtype=np.uint8)


def nadir() -> list[Camera]:
    return [
        look_at((x, y, 15), (x, y, 0), (0, 1, 0), width=128, height=96) for x in (-8, -3, 3, 8) for y in (-8, -3, 3, 8)
    ]


def level(rise: float) -> list[Camera]:
    """Cameras in all directions, looking outwards and `rise` up per metre."""
    return [
        look_at((0, 0, 10), (np.cos(turn), np.sin(turn), 10 + rise), UP, width=128, height=96)
        for turn in np.linspace(0, 2 * np.pi, 8, endpoint=False)
    ]


def test_the_ground_has_the_colour_of_the_rim_not_of_the_middle() -> None:
    cameras = nadir()
    found = surroundings_of(points(), cameras, [(camera, photo(camera)) for camera in cameras], UP)
    assert found.ground_colour == pytest.approx(FIELD, abs=0.03)
    assert found.ground == pytest.approx(0, abs=0.01)
    assert 8 < found.radius < 25


def test_a_flight_that_looks_down_gets_a_pale_sky_after_its_photos() -> None:
    cameras = nadir()
    pictures = [(camera, photo(camera)) for camera in cameras]
    found = surroundings_of(points(), cameras, pictures, UP)
    assert not found.sky_photographed
    tone = np.concatenate([picture.reshape(-1, 3) for _, picture in pictures]).mean(axis=0) / 255
    horizon, zenith = pale_sky(tone)
    assert found.horizon == pytest.approx(horizon, abs=0.03)
    assert found.zenith == pytest.approx(zenith, abs=0.03)


def test_the_sky_has_the_photos_own_colours_where_they_saw_it() -> None:
    cameras = nadir() + level(0.3)
    found = surroundings_of(points(), cameras, [(camera, photo(camera)) for camera in cameras], UP)
    assert found.sky_photographed
    assert found.horizon == pytest.approx(HORIZON, abs=0.06)
    assert found.zenith == pytest.approx(ZENITH, abs=0.12)  # extrapolated from what was seen up to about 40°


def test_a_wood_above_the_horizon_is_no_sky() -> None:
    cameras = nadir() + level(0.3)
    found = surroundings_of(points(), cameras, [(camera, photo(camera, sky=False)) for camera in cameras], UP)
    assert not found.sky_photographed
    assert found.horizon.mean() > 0.7
