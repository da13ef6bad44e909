"""Draw a splat from straight above with parallel rays, which makes the picture a map.

Only the projection differs from that of a camera. Its Jacobian is constant, so that the 2D Gaussian is exact where EWA
approximates. Tile lists and blending are the same as for cameras. Harmonics are evaluated from straight above.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import prange
from numpy.typing import NDArray

from splat.blending import blend
from splat.culling import REACH
from splat.depths import Crossing, crossings
from splat.gaussians import Float32, Float64, Gaussians
from splat.harmonics import sh_basis
from splat.kernels import ONE, ZERO, parallel_kernel
from splat.projection import ALPHA_THRESHOLD, BLUR, Projected, write_colour, write_footprint
from splat.tiles import tile_lists

_BLOCK = 256  # Gaussians per task
_ABOVE = 1.0  # scene units above the highest Gaussian, where the rays begin


@dataclass(frozen=True)
class FromAbove:
    """A map of a splat: `rgb` (h, w, 3) on black, `alpha` (h, w), and `heights` (not depths) where the rays meet it."""

    rgb: Float32
    alpha: Float32
    heights: Crossing


def draw_from_above(gaussians: Gaussians, west: float, north: float, cell: float, width: int, height: int) -> FromAbove:
    """Draw a map of `width` by `height` cells of size `cell` whose top left corner is (`west`, `north`)."""
    near = gaussians.select(within(gaussians, west, north, cell, width, height))
    if not len(near):
        nothing, unknown = np.zeros((height, width), np.float32), np.full((height, width), np.nan, np.float32)
        return FromAbove(np.zeros((height, width, 3), np.float32), nothing, Crossing(unknown, unknown.copy()))
    top = float(near.means[:, 2].max()) + _ABOVE
    projected = project_from_above(near, west, north, cell, width, height, top)
    lists = tile_lists(projected.footprints, projected.depths, width, height)
    rgb, transmittance = blend(projected, lists, np.zeros(3, np.float32), width, height)
    depths = crossings(projected, lists, width, height)
    return FromAbove(rgb, ONE - transmittance, Crossing(np.float32(top) - depths.median, depths.spread))


def within(gaussians: Gaussians, west: float, north: float, cell: float, width: int, height: int) -> NDArray[np.bool_]:
    """(N,) which Gaussians may reach the map, with the blur that drawing adds."""
    reach = REACH * np.hypot(np.exp(gaussians.scales.max(axis=1), dtype=np.float64), math.sqrt(BLUR) * cell)
    x, y = gaussians.means[:, 0], gaussians.means[:, 1]
    across = (x + reach > west) & (x - reach < west + cell * width)
    return np.asarray(across & (y + reach > north - cell * height) & (y - reach < north))


def project_from_above(
    gaussians: Gaussians, west: float, north: float, cell: float, width: int, height: int, top: float
) -> Projected:
    """2D Gaussians in cells, x to the east and y to the south; depths below `top`."""
    count = len(gaussians)
    out = Projected(
        np.empty((count, 8), np.float32), np.empty(count, np.float32), np.zeros((count, 3), np.float32),
        np.empty(count, np.float32),
    )  # fmt: skip
    _project(
        gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.sh0, gaussians.shN,
        np.array([west, north, cell, top]), width, height, gaussians.sh_degree,
        out.footprints, out.depths, out.colours, out.opacities,
    )  # fmt: skip
    return out


@parallel_kernel
def _project(
    means: Float32, quats: Float32, scales: Float32, logits: Float32, sh0: Float32, shN: Float32,
    frame: Float64, width: int, height: int, degree: int,
    footprints: Float32, depths: Float32, colours: Float32, opacities: Float32,
) -> None:  # fmt: skip
    count = means.shape[0]
    west, north, cell, top = frame[0], frame[1], frame[2], frame[3]
    for block in prange((count + _BLOCK - 1) // _BLOCK):
        basis = np.empty(16, np.float32)
        sh_basis(degree, ZERO, ZERO, -ONE, basis)
        r = np.empty(9, np.float64)
        for i in range(block * _BLOCK, min(count, (block + 1) * _BLOCK)):
            depths[i] = -ONE
            opacity = 1.0 / (1.0 + np.exp(-np.float64(logits[i])))
            opacities[i] = opacity
            for k in range(8):
                footprints[i, k] = ZERO
            if not opacity >= ALPHA_THRESHOLD:
                continue
            w, a, b, c = (
                np.float64(quats[i, 0]), np.float64(quats[i, 1]), np.float64(quats[i, 2]), np.float64(quats[i, 3]),
            )  # fmt: skip
            n = 1.0 / np.sqrt(max(w * w + a * a + b * b + c * c, 1e-30))
            w, a, b, c = w * n, a * n, b * n, c * n
            r[0], r[1], r[2] = 1 - 2 * (b * b + c * c), 2 * (a * b - w * c), 2 * (a * c + w * b)
            r[3], r[4], r[5] = 2 * (a * b + w * c), 1 - 2 * (a * a + c * c), 2 * (b * c - w * a)
            vx = np.exp(2.0 * np.float64(scales[i, 0]))
            vy = np.exp(2.0 * np.float64(scales[i, 1]))
            vz = np.exp(2.0 * np.float64(scales[i, 2]))
            s = 1.0 / (cell * cell)
            xx = (r[0] * r[0] * vx + r[1] * r[1] * vy + r[2] * r[2] * vz) * s + BLUR
            xy = -(r[0] * r[3] * vx + r[1] * r[4] * vy + r[2] * r[5] * vz) * s  # rows run southwards
            yy = (r[3] * r[3] * vx + r[4] * r[4] * vy + r[5] * r[5] * vz) * s + BLUR
            det = xx * yy - xy * xy
            if not det < 1e30:
                continue
            limit = np.log(opacity / ALPHA_THRESHOLD)
            x, y = (means[i, 0] - west) / cell, (north - means[i, 1]) / cell
            if not write_footprint(x, y, xx, xy, yy, det, limit, width, height, footprints[i]):
                continue
            depths[i] = top - means[i, 2]
            write_colour(degree, basis, sh0[i], shN[i], colours[i])
