"""The inner loops of stereo: the cost volume, semi-global matching, the winner, and the comparison of two maps.

Every output element is computed by one thread, so the result does not depend on their number.
"""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy.typing import NDArray

from splat.gaussians import Float32, Float64
from splat.kernels import HALF, ONE, ZERO, Scalar, kernel, parallel_kernel

Bool = NDArray[np.bool_]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]

RADIUS = 2  # of the correlation window: 7 by 7 pixels would round roofs and trees off
HIDDEN = np.float32(-1000)  # grey level, about the middle, that marks a masked pixel
_VISIBLE = np.float32(-500)
_ONE_SOURCE = np.float32(0.9)  # the score of a place that a single source sees counts a little less
_UNSEEN = np.float32(-2)
_AREA = np.float32((2 * RADIUS + 1) ** 2)
_TINY = np.float32(1e-6)


@kernel
def _aim(
    width: Scalar,
    height: Scalar,
    matrix: Float32,
    shift: Float32,
    base: Float32,
    step: Scalar,
    row: Scalar,
    along: Float32,
    down: Float32,
    start: Int32,
) -> None:
    """Where a source photo of `width` by `height` sees a row's pixels at inverse depths base · (1 + step).

    `start` (w,): the place in the flat picture of the pixel up and left of it, -1 outside; `along` and `down` (w,): the
    shares of a pixel from there.
    """
    y = np.float32(row) + HALF
    x0 = matrix[0, 1] * y + matrix[0, 2]
    y0 = matrix[1, 1] * y + matrix[1, 2]
    z0 = matrix[2, 1] * y + matrix[2, 2]
    x1, y1, z1 = matrix[0, 0], matrix[1, 0], matrix[2, 0]
    x2, y2, z2 = shift[0], shift[1], shift[2]
    right, bottom, stride = np.float32(width - 1), np.float32(height - 1), np.float32(width)
    for column in range(np.uint64(base.shape[0])):
        x = np.float32(column) + HALF
        inverse = base[column] * (ONE + step)
        z = z1 * x + z0 + z2 * inverse
        share = ONE / max(z, _TINY)
        u = (x1 * x + x0 + x2 * inverse) * share - HALF
        v = (y1 * x + y0 + y2 * inverse) * share - HALF
        left, top = np.floor(u), np.floor(v)
        along[column] = u - left
        down[column] = v - top
        # how far inside every bound, as one number: one test instead of six
        inside = min(min(min(u, right - u), min(v, bottom - v)), min(z - _TINY, inverse))
        start[column] = np.int32(top * stride + left if inside > ZERO else -ONE)  # exact below 2 ** 24 pixels


@kernel
def _pick(flat: Float32, stride: Scalar, start: Int32, corners: Float32) -> None:
    """The four pixels of each place: `corners` (4, w); those of -1 are hidden."""
    a, b, c, d = corners[0], corners[1], corners[2], corners[3]
    below = np.uint64(stride)
    for x in range(np.uint64(start.shape[0])):
        if start[x] < 0:
            a[x] = HIDDEN
            b[x] = HIDDEN
            c[x] = HIDDEN
            d[x] = HIDDEN
        else:
            place = np.uint64(start[x])
            a[x] = flat[place]
            b[x] = flat[place + np.uint64(1)]
            c[x] = flat[place + below]
            d[x] = flat[place + below + np.uint64(1)]


@kernel
def _blend(corners: Float32, along: Float32, down: Float32, values: Float32, valid: Float32) -> None:
    """Bilinear `values` (w,), and `valid` 1 where all four corners are visible; both 0 elsewhere."""
    a, b, c, d = corners[0], corners[1], corners[2], corners[3]
    for x in range(np.uint64(values.shape[0])):
        visible = min(min(a[x], b[x]), min(c[x], d[x])) > _VISIBLE
        upper = a[x] + (b[x] - a[x]) * along[x]
        lower = c[x] + (d[x] - c[x]) * along[x]
        values[x] = upper + (lower - upper) * down[x] if visible else ZERO
        valid[x] = ONE if visible else ZERO


@kernel
def _add_row(
    values: Float32, valid: Float32, ref: Float32, plain: Float32, square: Float32, cross: Float32, count: Float32
) -> None:
    """Add a row of a window to the sums by column, which start RADIUS later."""
    for x in range(np.uint64(values.shape[0])):
        place = x + np.uint64(RADIUS)
        value = values[x]
        plain[place] += value
        square[place] += value * value
        cross[place] += value * ref[x]
        count[place] += valid[x]


