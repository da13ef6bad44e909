"""Fit a similarity between two sets of points (Umeyama 1991), from the generator's world to the splat's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sample.camera import Camera as TrueCamera
from splat.camera import Camera

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Similarity:
    """to = scale · rotation · from + shift; `off`: mean distance of the fitted points, in units of `to`."""

    scale: float
    rotation: Float64
    shift: Float64
    off: float

    def points(self, points: Float64) -> Float64:
        """(N, 3) carried over."""
        return self.scale * points @ self.rotation.T + self.shift

    def back(self, points: Float64) -> Float64:
        """(N, 3) carried back."""
        return (points - self.shift) @ self.rotation / self.scale

    def camera(self, camera: TrueCamera) -> Camera:
        """The same view of the world carried over."""
        matrix = self.pose(camera.world_to_camera[:3, :3], camera.centre)
        return Camera(camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy, matrix)

    def pose(self, rotation: Float64, centre: Float64) -> Float64:
        """(4, 4) world to camera of a camera carried over, of its own `rotation` (3, 3) and `centre` (3,)."""
        matrix = np.eye(4)
        matrix[:3, :3] = rotation @ self.rotation.T
        matrix[:3, 3] = -matrix[:3, :3] @ self.points(centre[None])[0]
        return matrix


def similarity(given: Float64, found: Float64) -> Similarity:
    """The one that brings `given` (N, 3) nearest to `found` (N, 3)."""
    a, b = given - given.mean(0), found - found.mean(0)
    left, sizes, right = np.linalg.svd(b.T @ a)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = left @ np.diag(signs) @ right
    scale = float((sizes * signs).sum() / (a**2).sum())
    shift = found.mean(0) - scale * rotation @ given.mean(0)
    moved = scale * given @ rotation.T + shift
    return Similarity(scale, rotation, shift, float(np.linalg.norm(found - moved, axis=1).mean()))
