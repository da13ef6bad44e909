"""Texture atlas of the lit surfaces of all buildings and objects, one chart per face."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sample.finishes import finish_albedo
from sample.ground import BRIGHTEST
from sample.jit import compiled, compiled_parallel, prange
from sample.lighting import ShadowMap, sun_share
from sample.solids import Faces, Floats

WIDTH = 4096
LIGHT_CELL = 0.3  # metres between the points where a face gathers the sky's light


@dataclass(frozen=True)
class Layout:
    """Where each face's chart lies: texels (x, y, columns, rows) without the border of one texel round it."""

    charts: NDArray[np.int64]  # (F, 4)
    rows: int  # of the whole atlas


def side_lengths(faces: Faces) -> tuple[Floats, Floats]:
    """Lengths (F,) along s and t, metres."""
    p00, p10, p01 = faces.corners[:, 0], faces.corners[:, 1], faces.corners[:, 3]
    return np.linalg.norm(p10 - p00, axis=1), np.linalg.norm(p01 - p00, axis=1)


def lay_out(faces: Faces, texels: Floats) -> Layout:
    """Charts on shelves, tallest first; texels (F,) are their texel sizes in metres."""
    along, up = side_lengths(faces)
    columns = np.clip(np.ceil(along / texels), 2, WIDTH - 2).astype(np.int64)
    rows = np.clip(np.ceil(up / texels), 2, WIDTH - 2).astype(np.int64)
    charts = np.zeros((len(faces), 4), np.int64)
    x = y = shelf = 0
    for face in np.lexsort((columns, -rows)):
        if x + columns[face] + 2 > WIDTH:
            x, y, shelf = 0, y + shelf, 0
        charts[face] = x + 1, y + 1, columns[face], rows[face]
        x += int(columns[face]) + 2
        shelf = max(shelf, int(rows[face]) + 2)
    return Layout(charts, y + shelf)


@compiled
def point_on(corners: Floats, triangular: bool, s: float, t: float, axis: int) -> float:
    """One coordinate of the point at (s, t) of a face, affine on each of the triangles that are drawn."""
    origin = float(corners[0, axis])
    first, second, last = float(corners[1, axis]), float(corners[2, axis]), float(corners[3, axis])
    if triangular:
        return origin + s * (first - origin) + t * (last - origin)
    if s >= t:
        return origin + s * (first - origin) + t * (second - first)
    return origin + t * (last - origin) + s * (second - last)


def sky_points(faces: Faces) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Where the faces gather sky light: points and normals (N, 3) and, by face, (first point, columns, rows)."""
    along, up = side_lengths(faces)
    columns = np.clip(np.ceil(along / LIGHT_CELL), 1, 400).astype(np.int64) + 1
    rows = np.clip(np.ceil(up / LIGHT_CELL), 1, 400).astype(np.int64) + 1
    first = np.concatenate([[0], np.cumsum(columns * rows)])
    points, normals = np.empty((first[-1], 3)), np.empty((first[-1], 3))
    grids = np.stack([first[:-1], columns, rows], 1)
    spread_points(faces.corners, faces.normals, faces.triangular, grids, points, normals)
    return points, normals, grids


@compiled_parallel
def spread_points(
    corners: Floats, face_normals: Floats, triangular: NDArray[np.bool_], grids: NDArray[np.int64],
    points: Floats, normals: Floats,
) -> None:  # fmt: skip
    """Fill the points and normals of every face's grid, a little off the face."""
    for face in prange(len(grids)):
        first, columns, rows = grids[face]
        for row in range(rows):
            for column in range(columns):
                # Pull the rim inwards: corners touch their neighbours and would gather nothing.
                s = 0.04 + 0.92 * column / (columns - 1)
                t = 0.04 + 0.92 * row / (rows - 1)
                if triangular[face] and s + t > 0.96:
                    s, t = s * 0.96 / (s + t), t * 0.96 / (s + t)
                n = first + row * columns + column
                for axis in range(3):
                    normals[n, axis] = face_normals[face, axis]
                    points[n, axis] = (
                        point_on(corners[face], triangular[face], s, t, axis) + 0.05 * face_normals[face, axis]
                    )


