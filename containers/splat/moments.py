"""Compute the Gauss-Newton matrix of each Gaussian's outline parameters, from sums over the pixels that it covers.

A pixel's colour changes with the logarithm of a Gaussian's alpha by v = T·alpha·colour - alpha·behind / (1 - alpha), as
in blending's gradient, and this logarithm is linear in 1, dx, dy, dx², dx·dy, dy². So the Gauss-Newton matrix of all
outline parameters (Björck, Numerical Methods for Least Squares Problems, 1996) follows from the sums of v²·dxᵃ·dyᵇ up
to the fourth degree. One pass over the picture computes them for all Gaussians, without sampling.
"""

from __future__ import annotations

from collections.abc import Iterator

import numba
import numpy as np
from numba import prange
from numpy.typing import NDArray

from splat.blending import (
    ALL_FINISHED,
    MAX_ALPHA,
    MIN_TRANSMITTANCE,
    PARTS,
    aligned,
    exp_negative,
    finished_at_start,
    pixel_rows,
    shares,
)
from splat.gaussians import Float32
from splat.kernels import HALF, ONE, TWO, ZERO, parallel_kernel
from splat.lanes import bits, broadcast, greatest, lane_numbers, least, load, mask_of, select, store, total
from splat.projection import (
    HALF_A,
    HALF_C,
    REACH_Y,
    SIGMA_LIMIT,
    B,
    Projected,
    ProjectedGradients,
    X,
    Y,
)
from splat.tiles import TILE, Int32, TileLists

MOMENTS = 15
"""Number of moments dxᵃ·dyᵇ, a + b ≤ 4, in the order of (a, b): 00 10 20 30 40, 01 11 21 31, 02 12 22, 03 13, 04."""
_SUMS = MOMENTS + 1  # the moments and the sum of squared weights
_ROW = 4 * TILE  # scratch: transmittance (0: finished), and red, green, blue behind
# the index among the moments of each product of two of 1, dx, dy, dx², dx·dy, dy²
_PRODUCTS = np.array(
    [
        [0, 1, 5, 2, 6, 9],
        [1, 2, 6, 3, 7, 10],
        [5, 6, 9, 7, 10, 12],
        [2, 3, 7, 4, 8, 11],
        [6, 7, 10, 8, 11, 13],
        [9, 10, 12, 11, 13, 14],
    ],
    dtype=np.int64,
)
_MIN_PIVOT = 1e-6  # share of the diagonal below which a pivot is only rounding error


@parallel_kernel
def _by_hit(
    footprints: Float32, colours: Float32, opacities: Float32, starts: Int32, gaussians: Int32, slots: Int32,
    picture: Float32, threads: int, by_hit: Float32,
) -> None:  # fmt: skip
    height, width = picture.shape[0], picture.shape[1]
    across = (width + TILE - 1) // TILE
    bounds = shares(starts, threads * PARTS)
    for thread in prange(threads):
        s = np.empty(TILE * _ROW + TILE, np.float32)
        base = aligned(s)
        finished = np.empty(TILE, np.uint16)
        for part in range(PARTS):
            for tile in range(bounds[part * threads + thread], bounds[part * threads + thread + 1]):
                left, top = tile % across * TILE, tile // across * TILE
                rows, columns = min(TILE, height - top), min(TILE, width - left)
                s[:] = ZERO
                open_rows = rows
                for y in range(TILE):
                    finished[y] = finished_at_start(y, rows, columns)
                    for x in range(TILE):
                        j = base + y * _ROW + x
                        inside = y < rows and x < columns
                        s[j] = ONE if inside else ZERO
                        for c in range(3):
                            s[j + (c + 1) * TILE] = picture[top + y, left + x, c] if inside else ZERO
                for hit in range(starts[tile], starts[tile + 1]):
                    slot = slots[hit]
                    if open_rows == 0:
                        by_hit[slot, :] = ZERO
                        continue
                    i = gaussians[hit]
                    centre_y, half_c = footprints[i, Y], footprints[i, HALF_C]
                    limit, opacity = footprints[i, SIGMA_LIMIT], opacities[i]
                    red, green, blue = colours[i, 0], colours[i, 1], colours[i, 2]
                    dx = lane_numbers() + (np.float32(left) + HALF - footprints[i, X])
                    across_row, slope = footprints[i, HALF_A] * dx * dx, footprints[i, B] * dx
                    first, last = pixel_rows(centre_y, footprints[i, REACH_Y], top)
                    clamps = opacity >= MAX_ALPHA
                    m0, m1, m2 = broadcast(ZERO), broadcast(ZERO), broadcast(ZERO)
                    m3, m4, weights = broadcast(ZERO), broadcast(ZERO), broadcast(ZERO)
                    for y in range(first, last + 1):
                        done = finished[y]
                        dy = np.float32(top + y) + HALF - centre_y
                        sigma = greatest(across_row + dy * (slope + half_c * dy), ZERO)
                        inside = sigma <= limit
                        if bits(inside) & ~done == 0:
                            continue
                        j = base + y * _ROW
                        before = load(s, j)
                        unclamped = opacity * exp_negative(sigma)
                        alpha = select(inside, least(unclamped, MAX_ALPHA), ZERO)
                        weight = alpha * before
                        after = before - weight
                        now = bits(after <= MIN_TRANSMITTANCE)
                        if now != done:
                            ended = mask_of(now & ~done)
                            weight = select(ended, ZERO, weight)
                            after = select(ended, ZERO, after)
                            finished[y] = now
                            if now == ALL_FINISHED:
                                open_rows -= 1
                        share = alpha / (ONE - alpha)
                        own = weight * red
                        behind = load(s, j + TILE) - own
                        store(s, j + TILE, behind)
                        v = own - share * behind
                        squared = v * v
                        own = weight * green
                        behind = load(s, j + 2 * TILE) - own
                        store(s, j + 2 * TILE, behind)
                        v = own - share * behind
                        squared += v * v
                        own = weight * blue
                        behind = load(s, j + 3 * TILE) - own
                        store(s, j + 3 * TILE, behind)
                        v = own - share * behind
                        squared = select(after > ZERO, squared + v * v, ZERO)
                        if clamps:
                            squared = select(unclamped < MAX_ALPHA, squared, ZERO)
                        store(s, j, after)
                        weights += weight * weight
                        m0 += squared
                        squared = squared * dy
                        m1 += squared
                        squared = squared * dy
                        m2 += squared
                        squared = squared * dy
                        m3 += squared
                        m4 += squared * dy
                    by_hit[slot, 0], by_hit[slot, 5], by_hit[slot, 9] = total(m0), total(m1), total(m2)
                    by_hit[slot, 12], by_hit[slot, 14], by_hit[slot, 15] = total(m3), total(m4), total(weights)
                    m0, m1, m2, m3 = m0 * dx, m1 * dx, m2 * dx, m3 * dx
                    by_hit[slot, 1], by_hit[slot, 6] = total(m0), total(m1)
                    by_hit[slot, 10], by_hit[slot, 13] = total(m2), total(m3)
                    m0, m1, m2 = m0 * dx, m1 * dx, m2 * dx
                    by_hit[slot, 2], by_hit[slot, 7], by_hit[slot, 11] = total(m0), total(m1), total(m2)
                    m0, m1 = m0 * dx, m1 * dx
                    by_hit[slot, 3], by_hit[slot, 8], by_hit[slot, 4] = total(m0), total(m1), total(m0 * dx)


