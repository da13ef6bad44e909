"""The inner loops of virtual views: a buffer of depths, its gaps closed, and the colours that photos have there.

Every output element is computed by one thread, so the result does not depend on their number.
"""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy.typing import NDArray

from splat.gaussians import Float32
from splat.kernels import HALF, ONE, ZERO, Scalar, kernel, parallel_kernel

Bool = NDArray[np.bool_]
BLENDED = 3  # photos that a pixel's colour is blended from: those that look most nearly from where the view does
_AROUND = 2  # pixels to each side of one, in which gaps are closed
_KNOWN = 10  # pixels of those 25 that must be known
_MAX_HALF = np.float32(4)  # pixels of a view to each side of its middle that one pixel of a map may cover
_CLEAR = 3  # cells around a place that do not hide it: eaves, and the surface itself
_TINY = np.float32(1e-6)
_SOFT = np.float32(0.02)  # radians between two rays, below which one photo is as good as another


@kernel
def add_depths(inverse: Float32, known: Bool, matrix: Float32, shift: Float32, size: Scalar, buffer: Float32) -> None:
    """Enter the pixels of a depth map `inverse` (h, w) that are `known` (h, w) into a view's `buffer` (H, W) of inverse
    depths, in which the nearest stays.

    `matrix` (3, 3) and `shift` (3,) lead from the map's pixels to the view's. `size`: the view's focal length in the
    map's: a pixel covers that many of the view's, times its depth in the map over that in the view.
    """
    height, width = buffer.shape
    for row in range(inverse.shape[0]):
        for column in range(inverse.shape[1]):
            if not known[row, column]:
                continue
            rho = inverse[row, column]
            x, y = np.float32(column) + HALF, np.float32(row) + HALF
            z = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] + shift[2] * rho
            if z <= _TINY:
                continue
            u = (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] + shift[0] * rho) / z
            v = (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] + shift[1] * rho) / z
            if not (abs(u) < np.float32(2) * np.float32(width) and abs(v) < np.float32(2) * np.float32(height)):
                continue
            # the pixels whose middles are covered, at least the one that holds the place itself
            half = max(HALF, min(_MAX_HALF, HALF * size / z))
            left, top = int(np.ceil(u - half - HALF)), int(np.ceil(v - half - HALF))
            right, bottom = int(np.ceil(u + half - HALF)), int(np.ceil(v + half - HALF))
            for i in range(max(0, top), min(height, bottom)):
                for j in range(max(0, left), min(width, right)):
                    buffer[i, j] = max(buffer[i, j], rho / z)