@compiled_parallel
def bake(
    corners: Floats, normals: Floats, triangular: NDArray[np.bool_], finishes: NDArray[np.int64], tints: Floats,
    charts: NDArray[np.int64], grids: NDArray[np.int64], shares: Floats, light: Floats,
    near: NDArray[np.float32], near_frame: Floats, far: NDArray[np.float32], far_frame: Floats,
    brightest: float, atlas: NDArray[np.uint8],
) -> None:  # fmt: skip
    """Fill the atlas with radiance, coded as the ground is; light (4, 3) is sun direction, sun, sky and bounce."""
    for face in prange(len(finishes)):
        x0, y0, columns, rows = charts[face]
        first, grid_columns, grid_rows = grids[face]
        nx, ny, nz = normals[face]
        facing = max(nx * light[0, 0] + ny * light[0, 1] + nz * light[0, 2], 0.0)
        under = 0.5 - 0.5 * nz
        u, v, place = np.empty(3), np.empty(3), np.empty(3)
        for axis in range(3):
            u[axis] = corners[face, 1, axis] - corners[face, 0, axis]
            v[axis] = corners[face, 3, axis] - corners[face, 0, axis]
        u /= (u[0] * u[0] + u[1] * u[1] + u[2] * u[2]) ** 0.5
        v -= u * (u[0] * v[0] + u[1] * v[1] + u[2] * v[2])
        v /= max((v[0] * v[0] + v[1] * v[1] + v[2] * v[2]) ** 0.5, 1e-9)
        tint = (tints[face, 0], tints[face, 1], tints[face, 2])
        for row in range(-1, rows + 1):
            t = (row + 0.5) / rows
            for column in range(-1, columns + 1):
                s = (column + 0.5) / columns
                along = up = 0.0
                for axis in range(3):
                    place[axis] = point_on(corners[face], triangular[face], s, t, axis)
                    along += (place[axis] - corners[face, 0, axis]) * u[axis]
                    up += (place[axis] - corners[face, 0, axis]) * v[axis]
                red, green, blue = finish_albedo(finishes[face], along, up, 5003 + 37 * face, tint)
                sun = 0.0
                if facing > 0.0:
                    sun = facing * sun_share(
                        near, near_frame, far, far_frame,
                        place[0] + 0.03 * nx, place[1] + 0.03 * ny, place[2] + 0.03 * nz, 0.06,
                    )  # fmt: skip
                i = min(max(s, 0.0), 0.9999) * (grid_columns - 1)
                j = min(max(t, 0.0), 0.9999) * (grid_rows - 1)
                n = first + int(j) * grid_columns + int(i)
                i, j = i - int(i), j - int(j)
                share = (shares[n] * (1 - i) + shares[n + 1] * i) * (1 - j) + j * (
                    shares[n + grid_columns] * (1 - i) + shares[n + grid_columns + 1] * i
                )
                for channel, albedo in enumerate((red, green, blue)):
                    radiance = albedo * (
                        light[1, channel] * sun + light[2, channel] * (0.05 + share) + light[3, channel] * (0.1 + under)
                    )
                    coded = min(max(radiance / brightest, 0.0), 1.0) ** 0.5
                    atlas[y0 + row, x0 + column, channel] = int(coded * 255 + 0.5)


def bake_atlas(
    faces: Faces,
    layout: Layout,
    grids: NDArray[np.int64],
    shares: Floats,
    light: Floats,
    near: ShadowMap,
    far: ShadowMap,
) -> NDArray[np.uint8]:
    """The atlas (rows, WIDTH, 3)."""
    atlas = np.zeros((layout.rows, WIDTH, 3), np.uint8)
    bake(
        faces.corners, faces.normals, faces.triangular, faces.finishes, faces.tints, layout.charts, grids, shares,
        light, near.nearest, near.frame, far.nearest, far.frame, BRIGHTEST, atlas,
    )  # fmt: skip
    return atlas


def face_triangles(faces: Faces, layout: Layout) -> tuple[Floats, Floats]:
    """Triangles (T, 3, 3) of the faces and their texture places (T, 3, 2) in texels of the atlas."""
    x, y, columns, rows = (layout.charts[:, k].astype(np.float64) for k in range(4))
    low, right = np.stack([x, y], 1), np.stack([x + columns, y], 1)
    high, left = np.stack([x + columns, y + rows], 1), np.stack([x, y + rows], 1)
    p, whole = faces.corners, ~faces.triangular
    triangles = np.concatenate(
        [
            p[faces.triangular][:, [0, 1, 3]],
            np.stack([p[whole][:, [0, 1, 2]], p[whole][:, [0, 2, 3]]], 1).reshape(-1, 3, 3),
        ]
    )
    corners = np.stack([low, right, high, left], 1)
    places = np.concatenate(
        [
            corners[faces.triangular][:, [0, 1, 3]],
            np.stack([corners[whole][:, [0, 1, 2]], corners[whole][:, [0, 2, 3]]], 1).reshape(-1, 3, 2),
        ]
    )
    return triangles, places