@kernel
def _score_row(
    plain: Float32,
    square: Float32,
    cross: Float32,
    count: Float32,
    mean: Float32,
    contrast: Float32,
    first: Float32,
    second: Float32,
    seen: Float32,
) -> None:
    """NCC of a row's windows from the sums by column; keeps the two best of the sources, and how many see."""
    share = ONE / _AREA
    for x in range(np.uint64(mean.shape[0])):
        i, j, k, m = x + np.uint64(1), x + np.uint64(2), x + np.uint64(3), x + np.uint64(4)
        average = share * (plain[x] + plain[i] + plain[j] + plain[k] + plain[m])
        squares = share * (square[x] + square[i] + square[j] + square[k] + square[m])
        product = share * (cross[x] + cross[i] + cross[j] + cross[k] + cross[m])
        whole = count[x] + count[i] + count[j] + count[k] + count[m]
        spread = np.sqrt(max(squares - average * average, ZERO)) + ONE
        score = (product - average * mean[x]) * contrast[x] / spread
        known = min(whole - _AREA + HALF, contrast[x]) > ZERO
        score = score if known else _UNSEEN
        second[x] = max(second[x], min(first[x], score))
        first[x] = max(first[x], score)
        seen[x] += ONE if known else ZERO


@parallel_kernel
def cost_volume(
    ref: Float32,
    mean: Float32,
    contrast: Float32,
    others: Float32,
    sizes: Int64,
    matrices: Float32,
    shifts: Float32,
    base: Float32,
    steps: Float32,
    cost: Float32,
) -> None:
    """Fills `cost` (K, h, w): 1 - the mean NCC of the two best sources at inverse depth base · (1 + steps[k]), 1 where
    no source sees the place. The better half of the sources decides, because the others may be occluded.

    `ref` (h, w) and `others` (N, pixels), flat, of `sizes` (height, width), are grey levels about the middle; `mean`
    and `contrast` (h, w) the reference's window mean and 1 / (standard deviation + 1), 0 where the window is not
    wholly visible.
    """
    height, width = ref.shape
    sources = others.shape[0]
    size = 2 * RADIUS + 1
    for k in prange(steps.shape[0]):
        values = np.zeros((sources, size, width), np.float32)  # the last rows of each source, warped
        valid = np.zeros((sources, size, width), np.float32)
        along, down, start = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.int32)
        corners = np.empty((4, width), np.float32)
        sums = np.zeros((4, width + 2 * RADIUS), np.float32)
        best = np.empty((3, width), np.float32)  # the best score, the next, and how many see
        for y in range(RADIUS):
            cost[k, y] = ONE
            cost[k, height - 1 - y] = ONE
        for newest in range(height):
            for n in range(sources):
                _aim(
                    sizes[n, 1], sizes[n, 0], matrices[n], shifts[n], base[newest], steps[k], newest, along, down, start
                )
                _pick(others[n], sizes[n, 1], start, corners)
                _blend(corners, along, down, values[n, newest % size], valid[n, newest % size])
            y = newest - RADIUS
            if y < RADIUS:
                continue
            best[0] = _UNSEEN
            best[1] = _UNSEEN
            best[2] = ZERO
            for n in range(sources):
                sums[:] = ZERO
                for row in range(y - RADIUS, y + RADIUS + 1):
                    place = row % size
                    _add_row(values[n, place], valid[n, place], ref[row], sums[0], sums[1], sums[2], sums[3])
                _score_row(sums[0], sums[1], sums[2], sums[3], mean[y], contrast[y], best[0], best[1], best[2])
            for x in range(width):
                score = HALF * (best[0, x] + best[1, x]) if best[2, x] > ONE else _ONE_SOURCE * best[0, x]
                cost[k, y, x] = ONE - (score if best[2, x] > ZERO else ZERO)


@kernel
def _step(
    cost: Float32, last: Float32, lowest: Scalar, small: Scalar, large: Scalar, now: Float32, total: Float32
) -> Scalar:
    """One pixel of one path: `now` (K,) from the pixel before, added to `total`. Returns its minimum."""
    count = cost.shape[0]
    jump = lowest + large
    found = np.float32(np.inf)
    for k in range(count):
        # `last` has a sentinel on either side
        value = min(min(last[k + 1], jump), min(last[k], last[k + 2]) + small)
        value = cost[k] + value - lowest
        now[k + 1] = value
        total[k] += value
        found = min(found, value)
    return found


@parallel_kernel
def paths_along_rows(cost: Float32, guide: Float32, small: Scalar, large: Scalar, edge: Scalar, total: Float32) -> None:
    """Adds the paths along rows, both ways, to `total` (h, w, K); cost (h, w, K), guide (h, w) grey levels."""
    height, width, kinds = cost.shape
    for y in prange(height):
        last, now = np.full(kinds + 2, np.float32(1e30)), np.full(kinds + 2, np.float32(1e30))
        for way in range(2):
            last[1 : kinds + 1] = ZERO
            lowest = ZERO
            for i in range(width):
                x = i if way == 0 else width - 1 - i
                before = x if i == 0 else (x - 1 if way == 0 else x + 1)
                contrast = abs(guide[y, x] - guide[y, before])
                jump = max(np.float32(1.5) * small, large / (ONE + edge * contrast))
                lowest = _step(cost[y, x], last, lowest, small, jump, now, total[y, x])
                last, now = now, last


