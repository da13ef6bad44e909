"""Flat faces and the simple bodies made of them.

A face is a planar quadrilateral (or a triangle) with a finish. `s` runs from its first corner to its second, `t` from
its first to its last; roofs have t uphill, walls have t upright.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import cos, sin

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Tint = tuple[float, float, float]


@dataclass(frozen=True)
class Faces:
    """F faces: what triangles are drawn and textures are baked from."""

    corners: Floats  # (F, 4, 3) metres; a triangle's third corner is unused
    normals: Floats  # (F, 3) unit, outwards
    triangular: NDArray[np.bool_]  # (F,)
    finishes: NDArray[np.int64]  # (F,) of sample.finishes
    tints: Floats  # (F, 3) linear albedo

    def __len__(self) -> int:
        return len(self.finishes)


def join(parts: Iterable[Faces]) -> Faces:
    """All faces of all parts, in order."""
    parts = list(parts)
    if not parts:
        nothing = np.zeros((0, 3))
        return Faces(np.zeros((0, 4, 3)), nothing, np.zeros(0, bool), np.zeros(0, np.int64), nothing)
    return Faces(
        np.concatenate([part.corners for part in parts]),
        np.concatenate([part.normals for part in parts]),
        np.concatenate([part.triangular for part in parts]),
        np.concatenate([part.finishes for part in parts]),
        np.concatenate([part.tints for part in parts]),
    )


def placed(faces: Faces, foot: ArrayLike, heading: float = 0.0, mirror: bool = False) -> Faces:
    """Faces mirrored in x if asked, turned `heading` radians counter-clockwise, then moved to `foot`."""
    turn = np.array([[cos(heading), -sin(heading), 0], [sin(heading), cos(heading), 0], [0, 0, 1.0]])
    if mirror:
        turn = turn @ np.diag([-1.0, 1.0, 1.0])
    return Faces(
        faces.corners @ turn.T + np.asarray(foot, np.float64),
        faces.normals @ turn.T,
        faces.triangular,
        faces.finishes,
        faces.tints,
    )


def crossed(a: Floats, b: Floats) -> Floats:
    """Cross products of rows (N, 3); numpy's own costs more than the rest of a face."""
    ax, ay, az = a[:, 0], a[:, 1], a[:, 2]
    bx, by, bz = b[:, 0], b[:, 1], b[:, 2]
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], 1)