@parallel_kernel
def _gather(slot_starts: Int32, by_hit: Float32, out: Float32) -> None:
    for i in prange(out.shape[0]):
        out[i, :] = ZERO
        for slot in range(slot_starts[i], slot_starts[i + 1]):
            for k in range(_SUMS):
                out[i, k] += by_hit[slot, k]


def blend_moments(projected: Projected, lists: TileLists, picture: Float32) -> tuple[Float32, Float32]:
    """Moments (N, 15) of each Gaussian and the sum of its squared weights (N,) in `picture` (height, width, 3).

    `picture` shows all Gaussians over the background. An error e in a channel of a Gaussian's colour adds e² times the
    sum of its squared weights to the picture's squared error.
    """
    by_hit = np.empty((lists.gaussians.shape[0], _SUMS), np.float32)
    _by_hit(
        projected.footprints, projected.colours, projected.opacities, lists.starts, lists.gaussians, lists.slots,
        picture, numba.get_num_threads(), by_hit,
    )  # fmt: skip
    sums = np.empty((projected.depths.shape[0], _SUMS), np.float32)
    _gather(lists.slot_starts, by_hit, sums)
    return sums[:, :MOMENTS], sums[:, MOMENTS]


@parallel_kernel
def _roots(
    footprints: Float32, alphas: Float32, moments: Float32, products: NDArray[np.int64],
    centres: Float32, conics: Float32, opacities: Float32,
) -> None:  # fmt: skip
    size = products.shape[0]
    for i in prange(moments.shape[0]):
        if moments[i, 0] <= ZERO:
            centres[:, i, :] = ZERO
            conics[:, i, :] = ZERO
            opacities[:, i] = ZERO
            continue
        a, b, c = TWO * footprints[i, HALF_A], footprints[i, B], TWO * footprints[i, HALF_C]
        root = np.zeros((size, size), np.float64)
        for k in range(size):
            diagonal = np.float64(moments[i, products[k, k]])
            pivot = diagonal
            for m in range(k):
                pivot -= root[k, m] * root[k, m]
            if pivot > _MIN_PIVOT * diagonal:
                root[k, k] = np.sqrt(pivot)
                for j in range(k + 1, size):
                    rest = np.float64(moments[i, products[j, k]])
                    for m in range(k):
                        rest -= root[j, m] * root[k, m]
                    root[j, k] = rest / root[k, k]
            opacities[k, i] = root[0, k] / alphas[i]
            centres[k, i, 0] = a * root[1, k] + b * root[2, k]
            centres[k, i, 1] = b * root[1, k] + c * root[2, k]
            conics[k, i, 0], conics[k, i, 1] = -HALF * root[3, k], -root[4, k]
            conics[k, i, 2] = -HALF * root[5, k]


def outline_gradients(projected: Projected, moments: Float32) -> Iterator[ProjectedGradients]:
    """Yield six gradients of the 2D Gaussians whose outer products add up to the Gauss-Newton matrix of their outlines.

    They are the columns of the Cholesky factor of `moments` (N, 15), converted from 1, dx … dy² to centres, conics and
    opacities.
    """
    size, count = len(_PRODUCTS), len(moments)
    centres = np.empty((size, count, 2), np.float32)
    conics = np.empty((size, count, 3), np.float32)
    opacities = np.empty((size, count), np.float32)
    _roots(projected.footprints, projected.opacities, moments, _PRODUCTS, centres, conics, opacities)
    none = np.zeros((count, 3), np.float32)
    for k in range(size):
        yield ProjectedGradients(centres[k], conics[k], none, opacities[k])
