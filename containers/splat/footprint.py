"""Estimate a scene's up direction, and the footprint of the part that was photographed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splat.camera import Camera
from splat.errors import InvalidSceneError
from splat.files import read_document
from splat.surroundings import Surroundings, plane_axes

MIN_PHOTOS = 3  # photos that must see a place for it to count as photographed; all photos, if there are fewer
_MAX_POINTS = 20_000
_MAX_DEPTH = 3.0  # times a photo's median depth: what is farther is too small in it to count
_DIRECTIONS = 32  # directions in which the footprint's corners lie
_EDGE = 99.0  # percentile of the places along a direction; outliers lie beyond
_RIM = 0.7  # share of the footprint's extent beyond which its rim begins
_GROUND = 30.0  # percentile of the heights at the rim: below the median, because trees and roofs rise above the ground
_CEILING = 99.5  # percentile of the heights
_HAZE = 8.0  # in radii of the footprint

Vector = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Footprint:
    """The photographed part of the ground. `corners` (N, 3): convex, counterclockwise seen from above, at the height
    `ground` along `up`; `ceiling`: the height up to which things were seen; `rim` (M,): which of the points given to
    `footprint_of` lie at its rim."""

    up: Vector
    ground: float
    ceiling: float
    corners: Vector
    rim: Mask

    def surroundings(
        self, ground_colour: Vector, horizon: Vector, zenith: Vector, *, photographed: bool
    ) -> Surroundings:
        """Surroundings of this footprint with the given colours (3,), 0..1."""
        radius = float(np.linalg.norm(self.corners - self.corners.mean(axis=0), axis=1).max())
        return Surroundings(
            up=self.up, ground=self.ground, ceiling=self.ceiling, haze=_HAZE * radius, footprint=self.corners,
            ground_colour=ground_colour, horizon=horizon, zenith=zenith, sky_photographed=photographed,
        )  # fmt: skip


def footprint_of(points: Vector, cameras: Sequence[Camera], up: Vector) -> Footprint:
    """The footprint of the `points` (M, 3) that enough `cameras` see from near, or of all points without cameras."""
    east, north = plane_axes(up)
    seen = _seen(points, cameras)
    places = np.stack([points @ east, points @ north], axis=1)
    angles = 2 * np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS
    directions = np.stack([np.cos(angles), np.sin(angles)])
    reach = places @ directions
    inside = seen & (reach <= np.percentile(reach[seen], _EDGE, axis=0)).all(axis=1)
    if not inside.any():
        inside = seen
    chosen = places[inside]
    corners = chosen[_in_order((chosen @ directions).argmax(axis=0))]
    if len(corners) < 3:  # all on one line, or one point
        room = max(float(np.ptp(chosen, axis=0).max()), 1e-3)
        corners = chosen.mean(axis=0) + room * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    centre = corners.mean(axis=0)
    extent = np.maximum(((corners - centre) @ directions).max(axis=0), 1e-12)
    rim = inside & (((places - centre) @ directions) / extent > _RIM).any(axis=1)
    if not rim.any():
        rim = inside
    heights = points @ up
    ground = float(np.percentile(heights[rim], _GROUND))
    ceiling = max(ground, float(np.percentile(heights[inside], _CEILING)))
    flat = corners[:, :1] * east + corners[:, 1:] * north + ground * up
    return Footprint(up, ground, ceiling, flat, rim)


def seen_from_near(camera: Camera, points: Vector) -> Mask:
    """(P,) which of `points` (P, 3) are in the camera's picture, and not so far away that they are too small in it."""
    pixels, depths = camera.project(points)
    inside = camera.contains(pixels, depths)
    return inside & (depths <= _MAX_DEPTH * np.median(depths[inside])) if inside.any() else inside


def _seen(points: Vector, cameras: Sequence[Camera]) -> Mask:
    """Which points enough cameras see from near; of many points only every n-th is tested."""
    asked = np.zeros(len(points), dtype=np.bool_)
    asked[:: math.ceil(len(points) / _MAX_POINTS)] = True
    if not cameras:
        return asked
    which = np.flatnonzero(asked)
    counts = np.zeros(len(which), dtype=np.int64)
    for camera in cameras:
        counts += seen_from_near(camera, points[which])
    seen = np.zeros(len(points), dtype=np.bool_)
    seen[which[counts >= min(MIN_PHOTOS, len(cameras), max(1, int(counts.max(initial=0))))]] = True
    return seen if seen.any() else asked


def _in_order(indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """The distinct indices in the order of their first appearance."""
    _, first = np.unique(indices, return_index=True)
    return np.asarray(indices[np.sort(first)], dtype=np.int64)


def is_georeferenced(path: Path) -> bool:
    """Whether georeference.json at `path` declares the scene georeferenced, and so z-up; False if there is no file.

    Raises InvalidSceneError if it is malformed.
    """
    try:
        return bool(read_document(path)["georeferenced"])
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidSceneError(f"{path.name} is malformed ({error!r})") from error


def up_of(cameras: Sequence[Camera]) -> Vector:
    """Estimate up (3,) in an unknown frame: photographers hold cameras level, and drones that look down fly level."""
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


def robust_mean(colours: Vector) -> Vector:
    """(3,) mean of those colours (N, 3) whose brightness lies between the 20th and 80th percentile; of two, of both."""
    brightness = colours.mean(axis=1)
    low, high = np.percentile(brightness, (20, 80))
    usual = (brightness >= low) & (brightness <= high)
    return np.asarray(colours[usual if usual.any() else slice(None)].mean(axis=0), dtype=np.float64)


def pale_sky(tone: Vector) -> tuple[Vector, Vector]:
    """Horizon and zenith, (3,) each, of a sky that no photo shows, from the photos' typical colour `tone` (3,).

    The brightness is 0.62 plus 0.45 times that of `tone`, at most 0.9; a tenth of its tint is added, and a little blue
    that increases towards the zenith.
    """
    brightness = float(tone.mean())
    tint = 0.1 * (tone - brightness)
    level = min(0.62 + 0.45 * brightness, 0.9)
    horizon = level + tint + np.array([-0.01, 0.0, 0.012])
    zenith = 0.84 * level + tint + np.array([-0.06, -0.005, 0.06])
    return np.clip(horizon, 0, 1), np.clip(zenith, 0, 1)
