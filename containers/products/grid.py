"""The grid of a scene's map projection: north-up rasters, and the conversion of points and Gaussians to the grid."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from geo.projected import Projected
from splat.gaussians import Gaussians

Vector = NDArray[np.float64]

_ARM = 20.0  # metres over which the grid's direction and scale are measured


@dataclass(frozen=True)
class Grid:
    """A north-up raster: cells of `cell` metres from the top left corner (`west`, `north`), metres from the `corner` of
    `Placed`."""

    west: float
    north: float
    cell: float
    width: int
    height: int

    @property
    def cells(self) -> int:
        return self.width * self.height

    def tiles(self, size: int) -> Iterator[tuple[tuple[slice, slice], Grid]]:
        """Yield parts of the raster of at most `size` by `size` cells: the slices that each covers, and its grid."""
        for top in range(0, self.height, size):
            for left in range(0, self.width, size):
                rows, columns = min(size, self.height - top), min(size, self.width - left)
                place = (slice(top, top + rows), slice(left, left + columns))
                west, north = self.west + left * self.cell, self.north - top * self.cell
                yield place, Grid(west, north, self.cell, columns, rows)

    def centres(self) -> tuple[Vector, Vector]:
        """x (w,) and y (h,) of the cells' centres."""
        columns, rows = np.arange(self.width, dtype=np.float64), np.arange(self.height, dtype=np.float64)
        x: Vector = self.west + (columns + 0.5) * self.cell
        y: Vector = self.north - (rows + 0.5) * self.cell
        return x, y


@dataclass(frozen=True)
class Placed:
    """Converts a scene to grid coordinates: metres in the projection, relative to `corner` (3,).

    The corner is in whole metres, and grid coordinates are small enough for float32. The coordinates of a projection in
    feet are converted to metres, including those of the corner.
    """

    projected: Projected
    corner: Vector

    @classmethod
    def of(cls, projected: Projected) -> Placed:
        here = cls(projected, np.zeros(3))
        return replace(here, corner=np.floor(here.to_grid(np.zeros((1, 3)))[0]))

    @property
    def unit(self) -> Vector:
        """(3,) metres per unit of the projection's axes and of heights."""
        return np.array([self.projected.metres_per_unit, self.projected.metres_per_unit, 1.0])

    @property
    def ground_share(self) -> float:
        """Square metres of ground for a square metre of the grid, at the scene's origin: projections stretch it."""
        linear = self.projected.affine[:2, :2] * self.unit[:2, None]
        return float(1 / abs(np.linalg.det(linear)))

    def to_grid(self, points: Vector) -> Vector:
        """ENU metres (N, 3) → grid coordinates (N, 3)."""
        return self.projected.from_enu(points) * self.unit - self.corner

    def to_enu(self, points: Vector) -> Vector:
        """The inverse of `to_grid`."""
        return self.projected.to_enu((points + self.corner) / self.unit)

    def affine_about(self, point: Vector) -> Vector:
        """(3, 4): the linear map from grid to ENU at `point` (3,) of the grid; its error is 1 mm at 80 m from there."""
        found = self.to_enu(point + _ARM * np.array([[0, 0, 0], *np.eye(3), *-np.eye(3)]))
        linear = (found[1:4] - found[4:7]).T / (2 * _ARM)
        return np.column_stack([linear, found[0] - linear @ point])

    def carried(self, gaussians: Gaussians) -> Gaussians:
        """The Gaussians on the grid: PROJ projects each mean exactly, and each is rotated by the grid convergence.

        The scale of the grid is that at the scene's origin. Harmonics are not rotated: a rotation about the vertical
        changes nothing as seen from straight above.
        """
        axes = self.to_grid(_ARM * np.array([[0.0, 0, 0], [1, 0, 0]]))
        east = (axes[1] - axes[0])[:2] / _ARM
        half = math.atan2(east[1], east[0]) / 2
        w, z = math.cos(half), math.sin(half)
        a, b, c, d = gaussians.quats.astype(np.float64).T
        turned = np.column_stack([w * a - z * d, w * b - z * c, w * c + z * b, w * d + z * a])
        return replace(
            gaussians,
            means=self.to_grid(gaussians.means.astype(np.float64)).astype(np.float32),
            quats=turned.astype(np.float32),
            scales=gaussians.scales + np.float32(math.log(math.hypot(*east))),
        )
