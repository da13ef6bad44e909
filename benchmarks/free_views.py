"""Choose views of a generated flight that no photo has but customers use, by kind, in the generator's world."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from benchmarks.flights import LENS, camera_of
from sample.camera import Camera, world_to_camera
from sample.flight import FOCUS
from sample.solids import Floats
from sample.terrain import Terrain

WIDTH = 800  # pixels of every view
_MAX_BETWEEN = 8
_ROUND = 8  # views of a circle about the house
_LEVEL = 4
_DOWN = -0.9  # a camera whose axis points lower looks straight down
_TILT = np.radians(28.0)


def views(held_out: list[dict[str, Any]], trained: list[dict[str, Any]], land: Terrain) -> dict[str, list[Camera]]:
    """The cameras by kind; `held_out` and `trained` are poses of poses.json, in the order of the flight."""
    focus = land.on(*FOCUS) + np.array([0.0, 0.0, 2.0])
    return {
        "held-out": [camera_of(pose, WIDTH) for pose in held_out],
        "orbit": circle(focus, 40.0, 35.0),
        "wide": circle(focus, 70.0, 25.0),
        "between": between(trained, land),
        "near": [nearer(pose, land) for pose in held_out],
        "horizon": level(land),
    }


def at(centre: ArrayLike, forward: ArrayLike, up: ArrayLike = (0.0, 0.0, 1.0)) -> Camera:
    focal, height = LENS.focal_pixels(WIDTH), WIDTH * 3 // 4
    transform = world_to_camera(*(np.asarray(vector, float) for vector in (centre, forward, up)))
    return Camera(WIDTH, height, focal, focal, WIDTH / 2, height / 2, transform)


def circle(focus: Floats, distance: float, elevation: float) -> list[Camera]:
    """Cameras around the house, `distance` metres from it, `elevation` degrees above it."""
    rise = np.radians(elevation)
    cameras = []
    for azimuth in 2 * np.pi * (np.arange(_ROUND) + 0.5) / _ROUND:
        out = np.array([np.sin(azimuth) * np.cos(rise), np.cos(azimuth) * np.cos(rise), np.sin(rise)])
        cameras.append(at(focus + distance * out, -out))
    return cameras


def between(trained: list[dict[str, Any]], land: Terrain) -> list[Camera]:
    """Midway between two photos that look straight down, 30 % lower and tilted by 28°."""
    down = [pose for pose in trained if pose["world_to_camera"][2][2] < _DOWN]
    pairs = list(pairwise(down))
    cameras = []
    for one, other in pairs[:: max(1, len(pairs) // _MAX_BETWEEN)][:_MAX_BETWEEN]:
        centre = (np.array(one["centre"]) + np.array(other["centre"])) / 2
        centre[2] -= 0.3 * (centre[2] - land.height(centre[0], centre[1]))
        _, down_picture, forward = np.array(one["world_to_camera"])[:3, :3]
        cameras.append(at(centre, np.cos(_TILT) * forward - np.sin(_TILT) * down_picture, -down_picture))
    return cameras


def nearer(pose: dict[str, Any], land: Terrain) -> Camera:
    """A photo's view from half its distance."""
    centre, (_, down_picture, forward) = np.array(pose["centre"]), np.array(pose["world_to_camera"])[:3, :3]
    distance = (centre[2] - land.height(centre[0], centre[1])) / max(-forward[2], 0.3)
    return at(centre + distance / 2 * forward, forward, -down_picture)


def level(land: Terrain) -> list[Camera]:
    """12 m above the ground, 30 m from the house, looking at it nearly level: half of the picture is sky."""
    cameras = []
    for azimuth in 2 * np.pi * np.arange(_LEVEL) / _LEVEL:
        out = np.array([np.sin(azimuth), np.cos(azimuth), 0.0])
        centre = land.on(*FOCUS) + 30 * out + np.array([0.0, 0.0, 12.0])
        cameras.append(at(centre, [-out[0], -out[1], -0.05]))
    return cameras
