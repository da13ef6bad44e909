"""Fuse the depth maps to points, one per cell and surface, and write the file that later products read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from plyfile import PlyData, PlyElement
from scipy.ndimage import uniform_filter
from scipy.spatial import cKDTree

from contract.files import whole
from trainer.dataset import Frame
from trainer.stereo import kernels
from trainer.stereo.geometry import Float32, Float64, StereoPhoto, balls_in_view, pixel_centres
from trainer.stereo.maps import DepthMap, Stereo
from trainer.stereo.settings import SETTINGS

PRODUCT_CELL = 2  # pixels of the maps a point of dense.ply
_SAME_SURFACE = 0.02  # relative difference of depth below which two points lie on one surface
_REACH = 40  # pixels of the maps, to all sides, within which a point has company,
_COMPANY = 0.04  # and the share of a whole surface's points that are company enough
_NORMAL_WINDOW = 7  # pixels that a normal is taken over
Gains = Mapping[str, Float64]


@dataclass(frozen=True)
class DensePoints:
    """P points on the surfaces that photos agree on; lengths in the frame of the maps' cameras."""

    positions: Float64  # (P, 3)
    normals: Float32  # (P, 3) unit, towards the photo
    colours: Float32  # (P, 3) mean of the cell's pixels over the photo's gain; 1 is white
    spacing: Float32  # (P,) width of the cell across the ray
    slant: Float32  # (P,) cosine between ray and normal
    agree: NDArray[np.uint8]  # (P,) maps that agree, besides the one it is from
    sigma: Float32  # (P,) standard deviation along the ray

    def __len__(self) -> int:
        return len(self.positions)

    def select(self, which: NDArray[np.bool_]) -> DensePoints:
        """The points that `which` (P,) picks."""
        return DensePoints(**{field.name: getattr(self, field.name)[which] for field in fields(self)})


def fuse(stereo: Stereo, photos: Sequence[StereoPhoto], cell: int, gains: Gains | None = None) -> DensePoints:
    """One point a cell of `cell` by `cell` pixels and surface: photo by photo, the best known first, each adds what the
    ones before do not cover. Of a cell's pixels the one that most maps agree on stands for it.

    Points are compared only with photos that may show them: each with each would be 12 million comparisons of 5,000
    photos.
    """
    known = [(found, photo) for found, photo in zip(stereo.maps, photos, strict=True) if found is not None]
    known.sort(key=lambda pair: -float(pair[0].accepted.mean()))
    parts: list[DensePoints] = []
    middles, radii = np.zeros((len(known), 3)), np.zeros(len(known))
    for found, photo in known:
        rows, columns = found.inverse.shape[0] // cell, found.inverse.shape[1] // cell
        covered = np.zeros((rows, columns), bool)
        camera = found.camera
        focal, centre = np.array([camera.fx, camera.fy]), np.array([camera.cx, camera.cy])
        before = len(parts)
        for index in np.flatnonzero(balls_in_view(camera, middles[:before], radii[:before])):
            kernels.cover(
                parts[index].positions, np.ascontiguousarray(camera.world_to_camera), focal, centre, found.inverse,
                _SAME_SURFACE, cell, covered,
            )  # fmt: skip
        gain = (gains or {}).get(found.name, np.ones(3))
        parts.append(_points_of(found, photo.picture, gain, cell, covered))
        if len(parts[-1]):
            middles[before] = (parts[-1].positions.min(axis=0) + parts[-1].positions.max(axis=0)) / 2
            radii[before] = np.linalg.norm(parts[-1].positions - middles[before], axis=1).max()
    if not parts:
        nothing = np.zeros((0, 3))
        flat = np.zeros(0, np.float32)
        return DensePoints(
            nothing, nothing.astype(np.float32), nothing.astype(np.float32), flat, flat, flat.astype(np.uint8), flat
        )
    return DensePoints(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(parts[0])))


def fuse_at_most(
    stereo: Stereo, photos: Sequence[StereoPhoto], limit: int, gains: Gains | None = None
) -> tuple[DensePoints, int]:
    """The points at the smallest cell that gives no more than `limit`, and that cell."""
    places = sum(
        float((1 / (1 + found.agree[found.accepted].astype(np.float64))).sum())
        for found in stereo.maps
        if found is not None
    )
    cell = max(1, math.ceil(math.sqrt(places / max(limit, 1)) - 0.25))
    while True:
        points = fuse(stereo, photos, cell, gains)
        if len(points) <= limit:
            return points, cell
        cell += 1


