"""Find where rays meet a splat: the depth at which half of the light is gone, and the thickness of the fog around it.

The median depth is that of the surface. The mean is a metre too near on the sample, because it includes the thin haze
of Gaussians in front of the cameras.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import prange

from splat.blending import MAX_ALPHA
from splat.camera import Camera
from splat.gaussians import Float32, Gaussians
from splat.kernels import HALF, ONE, ZERO, parallel_kernel
from splat.projection import (
    ALPHA_THRESHOLD,
    HALF_A,
    HALF_C,
    SIGMA_LIMIT,
    B,
    Projected,
    X,
    Y,
    packed,
    project,
)
from splat.tiles import TILE, Int32, TileLists, tile_lists

_QUARTER, _THREE_QUARTERS = np.float32(0.25), np.float32(0.75)


@dataclass(frozen=True)
class Crossing:
    """Per pixel: `median` (h, w), the depth at which half of the light is gone, and `spread` (h, w), the distance
    between the depths at which a quarter and three quarters are gone; NaN where the splat does not stop that much.
    """

    median: Float32
    spread: Float32


def crossings(projected: Projected, lists: TileLists, width: int, height: int) -> Crossing:
    """Find where the rays of a picture meet the Gaussians, each taken to be at the depth of its centre."""
    out = np.empty((height, width, 2), np.float32)
    _crossings(
        projected.footprints, projected.opacities, projected.depths, lists.starts, lists.gaussians, out
    )  # fmt: skip
    return Crossing(out[..., 0].copy(), out[..., 1].copy())


def depth_map(gaussians: Gaussians, camera: Camera) -> Crossing:
    """Depths along the viewing axis of what `camera` sees."""
    projected = project(
        gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.sh0, gaussians.shN[:, :0],
        packed(camera), camera.width, camera.height, 0,
    )  # fmt: skip
    lists = tile_lists(projected.footprints, projected.depths, camera.width, camera.height)
    return crossings(projected, lists, camera.width, camera.height)


@parallel_kernel
def _crossings(
    footprints: Float32, opacities: Float32, depths: Float32, starts: Int32, gaussians: Int32, out: Float32
) -> None:
    height, width = out.shape[:2]
    across = (width + TILE - 1) // TILE
    for tile in prange(starts.shape[0] - 1):
        left, top = tile % across * TILE, tile // across * TILE
        for y in range(top, min(top + TILE, height)):
            for x in range(left, min(left + TILE, width)):
                t = ONE
                median = first = last = np.float32(np.nan)
                for hit in range(starts[tile], starts[tile + 1]):
                    i = gaussians[hit]
                    dx, dy = np.float32(x) + HALF - footprints[i, X], np.float32(y) + HALF - footprints[i, Y]
                    sigma = (
                        footprints[i, HALF_A] * dx * dx + footprints[i, B] * dx * dy + footprints[i, HALF_C] * dy * dy
                    )
                    if not sigma <= footprints[i, SIGMA_LIMIT]:
                        continue
                    alpha = min(opacities[i] * np.exp(-max(sigma, ZERO)), MAX_ALPHA)
                    if alpha < ALPHA_THRESHOLD:
                        continue
                    after = t * (ONE - alpha)
                    if t >= _THREE_QUARTERS and after < _THREE_QUARTERS:
                        first = depths[i]
                    if t >= HALF and after < HALF:
                        median = depths[i]
                    if t >= _QUARTER and after < _QUARTER:
                        last = depths[i]
                        break
                    t = after
                out[y, x, 0] = median
                out[y, x, 1] = last - first
