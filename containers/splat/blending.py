"""Front-to-back alpha blending of 2D Gaussians tile by tile, and its gradient.

The 16 pixels in a row of a tile are the lanes of one vector. numba vectorises the loop over them only with unsigned
indices into one scratch array in which each accumulator has its own place (142 → 22 ms per picture, measured); this
determines the layout.

The gradient is computed front to back too. Let S be the part of the picture behind a Gaussian, dotted with the
incoming gradient: dL/dalpha = T·(g·colour) - S / (1 - alpha), and S is updated by subtracting each Gaussian's own
part. This needs neither a list of the Gaussians that each pixel has seen nor atomics: each hit writes its sums to its
slot, and the slots are added up in a fixed order.

A `uint16` marks the finished pixels of a row. Their transmittance is set to 0, so that they need no mask; the value
that they had is moved aside in a branch that is rarely taken. The limit is defined such that alpha >= 1/255 means
sigma <= limit. On a CPU without AVX-512, the masks that this replaces took a third of a row: 60 of its 170
instructions.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import prange

from splat.gaussians import Float32
from splat.kernels import HALF, ONE, TWO, ZERO, Scalar, inlined, kernel, parallel_kernel
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

MAX_ALPHA = np.float32(0.999)
MIN_TRANSMITTANCE = np.float32(1e-4)  # a pixel is finished before it would fall below this

ALL_FINISHED = np.uint16(0xFFFF)
_SUMS = 9  # per hit: dL/dsigma·(1, dx, dy, dx², dx dy, dy²) negated, and dL/dcolour
_FORWARD_ROW = 5 * TILE  # scratch: transmittance (0: finished), red, green, blue, transmittance when it finished
_BACKWARD_ROW = 6 * TILE  # scratch: transmittance, S, gradient with respect to red, green, blue, alpha
PARTS = 16  # parts of the tiles per thread

# exp(-s) for 0 <= s <= ln 255 as (minimax polynomial of degree 5 at -s/8)⁸; relative error below 3e-7
_E0, _E1, _E2 = np.float32(9.999999185e-1), np.float32(9.999924148e-1), np.float32(4.998812767e-1)
_E3, _E4, _E5 = np.float32(1.659690305e-1), np.float32(3.976483434e-2), np.float32(5.842492519e-3)
_MINUS_EIGHTH = np.float32(-0.125)


@inlined
def exp_negative(s: Scalar) -> Scalar:
    x = s * _MINUS_EIGHTH
    p = ((((_E5 * x + _E4) * x + _E3) * x + _E2) * x + _E1) * x + _E0
    p = p * p
    p = p * p
    return p * p


@inlined
def aligned(scratch: Float32) -> int:
    """Index of the first element on a 64-byte cache line, so that no load of sixteen elements crosses two lines."""
    return (-scratch.ctypes.data & 63) >> 2


@kernel
def pixel_rows(y: Scalar, reach: Scalar, top: int) -> tuple[int, int]:
    """First and last row that the Gaussian reaches, counted within the tile whose topmost row of pixels is `top`."""
    slack = HALF + np.float32(1e-3)
    first = max(np.ceil(y - reach - slack) - np.float32(top), ZERO)
    last = min(np.floor(y + reach - HALF + np.float32(1e-3)) - np.float32(top), np.float32(TILE - 1))
    return int(first), int(last)


@inlined
def finished_at_start(y: Scalar, rows: Scalar, columns: Scalar) -> Scalar:
    """Bits of the pixels in row `y` of a tile that lie outside the picture, which covers `rows` and `columns` of it."""
    return np.uint16(0xFFFF << columns) if y < rows else ALL_FINISHED


@kernel
def shares(starts: Int32, parts: int) -> Int32:
    """Bounds (parts + 1,) that divide the tiles into parts with about the same number of hits."""
    tiles = starts.shape[0] - 1
    bounds = np.empty(parts + 1, np.int32)
    tile = 0
    for part in range(parts):
        wanted = starts[tiles] * part // parts
        while tile < tiles and starts[tile] < wanted:
            tile += 1
        bounds[part] = tile
    bounds[0], bounds[parts] = 0, tiles
    return bounds


@parallel_kernel
def _blend(
    footprints: Float32, colours: Float32, opacities: Float32, starts: Int32, gaussians: Int32,
    background: Float32, threads: int, image: Float32, transmittance: Float32,
) -> None:  # fmt: skip
    height, width = transmittance.shape
    across = (width + TILE - 1) // TILE
    bounds = shares(starts, threads * PARTS)
    for thread in prange(threads):
        s = np.empty(TILE * _FORWARD_ROW + TILE, np.float32)
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
                        s[base + y * _FORWARD_ROW + x] = ONE if y < rows and x < columns else ZERO
                for hit in range(starts[tile], starts[tile + 1]):
                    if open_rows == 0:
                        break
                    i = gaussians[hit]
                    centre_y, half_c = footprints[i, Y], footprints[i, HALF_C]
                    limit, opacity = footprints[i, SIGMA_LIMIT], opacities[i]
                    red, green, blue = colours[i, 0], colours[i, 1], colours[i, 2]
                    dx = lane_numbers() + (np.float32(left) + HALF - footprints[i, X])
                    across_row, slope = footprints[i, HALF_A] * dx * dx, footprints[i, B] * dx
                    first, last = pixel_rows(centre_y, footprints[i, REACH_Y], top)
                    for y in range(first, last + 1):
                        done = finished[y]
                        dy = np.float32(top + y) + HALF - centre_y
                        sigma = greatest(across_row + dy * (slope + half_c * dy), ZERO)
                        inside = sigma <= limit
                        if bits(inside) & ~done == 0:
                            continue
                        j = base + y * _FORWARD_ROW
                        before = load(s, j)
                        alpha = select(inside, least(opacity * exp_negative(sigma), MAX_ALPHA), ZERO)
                        weight = alpha * before
                        after = before - weight
                        now = bits(after <= MIN_TRANSMITTANCE)
                        if now != done:
                            ended = mask_of(now & ~done)
                            store(s, j + 4 * TILE, select(ended, before, load(s, j + 4 * TILE)))
                            weight = select(ended, ZERO, weight)
                            after = select(ended, ZERO, after)
                            finished[y] = now
                            if now == ALL_FINISHED:
                                open_rows -= 1
                        store(s, j + TILE, load(s, j + TILE) + weight * red)
                        store(s, j + 2 * TILE, load(s, j + 2 * TILE) + weight * green)
                        store(s, j + 3 * TILE, load(s, j + 3 * TILE) + weight * blue)
                        store(s, j, after)
                for y in range(rows):
                    for x in range(columns):
                        j = base + y * _FORWARD_ROW + x
                        remaining = s[j] + s[j + 4 * TILE]
                        transmittance[top + y, left + x] = remaining
                        for c in range(3):
                            image[top + y, left + x, c] = s[j + (c + 1) * TILE] + remaining * background[c]


@parallel_kernel
def _blend_backward(
    footprints: Float32, colours: Float32, opacities: Float32, starts: Int32, gaussians: Int32, slots: Int32,
    image: Float32, transmittance: Float32, g_image: Float32, g_alpha: Float32, threads: int, by_hit: Float32,
) -> None:  # fmt: skip
    height, width = transmittance.shape
    across = (width + TILE - 1) // TILE
    bounds = shares(starts, threads * PARTS)
    for thread in prange(threads):
        s = np.empty(TILE * _BACKWARD_ROW + TILE, np.float32)
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
                        j = base + y * _BACKWARD_ROW + x
                        if y < rows and x < columns:
                            py, px = top + y, left + x
                            s[j] = ONE
                            s[j + 5 * TILE] = g_alpha[py, px]
                            behind_all = g_alpha[py, px] * (ONE - transmittance[py, px])
                            for c in range(3):
                                s[j + (c + 2) * TILE] = g_image[py, px, c]
                                behind_all += g_image[py, px, c] * image[py, px, c]
                            s[j + TILE] = behind_all
                for hit in range(starts[tile], starts[tile + 1]):
                    slot = slots[hit]
                    if open_rows == 0:
                        for k in range(_SUMS):
                            by_hit[slot, k] = ZERO
                        continue
                    i = gaussians[hit]
                    centre_y, half_c = footprints[i, Y], footprints[i, HALF_C]
                    limit, opacity = footprints[i, SIGMA_LIMIT], opacities[i]
                    red, green, blue = colours[i, 0], colours[i, 1], colours[i, 2]
                    dx = lane_numbers() + (np.float32(left) + HALF - footprints[i, X])
                    across_row, slope = footprints[i, HALF_A] * dx * dx, footprints[i, B] * dx
                    first, last = pixel_rows(centre_y, footprints[i, REACH_Y], top)
                    clamps = opacity >= MAX_ALPHA
                    by_sigma, by_dy, by_dy2 = broadcast(ZERO), broadcast(ZERO), broadcast(ZERO)
                    by_red, by_green, by_blue = broadcast(ZERO), broadcast(ZERO), broadcast(ZERO)
                    for y in range(first, last + 1):
                        done = finished[y]
                        dy = np.float32(top + y) + HALF - centre_y
                        sigma = greatest(across_row + dy * (slope + half_c * dy), ZERO)
                        inside = sigma <= limit
                        if bits(inside) & ~done == 0:
                            continue
                        j = base + y * _BACKWARD_ROW
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
                        g_red, g_green, g_blue = load(s, j + 2 * TILE), load(s, j + 3 * TILE), load(s, j + 4 * TILE)
                        own = weight * (red * g_red + green * g_green + blue * g_blue + load(s, j + 5 * TILE))
                        behind = load(s, j + TILE) - own
                        by_log_alpha = own - alpha * (behind / (ONE - alpha))
                        by_log_alpha = select(after > ZERO, by_log_alpha, ZERO)
                        if clamps:
                            by_log_alpha = select(unclamped < MAX_ALPHA, by_log_alpha, ZERO)
                        store(s, j + TILE, behind)
                        store(s, j, after)
                        by_sigma += by_log_alpha
                        by_dy += by_log_alpha * dy
                        by_dy2 += by_log_alpha * (dy * dy)
                        by_red += weight * g_red
                        by_green += weight * g_green
                        by_blue += weight * g_blue
                    with_dx = by_sigma * dx
                    by_hit[slot, 0], by_hit[slot, 1], by_hit[slot, 2] = total(by_sigma), total(with_dx), total(by_dy)
                    by_hit[slot, 3], by_hit[slot, 4] = total(with_dx * dx), total(by_dy * dx)
                    by_hit[slot, 5], by_hit[slot, 6] = total(by_dy2), total(by_red)
                    by_hit[slot, 7], by_hit[slot, 8] = total(by_green), total(by_blue)


@parallel_kernel
def _gather(
    footprints: Float32, opacities: Float32, slot_starts: Int32, by_hit: Float32,
    g_centres: Float32, g_conics: Float32, g_colours: Float32, g_opacities: Float32,
) -> None:  # fmt: skip
    for i in prange(footprints.shape[0]):
        a0, a1, a2, a3, a4, a5, a6, a7, a8 = ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO
        for slot in range(slot_starts[i], slot_starts[i + 1]):
            a0 += by_hit[slot, 0]
            a1 += by_hit[slot, 1]
            a2 += by_hit[slot, 2]
            a3 += by_hit[slot, 3]
            a4 += by_hit[slot, 4]
            a5 += by_hit[slot, 5]
            a6 += by_hit[slot, 6]
            a7 += by_hit[slot, 7]
            a8 += by_hit[slot, 8]
        g_opacities[i] = a0 / opacities[i] if slot_starts[i + 1] > slot_starts[i] else ZERO
        a, b, c = TWO * footprints[i, HALF_A], footprints[i, B], TWO * footprints[i, HALF_C]
        g_centres[i, 0], g_centres[i, 1] = a * a1 + b * a2, b * a1 + c * a2
        g_conics[i, 0], g_conics[i, 1], g_conics[i, 2] = -HALF * a3, -a4, -HALF * a5
        g_colours[i, 0], g_colours[i, 1], g_colours[i, 2] = a6, a7, a8


def blend(
    projected: Projected, lists: TileLists, background: Float32, width: int, height: int
) -> tuple[Float32, Float32]:  # fmt: skip
    """The picture (height, width, 3) over `background` (3,), and the background's transmittance (height, width)."""
    image = np.empty((height, width, 3), np.float32)
    transmittance = np.empty((height, width), np.float32)
    _blend(
        projected.footprints, projected.colours, projected.opacities, lists.starts, lists.gaussians,
        background, numba.get_num_threads(), image, transmittance,
    )  # fmt: skip
    return image, transmittance


def blend_backward(
    projected: Projected, lists: TileLists, image: Float32, transmittance: Float32, g_image: Float32, g_alpha: Float32
) -> ProjectedGradients:
    """Gradients with respect to the 2D Gaussians, from those with respect to the picture (height, width, 3) and its
    alpha (height, width). `image` and `transmittance` are the results of `blend`.
    """
    count = projected.depths.shape[0]
    by_hit = np.empty((lists.gaussians.shape[0], _SUMS), np.float32)
    _blend_backward(
        projected.footprints, projected.colours, projected.opacities, lists.starts, lists.gaussians, lists.slots,
        image, transmittance, g_image, g_alpha, numba.get_num_threads(), by_hit,
    )  # fmt: skip
    out = ProjectedGradients(
        centres=np.empty((count, 2), np.float32),
        conics=np.empty((count, 3), np.float32),
        colours=np.empty((count, 3), np.float32),
        opacities=np.empty(count, np.float32),
    )
    _gather(
        projected.footprints, projected.opacities, lists.slot_starts, by_hit,
        out.centres, out.conics, out.colours, out.opacities,
    )  # fmt: skip
    return out