def without_specks(points: DensePoints, cell: int, company: DensePoints) -> DensePoints:
    """The points, fused by cells of `cell` pixels, without points on which only the minimum number of maps agree and
    which have few neighbours in `company`, fused by PRODUCT_CELL.

    Where three photos meet at their rims, no other looks through a false depth, and training makes smoke of it that
    hangs before every view from the side. A crown's leaves that as few photos see have company.
    """
    kept = points.agree > SETTINGS.agreement
    needed = round(_COMPANY * math.pi * (_REACH / PRODUCT_CELL) ** 2)
    if kept.all() or len(company) <= needed:
        return points
    doubtful = np.flatnonzero(~kept)
    distances, _ = cKDTree(company.positions).query(points.positions[doubtful], k=[needed], workers=-1)
    kept[doubtful] = distances[:, 0] <= _REACH / cell * points.spacing[doubtful]
    return points.select(kept)


def _points_of(
    found: DepthMap, picture: NDArray[np.uint8], gain: Float64, cell: int, covered: NDArray[np.bool_]
) -> DensePoints:
    rows, columns = covered.shape
    rank = np.where(found.accepted, found.agree + np.clip(found.score, 0, 0.99), np.float32(-1)).astype(np.float32)
    blocks = _blocks(rank, cell).reshape(rows, columns, cell * cell).copy()
    middle = (cell // 2) * cell + cell // 2
    blocks[..., middle] += 0.5 * (blocks[..., middle] > 0)
    best = blocks.argmax(axis=-1)
    r, c = np.nonzero((blocks.max(axis=-1, initial=-1) > 0) & ~covered)
    y, x = r * cell + best[r, c] // cell, c * cell + best[r, c] % cell
    inverse = found.inverse[y, x].astype(np.float64)
    positions = found.camera.unproject(pixel_centres(y, x), 1 / inverse)
    normals = _normals(found, y, x)
    rays = found.camera.position - positions
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    colours = _blocks(picture, cell).mean(axis=(2, 3), dtype=np.float32)[r, c] / 255 / gain
    return DensePoints(
        positions,
        normals.astype(np.float32),
        colours.astype(np.float32),
        (cell / inverse / found.camera.fx).astype(np.float32),
        np.abs((normals * rays).sum(axis=1)).astype(np.float32),
        found.agree[y, x],
        (found.sigma[y, x] / inverse).astype(np.float32),
    )


def _blocks(values: NDArray[Any], cell: int) -> NDArray[Any]:
    """(rows, columns, cell, cell, ...) of whole cells."""
    rows, columns = values.shape[0] // cell, values.shape[1] // cell
    cut = values[: rows * cell, : columns * cell].reshape(rows, cell, columns, cell, *values.shape[2:])
    return cut.swapaxes(1, 2)


def _normals(found: DepthMap, y: NDArray[np.int64], x: NDArray[np.int64]) -> Float64:
    """Unit normals (M, 3) in the frame, towards the camera, of the smoothed map.

    On a plane n · X = 1, inverse depth is n · ray: its slopes over the picture give n.
    """
    camera = found.camera
    smooth = uniform_filter(found.inverse, _NORMAL_WINDOW, mode="nearest").astype(np.float64)
    height, width = smooth.shape
    left, right = np.maximum(x - 1, 0), np.minimum(x + 1, width - 1)
    above, below = np.maximum(y - 1, 0), np.minimum(y + 1, height - 1)
    along = camera.fx * (smooth[y, right] - smooth[y, left]) / (right - left)
    down = camera.fy * (smooth[below, x] - smooth[above, x]) / (below - above)
    u, v = (x + 0.5 - camera.cx) / camera.fx, (y + 0.5 - camera.cy) / camera.fy
    local = -np.stack([along, down, smooth[y, x] - u * along - v * down], axis=1)
    local /= np.linalg.norm(local, axis=1, keepdims=True) + 1e-12
    return np.asarray(local @ camera.rotation)


_LAYOUT = [
    *((name, "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")),
    *((name, "u1") for name in ("red", "green", "blue", "agree")),
    ("sigma", "<f4"),
]


def write_points(path: Path, points: DensePoints, frame: Frame) -> None:
    """Write `points` in world coordinates as binary PLY (docs/contracts.md: `dense.ply`); it appears whole or not."""
    vertices = np.zeros(len(points), dtype=_LAYOUT)
    world = frame.centre + frame.scale * points.positions
    colours = (points.colours * 255).round().clip(0, 255)
    for axis in range(3):
        vertices["xyz"[axis]] = world[:, axis]
        vertices[("nx", "ny", "nz")[axis]] = points.normals[:, axis]
        vertices[("red", "green", "blue")[axis]] = colours[:, axis]
    vertices["agree"], vertices["sigma"] = points.agree, frame.scale * points.sigma
    with whole(path) as partial:
        PlyData([PlyElement.describe(vertices, "vertex")], byte_order="<").write(str(partial))
