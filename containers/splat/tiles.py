"""List the Gaussians that touch each 16 by 16 tile of the picture, nearest first.

One sort by depth is followed by a counting sort into the tiles. This needs no sort by tile and no atomics, and the
lists do not depend on the number of threads. The test of an ellipse against a row of tiles is exact, so that thin
slanted Gaussians enter few lists.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numba import prange
from numpy.typing import NDArray

from splat.gaussians import Float32
from splat.kernels import HALF, ONE, TWO, ZERO, Scalar, kernel, parallel_kernel
from splat.projection import HALF_A, HALF_C, REACH_X, REACH_Y, SIGMA_LIMIT, B, X, Y

Int32 = NDArray[np.int32]

TILE = 16
_SLACK = np.float32(1e-3)  # pixels; exceeds float32's rounding error in a picture a few thousand pixels wide


@dataclass(frozen=True)
class TileLists:
    """Hits (a Gaussian touching a tile), indexed by tile and by Gaussian."""

    starts: Int32  # (tiles + 1,) where the hits of each tile start; tiles row by row
    gaussians: Int32  # (hits,) index of the Gaussian, nearest first within a tile
    slots: Int32  # (hits,) a number for each hit; those of one Gaussian are consecutive
    slot_starts: Int32  # (N + 1,) where the slots of each Gaussian start


def tile_lists(footprints: Float32, depths: Float32, width: int, height: int) -> TileLists:
    """List the Gaussians of each tile; `footprints` (N, 8) and `depths` (N,) as in `Projected`."""
    visible = np.flatnonzero(depths > 0)
    # the bits of positive floats sort like the floats; the index in the low bits decides ties
    keys = (depths[visible].view(np.uint32).astype(np.uint64) << np.uint64(32)) | visible.astype(np.uint64)
    keys.sort()
    order = (keys & np.uint64(0xFFFFFFFF)).astype(np.int32)
    return TileLists(*_bin(footprints, order, width, height, numba.get_num_threads()))


@kernel
def _columns(footprint: Float32, low: Scalar, high: Scalar, width: int, across: int) -> tuple[int, int]:
    """First and last tile in which the ellipse covers pixel centres between the lines y = low and y = high."""
    reach_x, reach_y = footprint[REACH_X], footprint[REACH_Y]
    a, b, c = TWO * footprint[HALF_A], footprint[B], TWO * footprint[HALF_C]
    low, high = low - footprint[Y], high - footprint[Y]
    if low > reach_y or high < -reach_y:
        return 0, -1
    low, high = max(low, -reach_y), min(high, reach_y)
    # On the line at dy the ellipse spans -b/a dy ± half sqrt(1 - (dy / reach_y)²).
    half = np.sqrt(TWO * footprint[SIGMA_LIMIT] / a)
    at_low, at_high = low / reach_y, high / reach_y
    span_low = half * np.sqrt(max(ONE - at_low * at_low, ZERO))
    span_high = half * np.sqrt(max(ONE - at_high * at_high, ZERO))
    rightmost = -b / c * reach_x  # dy of the ellipse's rightmost point; the leftmost lies opposite
    right, left = reach_x, -reach_x
    if not low <= rightmost <= high:
        right = max(-b / a * low + span_low, -b / a * high + span_high)
    if not low <= -rightmost <= high:
        left = min(-b / a * low - span_low, -b / a * high - span_high)
    first = max(np.ceil(footprint[X] + left - HALF - _SLACK), ZERO)
    last = min(np.floor(footprint[X] + right - HALF + _SLACK), np.float32(width - 1))
    if not first <= last:
        return 0, -1
    return int(first) // TILE, min(int(last) // TILE, across - 1)


@kernel
def _rows(footprint: Float32, first: int, end: int) -> tuple[int, int]:
    """First and last row of tiles, from `first` to before `end`, that the ellipse's bounding box touches."""
    tile = np.float32(TILE)
    top = max((footprint[Y] - footprint[REACH_Y]) / tile, np.float32(first))
    bottom = min((footprint[Y] + footprint[REACH_Y]) / tile, np.float32(end))
    return int(top), min(int(np.floor(bottom)), end - 1)


@parallel_kernel
def _bin(
    footprints: Float32, order: Int32, width: int, height: int, threads: int
) -> tuple[Int32, Int32, Int32, Int32]:  # fmt: skip
    across, down = (width + TILE - 1) // TILE, (height + TILE - 1) // TILE
    count = footprints.shape[0]
    starts = np.zeros(across * down + 1, np.int32)
    hits = np.zeros((threads, count), np.int32)  # per Gaussian, in each thread's rows of tiles
    for thread in prange(threads):
        first, end = down * thread // threads, down * (thread + 1) // threads
        for i in order:
            footprint = footprints[i]
            top, bottom = _rows(footprint, first, end)
            for row in range(top, bottom + 1):
                low = np.float32(row * TILE) + HALF
                left, right = _columns(footprint, low, low + np.float32(TILE - 1), width, across)
                hits[thread, i] += right - left + 1
                for column in range(left, right + 1):
                    starts[row * across + column + 1] += 1
    for tile in range(across * down):
        starts[tile + 1] += starts[tile]
    slot_starts = np.zeros(count + 1, np.int32)
    for i in range(count):
        total = slot_starts[i]
        for thread in range(threads):
            total, hits[thread, i] = total + hits[thread, i], total
        slot_starts[i + 1] = total
    fill = starts[:-1].copy()
    gaussians = np.empty(starts[-1], np.int32)
    slots = np.empty(starts[-1], np.int32)
    for thread in prange(threads):
        first, end = down * thread // threads, down * (thread + 1) // threads
        for i in order:
            footprint = footprints[i]
            top, bottom = _rows(footprint, first, end)
            for row in range(top, bottom + 1):
                low = np.float32(row * TILE) + HALF
                left, right = _columns(footprint, low, low + np.float32(TILE - 1), width, across)
                for column in range(left, right + 1):
                    tile = row * across + column
                    gaussians[fill[tile]] = i
                    slots[fill[tile]] = hits[thread, i]
                    fill[tile] += 1
                    hits[thread, i] += 1
    return starts, gaussians, slots, slot_starts
