"""Frame a scene: its centre, its first view, and the elevations from which it may be viewed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from compressor.support import Support, support_of
from splat.camera import Camera, View, look_at
from splat.footprint import up_of
from splat.gaussians import Gaussians
from splat.surroundings import plane_axes

FIELD_OF_VIEW = 50.0  # degrees along the longer side
_ELEVATIONS = (20.0, 55.0)  # range for the first view: a higher one shows no depth, a lower one little ground
_ELEVATION_STEP = 5.0
_AZIMUTHS = 24
_FLATNESS = 0.3  # support by which a view from straight above is valued less than one along the ground
# Degrees above the horizon below which the page's camera may not go. Flights that look straight down: 24.6 dB at 35°
# and 24.8 at 25°, compared with 21.2 along the horizon, over the places that three photos see.
_MAX_LOWEST = 25.0
_BELOW_PHOTOS = 15.0  # how much lower than the photos the camera may look
_LOW_RAYS = 5.0  # percentile of the elevations of the photos' rays
_MIN_LOWEST = 5.0  # the lowest elevation allowed, unless photos looked from lower
_FULL_TURN_GAP = 130.0  # the widest gap without a camera for which the orbit still goes all the way round
_SWAY = 25.0
_FARTHEST = 1.3  # times the photos' own distance
_CORE = (20.0, 80.0)  # percentiles of the positions that the first view must contain, if there are photos
_BULK = (2.0, 98.0)  # percentiles of the positions that bound the scene

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Framing:
    """How to view a scene; lengths in its own units, angles in degrees.

    `azimuth` is measured counterclockwise about `up` from `east`. `sway` is the angle to both sides of it from which
    the scene was seen (180: all round). `lowest` is the elevation below which photos support no view, and
    `photo_distance` the distance from which they saw the scene; both are None without photos.
    """

    up: Vector
    east: Vector
    target: Vector
    radius: float
    elevation: float
    azimuth: float
    sway: float
    lowest: float | None = None
    photo_distance: float | None = None

    def camera(self, turn: float, width: int, height: int, elevation: float | None = None) -> Camera:
        """The camera `turn` degrees beside the best azimuth."""
        rise = math.radians(self.elevation if elevation is None else elevation)
        angle = math.radians(self.azimuth + turn)
        north = np.cross(self.up, self.east)
        outward = math.cos(angle) * self.east + math.sin(angle) * north
        eye = self.target + self.radius * (math.cos(rise) * outward + math.sin(rise) * self.up)
        return look_at(eye, self.target, self.up, width=width, height=height, field_of_view=FIELD_OF_VIEW)

    def turns(self, count: int) -> list[float]:
        """`count` angles of a closed path: all round, or to and fro if the scene was seen from one side only."""
        if self.sway >= 180:
            return [360 * i / count for i in range(count)]
        return [self.sway * math.sin(2 * math.pi * i / count) for i in range(count)]


def frame_scene(
    gaussians: Gaussians, views: Sequence[View], z_up: bool, marked_up: Sequence[float] | None = None
) -> Framing:
    """Frame a scene by the photos' cameras, or by the Gaussians alone if there are none.

    Without cameras, up is z if the scene is georeferenced (`z_up`), otherwise the file's mark (`marked_up`), or −y.
    """
    if views:
        return _by_views(gaussians, [view.camera for view in views], z_up)
    up = np.array((0.0, 0.0, 1.0) if z_up else marked_up or (0.0, -1.0, 0.0))
    points = gaussians.means[solid(gaussians)].astype(np.float64)
    low, high = np.percentile(points, _BULK, axis=0)
    framing = Framing(up, plane_axes(up)[0], (low + high) / 2, 1.0, _ELEVATIONS[0], 0.0, 180.0)
    inside = points[((points >= low) & (points <= high)).all(axis=1)]
    distances = [_fitting_distance(inside, framing.camera(turn, 16, 9)) for turn in framing.turns(8)]
    return replace(framing, radius=max(max(distances), 1e-3))


def _fitting_distance(points: Vector, camera: Camera) -> float:
    """The distance from its target at which a camera sees all `points` (N, 3), with a small margin. The given camera is
    one unit from the target.
    """
    local = points @ camera.rotation.T + camera.translation
    local[:, 2] -= 1.0
    half_width, half_height = camera.cx / camera.fx, camera.cy / camera.fy
    needed = np.maximum(np.abs(local[:, 0]) / half_width, np.abs(local[:, 1]) / half_height) - local[:, 2]
    return 1.05 * float(np.percentile(needed, 99.5)) if len(points) else 1.0


def _by_views(gaussians: Gaussians, cameras: list[Camera], z_up: bool) -> Framing:
    up = np.array([0.0, 0.0, 1.0]) if z_up else up_of(cameras)
    target = _looked_at(gaussians, cameras)
    offsets = np.array([camera.position for camera in cameras]) - target
    east, north = plane_axes(up)
    order = np.sort(np.degrees(np.arctan2(offsets @ north, offsets @ east)) % 360)
    gaps = np.diff(order, append=order[0] + 360)
    all_round = len(cameras) > 2 and float(gaps.max()) <= _FULL_TURN_GAP
    widest = int(gaps.argmax())
    middle = float((order[widest] + gaps[widest] + (360 - gaps[widest]) / 2) % 360)
    points = gaussians.means[solid(gaussians)].astype(np.float64)
    low, high = np.percentile(points, _CORE, axis=0)
    core = points[((points >= low) & (points <= high)).all(axis=1)]
    support = support_of(core if len(core) else points, cameras)
    seen_low = support.elevation(up, _LOW_RAYS)
    lowest = min(_MAX_LOWEST, max(seen_low - _BELOW_PHOTOS, min(seen_low, _MIN_LOWEST)))
    framing = Framing(
        up=up,
        east=east,
        target=target,
        radius=support.distance,
        elevation=_ELEVATIONS[1],
        azimuth=middle,
        sway=180.0 if all_round else _SWAY,
        lowest=lowest,
        photo_distance=support.distance,
    )
    # a drone sees a part of the site at a time: the view may be farther away, but not so far that it shows the fringes
    fitting = max(_fitting_distance(core, framing.camera(turn, 16, 9)) for turn in framing.turns(4))
    framing = replace(framing, radius=float(np.clip(fitting, support.distance, _FARTHEST * support.distance)))
    azimuths = 360 * np.arange(_AZIMUTHS) / _AZIMUTHS if all_round else [middle]
    start = max(lowest, min(_ELEVATIONS[0], support.elevation(up, 50)))
    elevations = np.arange(start, max(start, _ELEVATIONS[1]) + 1e-6, _ELEVATION_STEP)
    candidates = [replace(framing, azimuth=float(a), elevation=float(e)) for e in elevations for a in azimuths]
    return max(candidates, key=lambda candidate: _worth(candidate, support))


def _worth(framing: Framing, support: Support) -> float:
    """How well photos support the view, minus a little for a view from high above, which shows no depth."""
    return support.of(framing.camera(0, 16, 9)) - _FLATNESS * math.sin(math.radians(framing.elevation))


def _looked_at(gaussians: Gaussians, cameras: list[Camera]) -> Vector:
    """The median of what the cameras see at the centre of their pictures."""
    points = gaussians.means[solid(gaussians)]
    points = points[:: max(1, len(points) // 20_000)]
    seen = []
    for camera in cameras[:: max(1, len(cameras) // 40)]:
        pixels, depths = camera.project(points)
        place = pixels / (camera.width, camera.height)
        central = (depths > 0) & (np.abs(place - 0.5) < 0.2).all(axis=1)
        if np.count_nonzero(central) > 10:
            near = np.percentile(depths[central], 70)  # nearer things hide farther ones
            seen.append(np.median(points[central & (depths <= near)], axis=0))
    return np.median(seen if seen else points, axis=0).astype(np.float64)


def solid(gaussians: Gaussians) -> NDArray[np.bool_]:
    """(N,) which Gaussians are more than half opaque; all of them if none is."""
    opaque = gaussians.opacities > 0
    return opaque if opaque.any() else np.ones_like(opaque)
