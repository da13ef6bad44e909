"""Find the triangle or leaf that each sample of an image sees, for perspective and for parallel rays.

Homogeneous rasterisation (Olano and Greer 1997): with the primitive's three columns A in homogeneous picture
coordinates, A⁻¹ (x, y, 1) gives for a triangle its barycentric coordinates over the depth, and for a leaf (columns
along, across, centre) its s and t over the depth. Nothing is clipped or approximated: the sample at (i + 0.5, j + 0.5)
sees exactly what its ray hits first.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sample.jit import compiled, compiled_parallel, prange
from sample.solids import Floats

BAND = 24  # rows that one task draws: its part of the buffers stays in the cache
NEAR = 0.2  # metres before a perspective camera where the world begins


@dataclass(frozen=True)
class Primitives:
    """Triangles first, then leaves."""

    columns: Floats  # (P, 3, 3): [k] is vertex k of a triangle; along, across and centre of a leaf
    leaf_start: int  # the first leaf


@dataclass(frozen=True)
class View:
    """A way of looking: x = fx · X / Z + cx for perspective, x = fx · X + cx for parallel rays."""

    rotation: Floats  # (3, 3) world to view
    translation: Floats  # (3,)
    scale: Floats  # (4,) fx, fy, cx, cy in samples
    width: int  # samples
    height: int
    parallel: bool


@dataclass(frozen=True)
class Visible:
    """Per sample: the nearest primitive (-1 where none) and its nearness, 1 / Z in perspective, else -Z."""

    owner: NDArray[np.int32]  # (height, width)
    nearness: NDArray[np.float32]  # (height, width)
    planes: Floats  # (P, 4, 3): the rows of A⁻¹, then nearness, as functions of (x, y, 1)


@compiled_parallel
def set_up(
    columns: Floats, leaf_start: int, rotation: Floats, translation: Floats, scale: Floats, width: int, height: int,
    parallel: bool, planes: Floats, boxes: NDArray[np.int32],
) -> None:  # fmt: skip
    """Planes of every primitive, and the samples (x0, x1, y0, y1; x1 < x0 when none) that it may cover."""
    for p in prange(len(columns)):
        leaf = p >= leaf_start
        v = np.empty((3, 3))
        for k in range(3):
            moved = 0.0 if leaf and k < 2 else 1.0
            for axis in range(3):
                v[k, axis] = (
                    rotation[axis, 0] * columns[p, k, 0]
                    + rotation[axis, 1] * columns[p, k, 1]
                    + rotation[axis, 2] * columns[p, k, 2]
                    + moved * translation[axis]
                )
        boxes[p, 0], boxes[p, 1], boxes[p, 2], boxes[p, 3] = 0, -1, 0, -1
        low_x, high_x, low_y, high_y = 1e30, -1e30, 1e30, -1e30
        for k in range(4 if leaf else 3):
            if leaf:
                s, t = (1.0 if k & 1 else -1.0), (1.0 if k & 2 else -1.0)
                ax = v[2, 0] + s * v[0, 0] + t * v[1, 0]
                ay = v[2, 1] + s * v[0, 1] + t * v[1, 1]
                az = v[2, 2] + s * v[0, 2] + t * v[1, 2]
                bx, by, bz = ax, ay, az
            else:
                ax, ay, az = v[k, 0], v[k, 1], v[k, 2]
                n = (k + 1) % 3
                bx, by, bz = v[n, 0], v[n, 1], v[n, 2]
            if parallel:
                az = 1.0
            elif az < NEAR:
                if bz < NEAR:
                    continue
                # The edge enters the world here.
                share = (NEAR - az) / (bz - az)
                ax, ay, az = ax + share * (bx - ax), ay + share * (by - ay), NEAR
            elif bz < NEAR:
                share = (NEAR - az) / (bz - az)
                ex, ey = ax + share * (bx - ax), ay + share * (by - ay)
                x, y = scale[0] * ex / NEAR + scale[2], scale[1] * ey / NEAR + scale[3]
                low_x, high_x, low_y, high_y = min(low_x, x), max(high_x, x), min(low_y, y), max(high_y, y)
            x, y = scale[0] * ax / az + scale[2], scale[1] * ay / az + scale[3]
            low_x, high_x, low_y, high_y = min(low_x, x), max(high_x, x), min(low_y, y), max(high_y, y)
        x0, x1 = max(np.ceil(low_x - 0.5), 0.0), min(np.floor(high_x - 0.5), width - 1.0)
        y0, y1 = max(np.ceil(low_y - 0.5), 0.0), min(np.floor(high_y - 0.5), height - 1.0)
        if x1 < x0 or y1 < y0:
            continue
        w0, w1, w2 = v[0, 2], v[1, 2], v[2, 2]
        if parallel:
            w0, w1, w2 = (0.0, 0.0, 1.0) if leaf else (1.0, 1.0, 1.0)
        a0, a1, a2 = (
            scale[0] * v[0, 0] + scale[2] * w0,
            scale[0] * v[1, 0] + scale[2] * w1,
            scale[0] * v[2, 0] + scale[2] * w2,
        )
        b0, b1, b2 = (
            scale[1] * v[0, 1] + scale[3] * w0,
            scale[1] * v[1, 1] + scale[3] * w1,
            scale[1] * v[2, 1] + scale[3] * w2,
        )
        determinant = a0 * (b1 * w2 - b2 * w1) - a1 * (b0 * w2 - b2 * w0) + a2 * (b0 * w1 - b1 * w0)
        if abs(determinant) < 1e-12:
            continue
        inverse = 1.0 / determinant
        planes[p, 0, 0], planes[p, 0, 1], planes[p, 0, 2] = (
            (b1 * w2 - b2 * w1) * inverse, (a2 * w1 - a1 * w2) * inverse, (a1 * b2 - a2 * b1) * inverse,
        )  # fmt: skip
        planes[p, 1, 0], planes[p, 1, 1], planes[p, 1, 2] = (
            (b2 * w0 - b0 * w2) * inverse, (a0 * w2 - a2 * w0) * inverse, (a2 * b0 - a0 * b2) * inverse,
        )  # fmt: skip
        planes[p, 2, 0], planes[p, 2, 1], planes[p, 2, 2] = (
            (b0 * w1 - b1 * w0) * inverse, (a1 * w0 - a0 * w1) * inverse, (a0 * b1 - a1 * b0) * inverse,
        )  # fmt: skip
        for axis in range(3):
            if parallel:
                planes[p, 3, axis] = -(
                    v[0, 2] * planes[p, 0, axis] + v[1, 2] * planes[p, 1, axis] + v[2, 2] * planes[p, 2, axis]
                )
            elif leaf:
                planes[p, 3, axis] = planes[p, 2, axis]
            else:
                planes[p, 3, axis] = planes[p, 0, axis] + planes[p, 1, axis] + planes[p, 2, axis]
        boxes[p, 0], boxes[p, 1], boxes[p, 2], boxes[p, 3] = int(x0), int(x1), int(y0), int(y1)


@compiled
def sort_into_bands(boxes: NDArray[np.int32], bands: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """For every band of rows the primitives that touch it, in order: items[first[band] : first[band + 1]]."""
    first = np.zeros(bands + 1, np.int64)
    for p in range(len(boxes)):
        if boxes[p, 1] >= boxes[p, 0]:
            for band in range(boxes[p, 2] // BAND, boxes[p, 3] // BAND + 1):
                first[band + 1] += 1
    for band in range(bands):
        first[band + 1] += first[band]
    items = np.empty(first[bands], np.int32)
    place = first[:bands].copy()
    for p in range(len(boxes)):
        if boxes[p, 1] >= boxes[p, 0]:
            for band in range(boxes[p, 2] // BAND, boxes[p, 3] // BAND + 1):
                items[place[band]] = p
                place[band] += 1
    return first, items


@compiled_parallel
def draw_bands(
    planes: Floats, boxes: NDArray[np.int32], leaf_start: int, first: NDArray[np.int64], items: NDArray[np.int32],
    owner: NDArray[np.int32], nearness: NDArray[np.float32],
) -> None:  # fmt: skip
    """Fill the buffers. A tie goes to the earlier primitive."""
    bands = len(first) - 1
    half = (bands + 1) // 2
    for task in prange(bands):
        # Even bands to one half of the threads, odd ones to the other: sky costs less than garden.
        band = 2 * task if task < half else 2 * (task - half) + 1
        for item in range(first[band], first[band + 1]):
            p = items[item]
            leaf = p >= leaf_start
            m = planes[p]
            for row in range(max(boxes[p, 2], band * BAND), min(boxes[p, 3], band * BAND + BAND - 1) + 1):
                y = row + 0.5
                c0, c1 = m[0, 1] * y + m[0, 2], m[1, 1] * y + m[1, 2]
                c2, c3 = m[2, 1] * y + m[2, 2], m[3, 1] * y + m[3, 2]
                for column in range(boxes[p, 0], boxes[p, 1] + 1):
                    x = column + 0.5
                    e0, e1, e2 = m[0, 0] * x + c0, m[1, 0] * x + c1, m[2, 0] * x + c2
                    if leaf:
                        if e0 * e0 + e1 * e1 > e2 * e2 or e2 <= 0.0:
                            continue
                    # The tolerance closes the hair's breadth that rounding leaves between neighbours.
                    elif e0 < -1e-11 or e1 < -1e-11 or e2 < -1e-11:
                        continue
                    depth = np.float32(m[3, 0] * x + c3)
                    if depth > nearness[row, column]:
                        nearness[row, column] = depth
                        owner[row, column] = p


def look(primitives: Primitives, view: View) -> Visible:
    """See the primitives from a view."""
    count = len(primitives.columns)
    planes = np.empty((count, 4, 3))
    boxes = np.empty((count, 4), np.int32)
    set_up(
        primitives.columns, primitives.leaf_start, view.rotation, view.translation, view.scale,
        view.width, view.height, view.parallel, planes, boxes,
    )  # fmt: skip
    owner = np.full((view.height, view.width), -1, np.int32)
    nearness = np.full((view.height, view.width), -1e9 if view.parallel else 0.0, np.float32)
    first, items = sort_into_bands(boxes, (view.height + BAND - 1) // BAND)
    draw_bands(planes, boxes, primitives.leaf_start, first, items, owner, nearness)
    return Visible(owner, nearness, planes)
