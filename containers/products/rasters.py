"""Draw a scene's maps tile by tile into rasters on disk: memory depends on the size of a tile, not of the map."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from products.drape import Drape, orthophoto
from products.grid import Grid, Placed, Vector
from products.scene import Scene
from products.surface import Surface, SurfacePoints, surface
from splat.bounded import Bounded
from splat.camera import Camera, View
from splat.depths import depth_map
from splat.gaussians import Float32, Gaussians
from splat.orthographic import draw_from_above

TILE = 1024  # cells
_RIM = 16  # cells around a tile that are drawn with it, so that filters see beyond its edge
MIN_PHOTOS = 3  # photos that must have a cell in their picture; fewer do not determine its height
MAX_CELLS = 1_000_000_000
_DEPTH_EDGE = 640  # pixels of the longer side of a photo's depth map
_EXTENT_PERCENTILES = (0.5, 99.5)
_DEPTH_BYTES = 1 << 30  # cached depth maps: those of some 900 photos
_MASK_BYTES = 1 << 29
_PHOTO_BYTES = 2 << 30  # cached decoded photos: neighbouring tiles are seen by nearly the same ones
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Rasters:
    """Maps on one grid: `rgb` (h, w, 3), `heights` (h, w) in metres in the scene's datum, their `sigma` (h, w) in
    metres, and `valid` (h, w). Heights and σ are NaN where they are not valid.
    """

    grid: Grid
    rgb: Bytes
    heights: Float32
    sigma: Float32
    valid: NDArray[np.bool_]


class NothingSeenError(Exception):
    """No part of the ground is seen by as many photos as a map needs."""


def default_cell(gsd: float) -> float:
    """The cell size for a ground sampling distance: two digits, so that the maps of similar flights align."""
    digits = 1 - math.floor(math.log10(gsd))
    return float(round(gsd, digits))


def extent(points: Vector, cameras: list[Camera], placed: Placed, cell: float) -> Grid:
    """The grid, in whole cells, around those ENU points (N, 3) that MIN_PHOTOS cameras see. Raises NothingSeenError."""
    seen = np.zeros(len(points), np.int16)
    for camera in cameras:
        seen += camera.contains(*camera.project(points))
    kept = points[seen >= MIN_PHOTOS]
    if not len(kept):
        raise NothingSeenError(f"no part of the scene is seen by {MIN_PHOTOS} photos")
    low, high = np.percentile(placed.to_grid(kept)[:, :2], _EXTENT_PERCENTILES, axis=0)
    corner = placed.corner[:2]
    # maps with the same cell size share their cell borders
    west = math.floor((low[0] + corner[0]) / cell) * cell - corner[0]
    north = math.ceil((high[1] + corner[1]) / cell) * cell - corner[1]
    width, height = math.ceil((high[0] - west) / cell), math.ceil((north - low[1]) / cell)
    return Grid(float(west), float(north), cell, max(width, 1), max(height, 1))


def draw(scene: Scene, placed: Placed, grid: Grid, scratch: Path, after_each: Callable[[float], None]) -> Rasters:
    """Draw all maps of `scene` on `grid` into files below `scratch`; `after_each` receives the share done, 0..1.

    Raises NothingSeenError if no cell is valid.
    """
    rasters = _empty(grid, scratch)
    drawing = _Drawing.of(scene, placed, grid.cell)
    tiles = list(grid.tiles(TILE))
    for done, (place, tile) in enumerate(tiles, start=1):
        drawing.draw_tile(rasters, place, tile)
        after_each(done / len(tiles))
    if not rasters.valid.any():
        raise NothingSeenError(f"no part of the surface is seen by {MIN_PHOTOS} photos")
    return rasters


@dataclass(frozen=True)
class _Drawing:
    """The data that all tiles are drawn from: the Gaussians `carried` onto the grid, the dense `points`, and caches of
    the `depths` that the splat shows in each photo and of the decoded `photos`.
    """

    scene: Scene
    placed: Placed
    carried: Gaussians
    points: SurfacePoints
    depths: Bounded[Float32]
    photos: Bounded[Bytes]
    masks: Bounded[Bytes]

    @classmethod
    def of(cls, scene: Scene, placed: Placed, cell: float) -> _Drawing:
        return cls(
            scene,
            placed,
            placed.carried(scene.gaussians),
            SurfacePoints.sorted(placed.to_grid(scene.dense.points), scene.dense.sigma, cell),
            Bounded(_DEPTH_BYTES, lambda depths: depths.nbytes),
            Bounded(_PHOTO_BYTES, lambda photo: photo.nbytes),
            Bounded(_MASK_BYTES, lambda mask: mask.nbytes),
        )

    def draw_tile(self, rasters: Rasters, place: tuple[slice, slice], tile: Grid) -> None:
        rim = Grid(
            tile.west - _RIM * tile.cell, tile.north + _RIM * tile.cell, tile.cell, tile.width + 2 * _RIM,
            tile.height + 2 * _RIM,
        )  # fmt: skip
        above = draw_from_above(self.carried, rim.west, rim.north, rim.cell, rim.width, rim.height)
        found = surface(self.points, above.heights, above.alpha, rim)
        if not np.isfinite(found.heights).any():
            return
        drape = Drape.over(found.heights, rim, self.placed)
        box = self.placed.to_enu(_corners(found, rim))
        for view in self.scene.views:
            if _may_see(view.camera, box):
                gain = self.scene.gains.get(view.name, np.ones(3))
                drape.add(view.camera, self._photo(view.name), gain, self._depths(view), self._mask(view.name))
        picture = orthophoto(above.rgb, drape)
        inner = (slice(_RIM, _RIM + tile.height), slice(_RIM, _RIM + tile.width))
        heights = found.heights[inner]
        valid = drape.shown(MIN_PHOTOS)[inner]
        rasters.rgb[place] = np.rint(255 * picture[inner].clip(0, 1)).astype(np.uint8)
        rasters.valid[place] = valid
        rasters.heights[place] = np.where(valid, heights + np.float32(self.placed.corner[2]), np.nan)
        rasters.sigma[place] = np.where(valid, found.sigma[inner], np.nan)

    def _depths(self, view: View) -> Float32:
        return self.depths.get(view.name, lambda: _depths(self.scene.gaussians, view.camera))

    def _photo(self, name: str) -> Bytes:
        return self.photos.get(name, lambda: self.scene.photo(name))

    def _mask(self, name: str) -> Bytes:
        return self.masks.get(name, lambda: self.scene.mask(name))


def layer(scratch: Path, name: str, kind: type, *shape: int) -> Any:
    """An array of zeros in a file below `scratch`."""
    return np.memmap(scratch / f"{name}.raw", kind, "w+", shape=shape)


def _empty(grid: Grid, scratch: Path) -> Rasters:
    shape = (grid.height, grid.width)
    heights, sigma = layer(scratch, "heights", np.float32, *shape), layer(scratch, "sigma", np.float32, *shape)
    heights[:], sigma[:] = np.nan, np.nan
    return Rasters(
        grid, layer(scratch, "rgb", np.uint8, *shape, 3), heights, sigma, layer(scratch, "valid", np.bool_, *shape)
    )


def _depths(gaussians: Gaussians, camera: Camera) -> Float32:
    """The depths that the splat shows in a photo; infinite where it stops too little light to hide anything."""
    small = camera.scaled(min(1.0, _DEPTH_EDGE / max(camera.width, camera.height)))
    found = depth_map(gaussians, small).median
    return np.where(np.isfinite(found), found, np.float32(np.inf)).astype(np.float32)


def _corners(found: Surface, tile: Grid) -> Vector:
    """The corners (8, 3) of the box around a tile's surface."""
    low, high = np.nanmin(found.heights), np.nanmax(found.heights)
    east, south = tile.west + tile.width * tile.cell, tile.north - tile.height * tile.cell
    return np.array([[x, y, z] for x in (tile.west, east) for y in (south, tile.north) for z in (low, high)], float)


def _may_see(camera: Camera, box: Vector) -> bool:
    """Whether a box (8, 3) can be in a picture, that is, does not lie entirely beyond one of its sides."""
    local = box @ camera.rotation.T + camera.translation
    x, y, z = local.T
    beyond = [
        z <= 0,
        camera.fx * x + camera.cx * z < 0,
        camera.fx * x - (camera.width - camera.cx) * z > 0,
        camera.fy * y + camera.cy * z < 0,
        camera.fy * y - (camera.height - camera.cy) * z > 0,
    ]
    return not any(bool(side.all()) for side in beyond)