@parallel_kernel
def paths_along_columns(
    cost: Float32, guide: Float32, small: Scalar, large: Scalar, edge: Scalar, total: Float32
) -> None:
    """Adds the paths along columns, both ways, to `total`, as `paths_along_rows` does."""
    height, width, kinds = cost.shape
    for x in prange(width):
        last, now = np.full(kinds + 2, np.float32(1e30)), np.full(kinds + 2, np.float32(1e30))
        for way in range(2):
            last[1 : kinds + 1] = ZERO
            lowest = ZERO
            for i in range(height):
                y = i if way == 0 else height - 1 - i
                before = y if i == 0 else (y - 1 if way == 0 else y + 1)
                contrast = abs(guide[y, x] - guide[before, x])
                jump = max(np.float32(1.5) * small, large / (ONE + edge * contrast))
                lowest = _step(cost[y, x], last, lowest, small, jump, now, total[y, x])
                last, now = now, last


@parallel_kernel
def winner(total: Float32, cost: Float32, steps: Float32, offset: Float32, score: Float32) -> None:
    """The best hypothesis of each pixel, refined by a parabola through its neighbours: `offset` (h, w) between the
    `steps` (K,), evenly spaced, and its NCC.
    """
    height, width, kinds = total.shape
    for y in prange(height):
        for x in range(width):
            best = 0
            for k in range(1, kinds):
                if total[y, x, k] < total[y, x, best]:
                    best = k
            shift = ZERO
            if 0 < best < kinds - 1:
                left, middle, right = total[y, x, best - 1], total[y, x, best], total[y, x, best + 1]
                bend = left - middle + (right - middle)
                if bend > _TINY:
                    shift = min(HALF, max(-HALF, HALF * (left - right) / bend))
            offset[y, x] = steps[best] + shift * (steps[1] - steps[0])
            score[y, x] = ONE - cost[y, x, best]


@parallel_kernel
def compare(
    inverse: Float32,
    matrix: Float32,
    shift: Float32,
    other: Float32,
    other_score: Float32,
    limits: Float32,
    votes: NDArray[np.uint8],
    sums: Float32,
) -> None:
    """Adds what another map says of each pixel of `inverse` (h, w) to `votes` (3, h, w): whether it looks there,
    whether it has the same depth, and whether it is sure of a surface clearly behind.

    Where it agrees, its depth, as an inverse depth of this map relative to `inverse`, less 1, is added to `sums`
    (2, h, w), and its square. Inverse depths of 0 are unknown. `limits`: relative differences of depth up to which maps
    agree and from which one sees through the other, and the score above which it may.
    """
    views, agree, conflict = votes[0], votes[1], votes[2]
    tolerance, see_through, sure = limits[0], limits[1], limits[2]
    height, width = inverse.shape
    bottom, right = np.float32(other.shape[0]), np.float32(other.shape[1])
    for row in prange(height):
        for column in range(width):
            rho = inverse[row, column]
            if not rho > ZERO:
                continue
            x, y = np.float32(column) + HALF, np.float32(row) + HALF
            along = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]  # depth there = along / rho + shift
            z = along + shift[2] * rho
            if z <= _TINY:
                continue
            u = (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] + shift[0] * rho) / z
            v = (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] + shift[1] * rho) / z
            if u < ZERO or v < ZERO or u >= right or v >= bottom:
                continue
            found = other[int(v), int(u)]
            if not found > ZERO:
                continue
            views[row, column] += np.uint8(1)
            ratio = rho / (z * found)  # depth found / depth expected
            if abs(ratio - ONE) < tolerance:
                agree[row, column] += np.uint8(1)
                back = along / (ONE / found - shift[2])
                deviation = back / rho - ONE
                sums[0, row, column] += deviation
                sums[1, row, column] += deviation * deviation
            elif ratio > ONE + see_through and other_score[int(v), int(u)] > sure:
                conflict[row, column] += np.uint8(1)


@kernel
def cover(
    points: Float64,
    view: Float64,
    focal: Float64,
    centre: Float64,
    inverse: Float32,
    tolerance: Scalar,
    cell: Scalar,
    covered: Bool,
) -> None:
    """Sets `covered` (rows, columns) where a point (P, 3) lies on the surface that a map shows in a cell.

    `view` (4, 4) is the map's world to camera; `focal` and `centre` (2,) in its pixels.
    """
    height, width = inverse.shape
    for i in range(points.shape[0]):
        p = points[i]
        z = view[2, 0] * p[0] + view[2, 1] * p[1] + view[2, 2] * p[2] + view[2, 3]
        if z <= 0:
            continue
        u = focal[0] * (view[0, 0] * p[0] + view[0, 1] * p[1] + view[0, 2] * p[2] + view[0, 3]) / z + centre[0]
        v = focal[1] * (view[1, 0] * p[0] + view[1, 1] * p[1] + view[1, 2] * p[2] + view[1, 3]) / z + centre[1]
        if u < 0 or v < 0 or u >= width or v >= height:
            continue
        if abs(z * inverse[int(v), int(u)] - 1) > tolerance:
            continue
        row, column = int(v) // cell, int(u) // cell
        if row < covered.shape[0] and column < covered.shape[1]:
            covered[row, column] = True
