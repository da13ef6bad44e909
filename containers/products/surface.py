"""Compute the surface model and its σ from stereo's points and the splat's median heights.

Where both show the same surface, the result is their mean, weighted by their inverse variances. Where they show
different surfaces, it is that of stereo; without points, that of the splat.

On the sample, σ of a splat's height is a fifth of the fog that the ray passes (between a quarter and three quarters of
its light): 68 % of the cells are within 1.5 cm below 5 cm of fog, 3.5 cm at 10 to 20 cm, 20 cm at 0.5 to 1 m.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import prange
from numpy.typing import NDArray

from products.grid import Grid
from splat.depths import Crossing
from splat.gaussians import Float32
from splat.kernels import parallel_kernel

Vector = NDArray[np.float64]

SIGMA_OF_FOG = np.float32(0.2)
SIGMA_OF_CELL = np.float32(0.5)
THICKEST_FOG = np.float32(10.0)  # metres assumed where the splat does not stop three quarters of the light
REACH_CELLS = 8.0  # radius of the points to which a cell's height is fitted; those of dense.ply are about six apart
# a point belongs to the surface if its height differs by no more than this many metres plus this slope times distance
_ONE_SURFACE = 0.15
_SLOPE = 1.2
_JUMP = 0.5  # metres between a point's height and the splat's beyond which a larger difference counts no more
_MIN_PLANE = 5  # points needed to fit a plane; fewer are averaged
_RIDGE = 1e-3
# stereo and the splat show the same surface if they differ by less than this many σ of the difference, and metres
_ONE_SURFACE_SIGMAS = np.float32(3.0)
_ONE_SURFACE_APART = np.float32(0.3)
_DOUBT = np.float32(0.25)  # share of the difference between the two surfaces that is added to stereo's σ
_FARTHEST_APART = np.float32(2.0)  # metres at which that difference is capped


@dataclass(frozen=True)
class SurfacePoints:
    """Points (N, 3) on the grid in metres, sorted by square buckets of side `reach`; their `sigma` (N,) in metres."""

    points: Vector
    sigma: Float32
    starts: NDArray[np.int64]  # (buckets + 1,)
    across: int
    west: float
    north: float
    reach: float

    @classmethod
    def sorted(cls, points: Vector, sigma: Float32, cell: float) -> SurfacePoints:
        """Sort points (N, 3) into buckets for a grid with cells of `cell` metres."""
        reach = REACH_CELLS * cell
        west, north = (float(points[:, 0].min()), float(points[:, 1].max())) if len(points) else (0.0, 0.0)
        columns = ((points[:, 0] - west) / reach).astype(np.int64)
        rows = ((north - points[:, 1]) / reach).astype(np.int64)
        across, down = (int(part.max()) + 1 if len(part) else 1 for part in (columns, rows))
        bucket = rows * across + columns
        order = np.argsort(bucket, kind="stable")
        starts = np.searchsorted(bucket[order], np.arange(across * down + 1))
        return cls(points[order], sigma[order].astype(np.float32), starts, across, west, north, reach)


@dataclass(frozen=True)
class Surface:
    """`heights` (h, w) metres on the grid, NaN where unknown, and one `sigma` (h, w) of each."""

    heights: Float32
    sigma: Float32


def surface(points: SurfacePoints, splat: Crossing, alpha: Float32, grid: Grid) -> Surface:
    """The surface of one tile, from stereo's `points` and, where `alpha` is above one half, the `splat`'s heights."""
    x, y = grid.centres()
    heights = np.full((grid.height, grid.width), np.nan, np.float32)
    sigma = np.full((grid.height, grid.width), np.nan, np.float32)
    if len(points.points):
        frame = np.array([points.west, points.north, points.reach])
        _fitted(points.points, points.sigma, points.starts, points.across, frame, x, y, splat.median, heights, sigma)
        sigma = np.hypot(sigma, SIGMA_OF_CELL * np.float32(grid.cell))
    opaque = (alpha > 0.5) & np.isfinite(splat.median)
    return _combined(Surface(heights, sigma), Surface(splat.median, sigma_of_fog(splat.spread, grid.cell)), opaque)


def _combined(stereo: Surface, splat: Surface, opaque: NDArray[np.bool_]) -> Surface:
    """Combine stereo's surface with that of the splat, where this is `opaque`. Their errors are independent (a
    correlation of 0.09 on rings-0-20), and in thin fog the splat's are smaller: 1 cm, against 5 cm.

    Where the two differ by more than their σ explain, σ grows by the ratio (Birge, The calculation of errors by the
    method of least squares, 1932). Where they show different surfaces, stereo's σ grows by a share of the difference.
    """
    known = np.isfinite(stereo.heights)
    apart = np.where(known & opaque, np.abs(splat.heights - stereo.heights), np.float32(0))
    ratio = apart / np.hypot(stereo.sigma, splat.sigma)
    one = known & opaque & (ratio < _ONE_SURFACE_SIGMAS) & (apart < _ONE_SURFACE_APART)
    weight = np.where(one, stereo.sigma**2 / (stereo.sigma**2 + splat.sigma**2), np.float32(0))
    mean = stereo.heights + weight * np.where(one, splat.heights - stereo.heights, np.float32(0))
    of_mean = stereo.sigma * np.sqrt(1 - weight) * np.maximum(ratio, 1)
    of_stereo = np.hypot(stereo.sigma, _DOUBT * np.minimum(apart, _FARTHEST_APART))
    lone = ~known & opaque
    heights = np.where(lone, splat.heights, mean)
    sigma = np.where(lone, splat.sigma, np.where(one, of_mean, of_stereo))
    return Surface(heights.astype(np.float32), sigma.astype(np.float32))


def sigma_of_fog(spread: Float32, cell: float) -> Float32:
    """One σ (h, w) of the splat's heights in metres, from the fog that each ray passes."""
    fog = np.where(np.isfinite(spread), spread, THICKEST_FOG)
    found: Float32 = np.hypot(SIGMA_OF_CELL * np.float32(cell), SIGMA_OF_FOG * fog).astype(np.float32)
    return found