def flat(corners: Floats, finish: int, tint: Tint, triangular: bool = False) -> Faces:
    """Faces of corners (N, 4, 3), counter-clockwise seen from outside; a triangle's last corner is given twice."""
    count = len(corners)
    if triangular:
        normals = crossed(corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 0])
    else:
        normals = crossed(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    normals /= np.sqrt((normals**2).sum(axis=1, keepdims=True))
    return Faces(
        corners, normals, np.full(count, triangular), np.full(count, finish), np.tile(np.array(tint), (count, 1))
    )


def quad(p00: ArrayLike, p10: ArrayLike, p11: ArrayLike, p01: ArrayLike, finish: int, tint: Tint) -> Faces:
    """One face, counter-clockwise seen from outside."""
    return flat(np.array([[p00, p10, p11, p01]], np.float64), finish, tint)


def triangle(p00: ArrayLike, p10: ArrayLike, p01: ArrayLike, finish: int, tint: Tint) -> Faces:
    """One triangle, counter-clockwise seen from outside."""
    return flat(np.array([[p00, p10, p01, p01]], np.float64), finish, tint, triangular=True)


def box(low: ArrayLike, high: ArrayLike, finish: int, tint: Tint, top: tuple[int, Tint] | None = None) -> Faces:
    """An upright box; `top` gives its upper face another finish. The underside is left out."""
    x0, y0, z0 = np.asarray(low, np.float64)
    x1, y1, z1 = np.asarray(high, np.float64)
    over, colour = top or (finish, tint)
    return join(
        [
            quad((x0, y0, z0), (x1, y0, z0), (x1, y0, z1), (x0, y0, z1), finish, tint),
            quad((x1, y0, z0), (x1, y1, z0), (x1, y1, z1), (x1, y0, z1), finish, tint),
            quad((x1, y1, z0), (x0, y1, z0), (x0, y1, z1), (x1, y1, z1), finish, tint),
            quad((x0, y1, z0), (x0, y0, z0), (x0, y0, z1), (x0, y1, z1), finish, tint),
            quad((x0, y0, z1), (x1, y0, z1), (x1, y1, z1), (x0, y1, z1), over, colour),
        ]
    )


def panel(
    foot: ArrayLike, right: ArrayLike, up: ArrayLike, size: tuple[float, float, float], finish: int, tint: Tint
) -> Faces:
    """A slab standing out of a surface: width, height and depth along right, up and right × up from its lower left."""
    origin, r, u = np.asarray(foot, np.float64), np.asarray(right, np.float64), np.asarray(up, np.float64)
    width, height, depth = size
    out = np.cross(r, u) * depth
    a, b, c, d = origin, origin + r * width, origin + r * width + u * height, origin + u * height
    return join(
        [
            quad(a + out, b + out, c + out, d + out, finish, tint),
            quad(a, b, b + out, a + out, finish, tint),
            quad(b, c, c + out, b + out, finish, tint),
            quad(c, d, d + out, c + out, finish, tint),
            quad(d, a, a + out, d + out, finish, tint),
        ]
    )


def frustum(base: Sequence[float], top: Sequence[float], z: tuple[float, float], finish: int, tint: Tint) -> Faces:
    """Four sloping sides from one rectangle (x0, y0, x1, y1) to another above it."""
    x0, y0, x1, y1 = base
    u0, v0, u1, v1 = top
    low, high = z
    return join(
        [
            quad((x0, y0, low), (x1, y0, low), (u1, v0, high), (u0, v0, high), finish, tint),
            quad((x1, y0, low), (x1, y1, low), (u1, v1, high), (u1, v0, high), finish, tint),
            quad((x1, y1, low), (x0, y1, low), (u0, v1, high), (u1, v1, high), finish, tint),
            quad((x0, y1, low), (x0, y0, low), (u0, v0, high), (u0, v1, high), finish, tint),
        ]
    )


def ring(centre: ArrayLike, axis: ArrayLike, radius: float, sides: int) -> Floats:
    """Points (sides + 1, 3) round an axis, the first repeated at the end, counter-clockwise seen from the axis' tip."""
    w = np.asarray(axis, np.float64)[None]
    w = w / np.sqrt((w**2).sum())
    u = crossed(np.array([[0.0, 1.0, 0.0] if abs(w[0, 1]) < 0.9 else [0.0, 0.0, 1.0]]), w)
    u /= np.sqrt((u**2).sum())
    angles = (2 * np.pi / sides * np.arange(sides + 1))[:, None]
    points: Floats = np.asarray(centre, np.float64) + radius * (np.cos(angles) * u + np.sin(angles) * crossed(w, u))
    return points


def tube(
    start: ArrayLike, end: ArrayLike, radii: tuple[float, float], finish: int, tint: Tint, sides: int = 8
) -> Faces:
    """The mantle of a tapered cylinder from start to end."""
    axis = np.asarray(end, np.float64) - np.asarray(start, np.float64)
    low, high = ring(start, axis, radii[0], sides), ring(end, axis, radii[1], sides)
    return flat(np.stack([low[:-1], low[1:], high[1:], high[:-1]], 1), finish, tint)


def disc(
    centre: ArrayLike, radius: float, finish: int, tint: Tint, sides: int = 16, normal: ArrayLike = (0.0, 0.0, 1.0)
) -> Faces:
    """A round plate that faces along `normal`."""
    rim = ring(centre, normal, radius, sides)
    middle = np.broadcast_to(np.asarray(centre, np.float64), (sides, 3))
    return flat(np.stack([middle, rim[:-1], rim[1:], rim[1:]], 1), finish, tint, triangular=True)
