"""Terrain: rolling ground with level pads under buildings, as a mesh that is finer where the photos look.

The surface that is drawn, lit and stood upon is one and the same: bilinear heights on the mesh's lines are used for
placing and lighting, and the mesh's triangles (their diagonals differ by millimetres) for drawing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sample.jit import compiled, compiled_parallel, prange
from sample.noise import fractal, smoothstep, value_noise
from sample.solids import Floats

CELL = 0.5  # metres between mesh lines near the flight
REACH = 900.0  # metres that the land goes on beyond the flight's ground


@compiled
def natural_height(x: float, y: float, half_x: float, half_y: float) -> float:
    """Metres above the datum without pads: gentle within the flight's rectangle, hills far beyond it."""
    height = 13.0 * (fractal(x / 190.0 + 0.37, y / 190.0 + 0.81, 3, 1009) - 0.5)
    height += 2.4 * (fractal(x / 36.0, y / 36.0, 3, 1013) - 0.5)
    height += 0.55 * (fractal(x / 7.5, y / 7.5, 3, 1019) - 0.5)
    height += 0.10 * (value_noise(x / 1.4, y / 1.4, 1021) - 0.5)
    outside = max(max(abs(x) - half_x, abs(y) - half_y), 0.0)
    hills = smoothstep(90.0, 700.0, outside)
    return height + hills * (20.0 + 130.0 * (fractal(x / 330.0, y / 330.0, 4, 1031) - 0.32))


@compiled_parallel
def heights_on(lines_x: Floats, lines_y: Floats, half: Floats, pads: Floats) -> Floats:
    """Heights (rows, columns) on the mesh lines; pads (P, 5) are middle x, y, half sizes x, y and height."""
    heights = np.empty((len(lines_y), len(lines_x)))
    for row in prange(len(lines_y)):
        y = lines_y[row]
        for column in range(len(lines_x)):
            x = lines_x[column]
            height = natural_height(x, y, half[0], half[1])
            for pad in range(len(pads)):
                dx = max(abs(x - pads[pad, 0]) - pads[pad, 2], 0.0)
                dy = max(abs(y - pads[pad, 1]) - pads[pad, 3], 0.0)
                weight = 1 - smoothstep(0.3, 5.0, (dx * dx + dy * dy) ** 0.5)
                height += (pads[pad, 4] - height) * weight
            heights[row, column] = height
    return heights


@compiled
def cell_of(lines: Floats, value: float) -> int:
    """Index of the interval of sorted `lines` that holds `value`, held within the mesh."""
    low, high = 0, len(lines) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if lines[middle] <= value:
            low = middle
        else:
            high = middle
    return low


@compiled
def surface(lines_x: Floats, lines_y: Floats, heights: Floats, x: float, y: float) -> tuple[float, float, float]:
    """Height and its slopes along x and y at a point."""
    i, j = cell_of(lines_x, x), cell_of(lines_y, y)
    dx, dy = lines_x[i + 1] - lines_x[i], lines_y[j + 1] - lines_y[j]
    u, v = (x - lines_x[i]) / dx, (y - lines_y[j]) / dy
    a, b, c, d = heights[j, i], heights[j, i + 1], heights[j + 1, i], heights[j + 1, i + 1]
    height = (a * (1 - u) + b * u) * (1 - v) + (c * (1 - u) + d * u) * v
    slope_x = ((b - a) * (1 - v) + (d - c) * v) / dx
    slope_y = ((c - a) * (1 - u) + (d - b) * u) / dy
    return height, slope_x, slope_y


@compiled_parallel
def drape_points(lines_x: Floats, lines_y: Floats, heights: Floats, places: Floats) -> Floats:
    """Points (N, 3) of the surface above places (N, 2)."""
    points = np.empty((len(places), 3))
    for n in prange(len(places)):
        points[n, 0], points[n, 1] = places[n, 0], places[n, 1]
        points[n, 2] = surface(lines_x, lines_y, heights, places[n, 0], places[n, 1])[0]
    return points


@dataclass(frozen=True)
class Terrain:
    """Heights on a rectilinear mesh."""

    lines_x: Floats  # (columns,) metres east
    lines_y: Floats  # (rows,) metres north
    heights: Floats  # (rows, columns) metres up
    half: Floats  # (2,) half sizes of the finely meshed rectangle about the origin

    def height(self, x: float, y: float) -> float:
        """Metres up at (x, y)."""
        return float(surface(self.lines_x, self.lines_y, self.heights, float(x), float(y))[0])

    def on(self, x: float, y: float) -> Floats:
        """The point (3,) of the surface at (x, y)."""
        return np.array([x, y, self.height(x, y)])

    def drape(self, places: Floats) -> Floats:
        """The points (N, 3) of the surface at places (N, 2)."""
        points: Floats = drape_points(self.lines_x, self.lines_y, self.heights, places)
        return points

    def vertices(self) -> Floats:
        """Mesh vertices (rows · columns, 3)."""
        x, y = np.meshgrid(self.lines_x, self.lines_y)
        return np.stack([x, y, self.heights], 2).reshape(-1, 3)

    def triangles(self) -> NDArray[np.int64]:
        """Vertex indices (T, 3) of the mesh's triangles."""
        rows, columns = self.heights.shape
        corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)[None]).ravel()
        lower = np.stack([corner, corner + 1, corner + columns + 1], 1)
        upper = np.stack([corner, corner + columns + 1, corner + columns], 1)
        return np.stack([lower, upper], 1).reshape(-1, 3)


def mesh_lines(half: float) -> Floats:
    """Lines every CELL within ±half, then ever wider out to REACH beyond."""
    inner = np.arange(int(np.ceil(2 * half / CELL)) + 1) * CELL
    inner = inner - inner[-1] / 2
    steps = CELL * 1.09 ** np.arange(1, 200)
    beyond = np.cumsum(steps)
    beyond = beyond[: int(np.searchsorted(beyond, REACH)) + 1]
    return np.concatenate([inner[0] - beyond[::-1], inner, inner[-1] + beyond])


def build_terrain(half_x: float, half_y: float, pads: Floats) -> Terrain:
    """The land about a flight over ±half_x, ±half_y metres; pads (P, 4): middles and half sizes, each levelled."""
    levelled = np.empty((len(pads), 5))
    for index, (x, y, reach_x, reach_y) in enumerate(pads):
        levelled[index] = x, y, reach_x, reach_y, natural_height(x, y, half_x, half_y) + 0.1
    lines_x, lines_y = mesh_lines(half_x), mesh_lines(half_y)
    half = np.array([half_x, half_y])
    return Terrain(lines_x, lines_y, heights_on(lines_x, lines_y, half, levelled), half)
