"""Where is up, what is the scene's middle, and from where does one look at it?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from splat.camera import Camera, View, look_at
from splat.gaussians import Gaussians

FIELD_OF_VIEW = 50.0  # degrees along the longer side
_ELEVATIONS = (20.0, 55.0)  # a picture from straight above shows no depth, one along the ground little ground
_FULL_TURN_GAP = 130.0  # degrees without a camera, up to which we still go round the whole scene
_SWAY = 25.0
_FARTHEST = 2.0  # times the photos' own distance
_CORE = (20.0, 80.0)  # percentiles of the positions that a picture should hold where photos say what matters
_BULK = (2.0, 98.0)  # percentiles of the positions between which the scene lies

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Framing:
    """How to look at a scene; lengths in its own units, angles in degrees.

    `azimuth` counts about `up`, counterclockwise from `east`; `sway` is how far to both sides of it the scene was seen
    (180: all round).
    """

    up: Vector
    east: Vector
    target: Vector
    radius: float
    elevation: float
    azimuth: float
    sway: float

    def camera(self, turn: float, width: int, height: int, elevation: float | None = None) -> Camera:
        """The camera `turn` degrees beside the best azimuth."""
        rise = math.radians(self.elevation if elevation is None else elevation)
        angle = math.radians(self.azimuth + turn)
        north = np.cross(self.up, self.east)
        outward = math.cos(angle) * self.east + math.sin(angle) * north
        eye = self.target + self.radius * (math.cos(rise) * outward + math.sin(rise) * self.up)
        return look_at(eye, self.target, self.up, width=width, height=height, field_of_view=FIELD_OF_VIEW)

    def turns(self, count: int) -> list[float]:
        """`count` angles of a closed way: all round, or swaying where the scene was seen from one side only."""
        if self.sway >= 180:
            return [360 * i / count for i in range(count)]
        return [self.sway * math.sin(2 * math.pi * i / count) for i in range(count)]


def frame_scene(gaussians: Gaussians, views: Sequence[View], z_up: bool) -> Framing:
    """Frame by the photos' cameras where there are some, else by the Gaussians alone, y-down unless `z_up`."""
    if views:
        return _by_views(gaussians, [view.camera for view in views], z_up)
    up = np.array([0.0, 0.0, 1.0]) if z_up else np.array([0.0, -1.0, 0.0])
    points = _solid(gaussians).astype(np.float64)
    low, high = np.percentile(points, _BULK, axis=0)
    framing = Framing(up, _east(up), (low + high) / 2, 1.0, _ELEVATIONS[0], 0.0, 180.0)
    inside = points[((points >= low) & (points <= high)).all(axis=1)]
    distances = [_fitting_distance(inside, framing.camera(turn, 16, 9)) for turn in framing.turns(8)]
    return replace(framing, radius=max(max(distances), 1e-3))


def _fitting_distance(points: Vector, camera: Camera) -> float:
    """How far back from its target, one unit ahead, a camera sees all `points` (N, 3), with a little room."""
    local = points @ camera.rotation.T + camera.translation
    local[:, 2] -= 1.0
    half_width, half_height = camera.cx / camera.fx, camera.cy / camera.fy
    needed = np.maximum(np.abs(local[:, 0]) / half_width, np.abs(local[:, 1]) / half_height) - local[:, 2]
    return 1.05 * float(np.percentile(needed, 99.5)) if len(points) else 1.0


def _by_views(gaussians: Gaussians, cameras: list[Camera], z_up: bool) -> Framing:
    up = np.array([0.0, 0.0, 1.0]) if z_up else _up_of(cameras)
    target = _looked_at(gaussians, cameras)
    offsets = np.array([camera.position for camera in cameras]) - target
    distances = np.linalg.norm(offsets, axis=1)
    heights = offsets @ up
    east = _east(up)
    azimuths = np.degrees(np.arctan2(offsets @ np.cross(up, east), offsets @ east)) % 360
    elevations = np.degrees(np.arcsin(np.clip(heights / np.maximum(distances, 1e-12), -1, 1)))
    elevation = float(np.clip(np.median(elevations), *_ELEVATIONS))
    nearest = int(np.argmin(np.abs(elevations - elevation)))
    order = np.sort(azimuths)
    gaps = np.diff(order, append=order[0] + 360)
    all_round = len(cameras) > 2 and float(gaps.max()) <= _FULL_TURN_GAP
    widest = int(gaps.argmax())
    middle = (order[widest] + gaps[widest] + (360 - gaps[widest]) / 2) % 360
    framing = Framing(
        up=up,
        east=east,
        target=target,
        radius=1.0,
        elevation=elevation,
        azimuth=float(azimuths[nearest] if all_round else middle),
        sway=180.0 if all_round else _SWAY,
    )
    seen_from = float(np.median(distances))
    points = _solid(gaussians).astype(np.float64)
    low, high = np.percentile(points, _CORE, axis=0)
    core = points[((points >= low) & (points <= high)).all(axis=1)]
    fitting = max(_fitting_distance(core, framing.camera(turn, 16, 9)) for turn in framing.turns(4))
    # a drone sees a part of the site at a time; the picture may stand back, but not so far that it shows the fringes
    return replace(framing, radius=float(np.clip(fitting, seen_from, _FARTHEST * seen_from)))


def _up_of(cameras: list[Camera]) -> Vector:
    """Up of a scene in no known frame: photographers hold cameras level; a drone that looks down flies level."""
    held = -np.mean([camera.rotation[1] for camera in cameras], axis=0)
    ahead = np.mean([camera.rotation[2] for camera in cameras], axis=0)
    positions = np.array([camera.position for camera in cameras])
    _, extent, axes = np.linalg.svd(positions - positions.mean(axis=0), full_matrices=False)
    if len(cameras) > 3 and extent[2] < 0.3 * extent[1]:
        normal = axes[2]
        return np.asarray(normal if normal @ (held - ahead) > 0 else -normal)
    guess = held if np.linalg.norm(held) > 0.3 else held - ahead
    length = float(np.linalg.norm(guess))
    return np.asarray(guess / length) if length > 1e-6 else np.array([0.0, -1.0, 0.0])


def _looked_at(gaussians: Gaussians, cameras: list[Camera]) -> Vector:
    """Middle of what the cameras see in the middle of their pictures."""
    points = _solid(gaussians)
    points = points[:: max(1, len(points) // 20_000)]
    seen = []
    for camera in cameras[:: max(1, len(cameras) // 40)]:
        pixels, depths = camera.project(points)
        place = pixels / (camera.width, camera.height)
        central = (depths > 0) & (np.abs(place - 0.5) < 0.2).all(axis=1)
        if np.count_nonzero(central) > 10:
            near = np.percentile(depths[central], 70)  # what is in front hides what is behind
            seen.append(np.median(points[central & (depths <= near)], axis=0))
    return np.median(seen if seen else points, axis=0).astype(np.float64)


def _solid(gaussians: Gaussians) -> NDArray[np.float32]:
    """Positions of the Gaussians more than half opaque; all, where none is."""
    solid = gaussians.means[gaussians.opacities > 0]
    return solid if len(solid) else gaussians.means


def _east(up: Vector) -> Vector:
    side = np.array([1.0, 0.0, 0.0]) if abs(up[0]) < 0.9 else np.array([0.0, 0.0, 1.0])
    side = side - (side @ up) * up
    return np.asarray(side / np.linalg.norm(side))
