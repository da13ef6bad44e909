"""Geometry that the parts of stereo share: photos at the sizes of the sweep, warps between them, the base surface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splat.camera import Camera

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Floats = NDArray[np.floating[Any]]
Bool = NDArray[np.bool_]


@dataclass(frozen=True)
class Look:
    """A photo at one size of the sweep: its camera, grey levels (h, w) 0..255, and where its mask lets through."""

    camera: Camera
    grey: NDArray[np.uint8]
    shown: Bool | None


@dataclass(frozen=True)
class StereoPhoto:
    """A photo as stereo wants it: a look for each level, coarse to fine, the picture (h, w, 3) 0..255 of the finest,
    and the indices of its sparse points.
    """

    name: str
    looks: tuple[Look, ...]
    picture: NDArray[np.uint8]
    observed: NDArray[np.int64]

    @property
    def camera(self) -> Camera:
        """The camera of the finest look."""
        return self.looks[-1].camera


def pair_warp(camera: Camera, other: Camera) -> tuple[Float64, Float64]:
    """A (3, 3) and b (3,): pixel (x, y) of `camera` at inverse depth ρ is seen by `other` at A · (x, y, 1) + b · ρ,
    homogeneous, whose last element over ρ is the depth there.
    """
    rotation = other.rotation @ camera.rotation.T
    shift = other.translation - rotation @ camera.translation
    return other.intrinsics @ rotation @ np.linalg.inv(camera.intrinsics), other.intrinsics @ shift


def pixel_centres(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Float64:
    """Middles (M, 2) of pixels, x and y."""
    return np.stack([columns + 0.5, rows + 0.5], axis=1)


def ray_angle(camera: Camera, other: Camera, points: Float64) -> float:
    """Radians between the rays of two cameras to points (P, 3), median."""
    here, there = points - camera.position, points - other.position
    cosine = (here * there).sum(axis=1) / np.linalg.norm(here, axis=1) / np.linalg.norm(there, axis=1)
    return float(np.median(np.arccos(np.clip(cosine, -1, 1))))


def balls_in_view(camera: Camera, centres: Float64, radii: Float64) -> Bool:
    """(B,) whether a ball about `centres` (B, 3) of `radii` (B,) may show in the camera's picture: False only where it
    lies wholly behind the camera or beyond one side of the picture.
    """
    local = centres @ camera.rotation.T + camera.translation
    sides = np.array(
        [
            [0, 0, 1],
            [camera.fx, 0, camera.cx],
            [-camera.fx, 0, camera.width - camera.cx],
            [0, camera.fy, camera.cy],
            [0, -camera.fy, camera.height - camera.cy],
        ]
    )
    inwards = sides / np.linalg.norm(sides, axis=1, keepdims=True)
    return np.asarray((local @ inwards.T >= -radii[:, None]).all(axis=1))


def inverse_step(camera: Camera, others: list[Camera], inverse: float) -> float:
    """The change of inverse depth, about `inverse` in the middle of the picture, that moves the median of the others'
    pixels by one.
    """
    centre = np.array([camera.width / 2, camera.height / 2, 1.0])
    moves = []
    for other in others:
        matrix, shift = pair_warp(camera, other)
        here, there = matrix @ centre + shift * inverse, matrix @ centre + shift * inverse * 1.001
        moves.append(np.linalg.norm(here[:2] / here[2] - there[:2] / there[2]) / (0.001 * inverse))
    return float(1 / max(np.median(moves), 1e-9))


def base_surface(camera: Camera, points: Float64) -> tuple[Float64, Float64]:
    """Inverse depth (h, w), affine over the picture as that of a plane is, fitted robustly to `points` (P, 3); and the
    points' deviations from it, as shares of it. Beyond the horizon it stays at half the farthest points' inverse depth.
    """
    pixels, depths = camera.project(points)
    pixels, inverse = pixels[depths > 0], 1 / depths[depths > 0]
    rows = np.column_stack([pixels, np.ones(len(pixels))])
    weights: Float64 = np.ones(len(pixels))
    plane: Float64 = np.zeros(3)
    deviation: Float64 = inverse
    for _ in range(5):  # iteratively reweighted, Cauchy
        plane = np.asarray(np.linalg.lstsq(rows * weights[:, None], inverse * weights, rcond=None)[0], dtype=np.float64)
        deviation = inverse - rows @ plane
        scale = 1.4826 * float(np.median(np.abs(deviation))) + 1e-12
        weights = np.asarray(1 / np.sqrt(1 + (deviation / (2 * scale)) ** 2), dtype=np.float64)
    floor = 0.5 * np.quantile(inverse, 0.02)
    x, y = np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5
    surface = plane[0] * x[None] + plane[1] * y[:, None] + plane[2]
    return np.maximum(surface, floor), deviation / np.maximum(rows @ plane, floor)


def resized(values: Float32, width: int, height: int) -> Float32:
    """`values` (h, w) at another size, bilinear, pixel centres at +0.5."""
    h, w = values.shape
    y = np.clip((np.arange(height) + 0.5) * h / height - 0.5, 0, h - 1)
    x = np.clip((np.arange(width) + 0.5) * w / width - 0.5, 0, w - 1)
    top, left = np.minimum(y.astype(int), h - 2), np.minimum(x.astype(int), w - 2)
    down, along = (y - top).astype(np.float32)[:, None], (x - left).astype(np.float32)[None]
    upper = values[top][:, left] * (1 - along) + values[top][:, left + 1] * along
    lower = values[top + 1][:, left] * (1 - along) + values[top + 1][:, left + 1] * along
    return np.ascontiguousarray(upper * (1 - down) + lower * down, dtype=np.float32)