@parallel_kernel
def close_gaps(buffer: Float32, jump: Scalar, closed: Float32) -> None:
    """`closed` (H, W) is the `buffer` (H, W), with the median of what is known around where nothing is known or the
    surface around is looked through: where the inverse depth is less than the median by a share of more than `jump`.
    Where little is known around, nothing is.
    """
    height, width = buffer.shape
    for row in prange(height):
        around = np.empty((2 * _AROUND + 1) ** 2, np.float32)
        for column in range(width):
            count = 0
            for i in range(max(0, row - _AROUND), min(height, row + _AROUND + 1)):
                for j in range(max(0, column - _AROUND), min(width, column + _AROUND + 1)):
                    value = buffer[i, j]
                    if value > ZERO:
                        place = count
                        while place > 0 and around[place - 1] > value:
                            around[place] = around[place - 1]
                            place -= 1
                        around[place] = value
                        count += 1
            if count < _KNOWN:
                closed[row, column] = ZERO
            else:
                median = around[count // 2]
                own = buffer[row, column]
                closed[row, column] = median if own < (ONE - jump) * median else own


@parallel_kernel
def uncover(
    inverse: Float32, rays: Float32, eye: Float32, tops: Float32, summit: Scalar, corner: Float32, cell: Scalar,
    margin: Scalar,
) -> None:  # fmt: skip
    """Sets `inverse` (H, W) to 0, unknown, where a view's ray passes beneath a surface that is known from above: the
    side of that crown or roof, which is not known itself, may hide the place.

    Lengths are in axes whose third is the vertical. `rays` (3, 3): from a pixel (x, y, 1) to its ray of unit depth;
    `eye` (3,): where rays begin. `tops` (M, N): the greatest height in each cell of the ground, -inf where nothing is
    known; `summit`: the greatest of all; `cell`: the cells' side; `corner` (2,): where the first one begins. A ray may
    pass up to `margin` beneath a top.
    """
    rows, columns = tops.shape
    for row in prange(inverse.shape[0]):
        for column in range(inverse.shape[1]):
            rho = inverse[row, column]
            if not rho > ZERO:
                continue
            x, y = np.float32(column) + HALF, np.float32(row) + HALF
            dx = -(rays[0, 0] * x + rays[0, 1] * y + rays[0, 2]) / rho
            dy = -(rays[1, 0] * x + rays[1, 1] * y + rays[1, 2]) / rho
            dz = -(rays[2, 0] * x + rays[2, 1] * y + rays[2, 2]) / rho
            px, py, pz = eye[0] - dx, eye[1] - dy, eye[2] - dz
            level = np.sqrt(dx * dx + dy * dy)
            steps = int(level / cell)
            for step in range(_CLEAR, steps):
                share = np.float32(step) * cell / level
                height = pz + share * dz
                if height > summit:
                    break
                i = int(np.floor((py + share * dy - corner[1]) / cell))
                j = int(np.floor((px + share * dx - corner[0]) / cell))
                if i >= 0 and j >= 0 and i < rows and j < columns and tops[i, j] > height + margin:
                    inverse[row, column] = ZERO
                    break


@parallel_kernel
def blend(
    inverse: Float32,
    focal: Float32,
    middle: Float32,
    matrices: Float32,
    shifts: Float32,
    centres: Float32,
    maps: Float32,
    pictures: NDArray[np.uint8],
    gains: Float32,
    tolerance: Scalar,
    colours: Float32,
    shown: Bool,
) -> None:
    """Sets `colours` (H, W, 3) of a view whose inverse depths are `inverse` (H, W), 0 where unknown, and where they are
    `shown` (H, W): where at least one photo sees the place.

    `focal` and `middle` (2,) are the view's. Of K photos: `matrices` (K, 3, 3) and `shifts` (K, 3) from the view's
    pixels to those of the depth maps `maps` (K, h, w), inverse, 0 where unknown; `centres` (K, 3) of the cameras in the
    view's axes; `pictures` (K, h', w', 3) of any size, and `gains` (K, 3), which they are divided by. A photo sees a
    place whose depth its map has within a share of `tolerance`.
    """
    photos, rows, columns = maps.shape
    down_scale = np.float32(pictures.shape[1]) / np.float32(rows)
    along_scale = np.float32(pictures.shape[2]) / np.float32(columns)
    right, bottom = np.float32(pictures.shape[2] - 1), np.float32(pictures.shape[1] - 1)
    for row in prange(inverse.shape[0]):
        weights = np.empty(BLENDED, np.float32)
        found = np.empty((BLENDED, 3), np.float32)
        for column in range(inverse.shape[1]):
            rho = inverse[row, column]
            if not rho > ZERO:
                continue
            x, y = np.float32(column) + HALF, np.float32(row) + HALF
            px, py, pz = (x - middle[0]) / focal[0] / rho, (y - middle[1]) / focal[1] / rho, ONE / rho
            length = np.sqrt(px * px + py * py + pz * pz)
            weights[:] = ZERO
            for k in range(photos):
                m, s = matrices[k], shifts[k]
                z = m[2, 0] * x + m[2, 1] * y + m[2, 2] + s[2] * rho
                if z <= _TINY:
                    continue
                u = (m[0, 0] * x + m[0, 1] * y + m[0, 2] + s[0] * rho) / z
                v = (m[1, 0] * x + m[1, 1] * y + m[1, 2] + s[1] * rho) / z
                if not (u >= ZERO and v >= ZERO and u < np.float32(columns) and v < np.float32(rows)):
                    continue
                theirs = maps[k, int(v), int(u)]
                if not (theirs > ZERO and abs(rho / z / theirs - ONE) <= tolerance):
                    continue
                a, b = u * along_scale - HALF, v * down_scale - HALF
                if not (a >= ZERO and b >= ZERO and a < right and b < bottom):
                    continue
                dx, dy, dz = px - centres[k, 0], py - centres[k, 1], pz - centres[k, 2]
                cosine = (px * dx + py * dy + pz * dz) / (length * np.sqrt(dx * dx + dy * dy + dz * dz))
                angle = np.arccos(max(-ONE, min(ONE, cosine))) + _SOFT
                weight = ONE / (angle * angle * angle * angle)
                place = BLENDED
                while place > 0 and weights[place - 1] < weight:
                    place -= 1
                if place == BLENDED:
                    continue
                for other in range(BLENDED - 1, place, -1):
                    weights[other] = weights[other - 1]
                    found[other] = found[other - 1]
                weights[place] = weight
                i, j = int(b), int(a)
                along, down = a - np.float32(j), b - np.float32(i)
                for channel in range(3):
                    upper = pictures[k, i, j, channel] * (ONE - along) + pictures[k, i, j + 1, channel] * along
                    lower = pictures[k, i + 1, j, channel] * (ONE - along) + pictures[k, i + 1, j + 1, channel] * along
                    found[place, channel] = (upper * (ONE - down) + lower * down) / gains[k, channel]
            if weights[0] > ZERO:
                shown[row, column] = True
                for channel in range(3):
                    total, value = ZERO, ZERO
                    for place in range(BLENDED):
                        if weights[place] > ZERO:
                            total += weights[place]
                            value += weights[place] * found[place, channel]
                    colours[row, column, channel] = value / total
