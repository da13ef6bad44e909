"""Derive a hillshade, contours, and the volume over a polygon from a surface model."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splat.gaussians import Float32

Vector = NDArray[np.float64]

SUN_AZIMUTH, SUN_ALTITUDE = 315.0, 45.0  # degrees; maps are lit from the north-west by convention
MIN_VERTICES = 3
_STRIP = 512  # rows of a map processed at a time: all at once would take many times the map's memory


class PolygonOutsideError(Exception):
    """The surface model does not cover a polygon; the message says how much of it is covered."""


@dataclass(frozen=True)
class Volume:
    """Cubic metres above (`fill`) and below (`cut`) the base, the `area` in square metres, and one `sigma` of the
    volume in cubic metres."""

    fill: float
    cut: float
    area: float
    sigma: float


def hillshade(heights: Float32, cell: float, out: NDArray[np.uint8]) -> None:
    """Write the light on the surface, 1 to 255, into `out` (h, w), and 0 where the surface is unknown.

    Horn, Hill Shading and the Reflectance Map, 1981. `heights` (h, w) and `cell`, the side of a cell on the
    ground, in metres.
    """
    rows = len(heights)
    for top in range(0, rows, _STRIP):
        end = min(top + _STRIP, rows)
        # with one row of each neighbouring strip, or the rim repeated
        part = np.asarray(heights[max(top - 1, 0) : end + 1])
        padded = np.pad(part, ((int(top == 0), int(end == rows)), (1, 1)), mode="edge")
        out[top:end] = _light(padded, cell)


def _light(padded: Float32, cell: float) -> NDArray[np.uint8]:
    """The light (h, w) on heights that are padded by one cell on each side."""
    with np.errstate(invalid="ignore"):
        east = (padded[:-2, 2:] + 2 * padded[1:-1, 2:] + padded[2:, 2:]) - (
            padded[:-2, :-2] + 2 * padded[1:-1, :-2] + padded[2:, :-2]
        )
        north = (padded[:-2, :-2] + 2 * padded[:-2, 1:-1] + padded[:-2, 2:]) - (
            padded[2:, :-2] + 2 * padded[2:, 1:-1] + padded[2:, 2:]
        )
        dx, dy = east / (8 * cell), north / (8 * cell)
        azimuth, altitude = math.radians(SUN_AZIMUTH), math.radians(SUN_ALTITUDE)
        sun = math.cos(altitude) * math.sin(azimuth), math.cos(altitude) * math.cos(azimuth), math.sin(altitude)
        light = (sun[2] - dx * sun[0] - dy * sun[1]) / np.sqrt(1 + dx * dx + dy * dy)
    shade = np.where(np.isfinite(light), 1 + 254 * np.clip(light, 0, 1), 0)
    return np.rint(shade).astype(np.uint8)


def coarsened(heights: Float32, step: int) -> Float32:
    """The mean of each square of `step` by `step` cells; NaN where fewer than half of them are known."""
    rows, columns = heights.shape[0] // step, heights.shape[1] // step
    found = np.empty((rows, columns), np.float32)
    height = max(1, _STRIP // step)
    for top in range(0, rows, height):
        end = min(top + height, rows)
        part = np.asarray(heights[top * step : end * step, : columns * step])
        blocks = part.reshape(end - top, step, columns, step)
        known = np.isfinite(blocks)
        count = known.sum(axis=(1, 3))
        total = np.where(known, blocks, 0).sum(axis=(1, 3), dtype=np.float64)
        found[top:end] = np.where(2 * count >= step * step, total / np.maximum(count, 1), np.nan)
    return found


def contours(heights: Float32, interval: float) -> list[tuple[float, Vector]]:
    """Lines of equal height every `interval` metres: the height, and vertices (N, 2) in cells, x to the right and y
    down, with the centre of the first cell at (0.5, 0.5). Lines cross only squares whose four corners are all known.
    """
    known = heights[np.isfinite(heights)]
    if not len(known):
        return []
    lines = []
    first, last = math.ceil(float(known.min()) / interval), math.floor(float(known.max()) / interval)
    for step in range(first, last + 1):
        level = step * interval
        lines += [(level, line) for line in _joined(_segments(heights, level))]
    return lines


def _segments(heights: Float32, level: float) -> list[tuple[tuple[int, int, int], tuple[int, int, int], Vector]]:
    """Marching squares: for each piece the two edges that it joins, and its ends (2, 2). An edge is (row, column, 0 for
    the edge to the right of that corner, 1 for the edge below it).
    """
    above = heights > level
    whole = np.isfinite(heights)
    square = whole[:-1, :-1] & whole[:-1, 1:] & whole[1:, :-1] & whole[1:, 1:]
    case = above[:-1, :-1] * 1 + above[:-1, 1:] * 2 + above[1:, 1:] * 4 + above[1:, :-1] * 8
    rows, columns = np.nonzero(square & (case > 0) & (case < 15))
    pieces = []
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        top, right, bottom, left = (row, column, 0), (row, column + 1, 1), (row + 1, column, 0), (row, column, 1)
        sides = {_T: top, _R: right, _B: bottom, _L: left}
        for first, second in _CASES[int(case[row, column])]:
            a, b = sides[first], sides[second]
            pieces.append((a, b, np.array([_crossing(heights, a, level), _crossing(heights, b, level)])))
    return pieces


# the sides of a square that a line joins, by the sum of its corners above the level: 1 top left, 2 top right,
# 4 bottom right, 8 bottom left
_L, _T, _R, _B = "left", "top", "right", "bottom"
_CASES: dict[int, tuple[tuple[str, str], ...]] = {
    1: ((_L, _T),), 2: ((_T, _R),), 3: ((_L, _R),), 4: ((_R, _B),), 5: ((_L, _T), (_R, _B)), 6: ((_T, _B),),
    7: ((_L, _B),), 8: ((_B, _L),), 9: ((_T, _B),), 10: ((_T, _R), (_B, _L)), 11: ((_R, _B),), 12: ((_L, _R),),
    13: ((_T, _R),), 14: ((_L, _T),),
}  # fmt: skip


def _crossing(heights: Float32, edge: tuple[int, int, int], level: float) -> tuple[float, float]:
    row, column, down = edge
    here = float(heights[row, column])
    there = float(heights[row + down, column + 1 - down])
    share = min(max((level - here) / (there - here), 0.0), 1.0)
    return column + 0.5 + share * (1 - down), row + 0.5 + share * down


def _joined(pieces: list[tuple[tuple[int, int, int], tuple[int, int, int], Vector]]) -> list[Vector]:
    """Pieces joined end to end to lines (N, 2); a closed line ends where it begins."""
    ends: dict[tuple[int, int, int], list[int]] = {}
    for index, (a, b, _) in enumerate(pieces):
        ends.setdefault(a, []).append(index)
        ends.setdefault(b, []).append(index)
    used = [False] * len(pieces)
    lines = []
    # open lines first, from their ends; the rest is closed
    order = sorted(range(len(pieces)), key=lambda index: min(len(ends[side]) for side in pieces[index][:2]))
    for start in order:
        if used[start]:
            continue
        a, b, places = pieces[start]
        forwards = len(ends[a]) == 1 or len(ends[b]) != 1
        line = [places[0], places[1]] if forwards else [places[1], places[0]]
        edge, used[start] = (b if forwards else a), True
        while (found := next((index for index in ends[edge] if not used[index]), None)) is not None:
            a, b, places = pieces[found]
            used[found] = True
            line.append(places[1] if a == edge else places[0])
            edge = b if a == edge else a
        lines.append(np.array(line))
    return lines


def volume(heights: Float32, sigma: Float32, cell: float, polygon: Vector, base: float | None = None) -> Volume:
    """Measure the volume between the surface and a base over a polygon.

    Parameters
    ----------
    heights: the surface (h, w) in metres, NaN where unknown.
    sigma: their standard errors (h, w) in metres.
    cell: the size of a cell in metres.
    polygon: corners (N, 2) in cells, in the coordinates of `contours`; its sides do not cross.
    base: the base's height in metres; None for a plane that fits the surface along the polygon's rim, as stockpiles
        are measured.

    Raises PolygonOutsideError if the surface is known on less than nine tenths of the polygon. The rest of it counts
    as the mean.
    """
    inside = covered(polygon, heights.shape)
    if len(polygon) < MIN_VERTICES or not inside.any():
        raise PolygonOutsideError("the polygon lies outside the surface model")
    known = inside & np.isfinite(heights)
    total = int(inside.sum())
    if (polygon < 0).any() or (polygon > heights.shape[::-1]).any():  # cells beyond the raster belong to it, too
        total = max(total, round(_area(polygon)))
    share = float(known.sum() / total)
    if share < 0.9:
        raise PolygonOutsideError(f"the surface model covers {share:.0%} of the polygon")
    rows, columns = np.nonzero(known)
    if base is not None:
        floor = np.full(len(rows), base, np.float64)
    else:
        a, b, c = _rim_plane(heights, polygon)
        floor = a + b * (columns + 0.5) + c * (rows + 0.5)
    above = heights[known].astype(np.float64) - floor
    square = cell * cell / share
    return Volume(
        fill=float(np.maximum(above, 0).sum() * square),
        cut=float(np.maximum(-above, 0).sum() * square),
        area=float(total * cell * cell),
        # the errors of neighbouring cells are not independent, so the mean σ is not reduced by averaging
        sigma=float(np.nanmean(sigma[known]) * total * cell * cell),
    )


def _area(polygon: Vector) -> float:
    """The area of a polygon (N, 2) whose sides do not cross, by the shoelace formula."""
    x, y = polygon.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def covered(polygon: Vector, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """(h, w): True for the cells whose centres lie in the polygon (N, 2), by the even-odd rule."""
    rows, columns = shape[:2]
    y = np.arange(rows) + 0.5
    crossings: NDArray[np.int64] = np.zeros((rows, columns + 1), np.int64)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        hit = np.flatnonzero((y0 <= y) != (y1 <= y))
        if len(hit):
            at = x0 + (y[hit] - y0) * (x1 - x0) / (y1 - y0)
            np.add.at(crossings, (hit, np.clip(np.ceil(at - 0.5), 0, columns).astype(np.int64)), 1)
    found: NDArray[np.bool_] = np.cumsum(crossings, axis=1)[:, :columns] % 2 == 1
    return found


def _rim_plane(heights: Float32, polygon: Vector) -> tuple[float, float, float]:
    """The plane that fits the surface along the polygon's sides: its height at the origin, and its slopes in x and y.

    Raises PolygonOutsideError if the surface is known at fewer than three places along them.
    """
    places = [
        a + (b - a) * share
        for a, b in zip(polygon, np.roll(polygon, -1, axis=0), strict=True)
        for share in np.linspace(0, 1, max(2, math.ceil(float(np.linalg.norm(b - a)))), endpoint=False)
    ]
    x, y = np.array(places).T
    rows, columns = (np.clip(v.astype(int), 0, size - 1) for v, size in zip((y, x), heights.shape, strict=True))
    z = heights[rows, columns].astype(np.float64)
    known = np.isfinite(z)
    if int(known.sum()) < MIN_VERTICES:
        raise PolygonOutsideError("the surface model is not known along the polygon's rim")
    system = np.column_stack([np.ones(int(known.sum())), x[known], y[known]])
    a, b, c = np.linalg.lstsq(system, z[known], rcond=None)[0].tolist()
    return a, b, c
