"""Measure how well photos support another view of a scene, by the directions from which they saw it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splat.camera import Camera
from splat.footprint import seen_from_near

_MAX_POINTS = 500
_MAX_CAMERAS = 120
_ANGLE = 20.0  # degrees from a photo's ray at which support has fallen to 1/e

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Support:
    """`points` (P, 3) of the scene; `rays` (C, P, 3), unit vectors from these to the C cameras; `seen` (C, P), whether
    a camera sees a point."""

    points: Vector
    rays: Vector
    seen: NDArray[np.bool_]
    distance: float
    """The median distance from which the photos saw the scene."""

    def elevation(self, up: Vector, percentile: float) -> float:
        """Degrees above the horizon from which the scene was seen, the given percentile of all rays."""
        rises = (self.rays @ up)[self.seen]
        return math.degrees(math.asin(float(np.clip(np.percentile(rises, percentile), -1, 1)))) if len(rises) else 90.0

    def of(self, camera: Camera) -> float:
        """0..1: how near the rays of `camera` are to those of the photos, on average over the points that it sees."""
        pixels, depths = camera.project(self.points)
        inside = camera.contains(pixels, depths)
        if not inside.any():
            return 0.0
        towards = camera.position - self.points[inside]
        towards /= np.linalg.norm(towards, axis=1, keepdims=True)
        cosines = np.where(self.seen[:, inside], np.einsum("cpi,pi->cp", self.rays[:, inside], towards), -1.0)
        angles = np.degrees(np.arccos(np.clip(cosines.max(axis=0), -1, 1)))
        return float(np.mean(np.exp(-np.square(angles / _ANGLE))))


def support_of(points: Vector, cameras: Sequence[Camera]) -> Support:
    """The support of a scene by its photos' cameras, from samples of its `points` (N, 3) and of the cameras."""
    points = points[:: math.ceil(len(points) / _MAX_POINTS)]
    cameras = cameras[:: math.ceil(len(cameras) / _MAX_CAMERAS)]
    offsets = np.stack([camera.position for camera in cameras])[:, None] - points
    distances = np.linalg.norm(offsets, axis=2)
    seen = np.stack([seen_from_near(camera, points) for camera in cameras])
    own = distances[seen] if seen.any() else distances
    return Support(points, offsets / np.maximum(distances, 1e-12)[..., None], seen, float(np.median(own)))