@parallel_kernel
def _fitted(
    points: Vector, sigmas: Float32, starts: NDArray[np.int64], across: int, frame: Vector, xs: Vector, ys: Vector,
    splat: Float32, heights: Float32, sigma: Float32,
) -> None:  # fmt: skip
    """Fit each cell's height by a plane through points of one surface: the surface of the point that is nearest in plan
    and in height to the splat, so that eaves stay where that point or the splat has them.
    """
    west, north, reach = frame[0], frame[1], frame[2]
    down = (starts.shape[0] - 1) // across
    for j in prange(ys.shape[0]):
        a = np.empty((3, 4))
        for i in range(xs.shape[0]):
            x, y, guess = xs[i], ys[j], np.float64(splat[j, i])
            column, row = int(np.floor((x - west) / reach)), int(np.floor((north - y) / reach))
            best, level = 1e9, 0.0
            for r in range(max(row - 1, 0), min(row + 2, down)):
                first, last = max(column - 1, 0), min(column + 1, across - 1)
                if first > last:
                    continue
                for k in range(starts[r * across + first], starts[r * across + last + 1]):
                    dx, dy = (points[k, 0] - x) / reach, (points[k, 1] - y) / reach
                    distance = dx * dx + dy * dy
                    if distance > 1.0:
                        continue
                    apart = (points[k, 2] - guess) / _JUMP
                    if apart == apart:  # not NaN: the splat has a height here
                        distance += min(apart * apart, 1.0)
                    if distance < best:
                        best, level = distance, points[k, 2]
            if best > 1e8:
                continue
            a[:] = 0.0
            count, squares, weights = 0, 0.0, 0.0
            for r in range(max(row - 1, 0), min(row + 2, down)):
                first, last = max(column - 1, 0), min(column + 1, across - 1)
                for k in range(starts[r * across + first], starts[r * across + last + 1]):
                    dx, dy = (points[k, 0] - x) / reach, (points[k, 1] - y) / reach
                    distance = dx * dx + dy * dy
                    z = points[k, 2] - level
                    if distance > 1.0 or abs(z) > _ONE_SURFACE + _SLOPE * reach * np.sqrt(distance):
                        continue
                    s = max(np.float64(sigmas[k]), 0.005)
                    w = np.exp(-4.0 * distance) / (s * s)
                    a[0, 0] += w
                    a[0, 1] += w * dx
                    a[0, 2] += w * dy
                    a[0, 3] += w * z
                    a[1, 1] += w * dx * dx
                    a[1, 2] += w * dx * dy
                    a[1, 3] += w * dx * z
                    a[2, 2] += w * dy * dy
                    a[2, 3] += w * dy * z
                    squares += w * z * z
                    weights += w
                    count += 1
            mean = a[0, 3] / weights
            height, left = mean, squares / weights - mean * mean
            if count >= _MIN_PLANE:
                xx = (a[1, 1] - a[0, 1] * a[0, 1] / weights) + _RIDGE * weights
                xy = a[1, 2] - a[0, 1] * a[0, 2] / weights
                yy = (a[2, 2] - a[0, 2] * a[0, 2] / weights) + _RIDGE * weights
                xz = a[1, 3] - a[0, 1] * mean
                yz = a[2, 3] - a[0, 2] * mean
                det = xx * yy - xy * xy
                east, south = (xz * yy - yz * xy) / det, (yz * xx - xz * xy) / det
                height = mean - (east * a[0, 1] + south * a[0, 2]) / weights
                left -= (east * xz + south * yz) / weights
            heights[j, i] = level + height
            sigma[j, i] = np.sqrt(max(left, 0.0) / count**0.5 + 1.0 / weights)
