"""The Gaussians that training starts from: the sparse points, and additional ones on surfaces without points.

Structure from motion finds few points on lawns, roofs and roads, and Gaussians spread into such gaps slowly. Each
training photo is therefore overlaid with a grid; a cell without a point gets one, at the depth that the points around
it suggest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from splat.camera import Camera
from splat.gaussians import HIGHER_COEFFICIENTS, Gaussians, logit_of
from splat.harmonics import SH_C0
from trainer.dataset import Scene
from trainer.farfield import FarField
from trainer.photo_store import PhotoStore

_NEIGHBOURS = 3
_OPACITY = 0.1
_MIN_SIGMA, _MAX_SIGMA = 1e-5, 0.3  # standard deviation, in units of the viewing distance
_CELLS = 40  # along a photo's longer side
_DEPTH_NEIGHBOURS = 8
_MIN_OBSERVED = 12  # points in front of a photo's camera below which its depths are not guessed


@dataclass(frozen=True)
class Seeds:
    """Positions (P, 3) in the frame of training and colours (P, 3), 0..1."""

    positions: NDArray[np.float64]
    colours: NDArray[np.float64]


def seed_points(scene: Scene, store: PhotoStore, limit: int, far: FarField) -> Seeds:
    """The scene's sparse points and those that fill the gaps between them, photo by photo; `limit` of them at random
    where there are more. None that is guessed lies above what `far` says.
    """
    sparse = scene.frame.points(scene.positions)
    positions, colours, trees = [sparse], [scene.colours / 255.0], _Nearest(sparse)
    for photo in scene.split("train"):
        camera = scene.frame.camera(photo.camera)
        cell = max(camera.width, camera.height) / _CELLS
        pixels, depths = guess_depths(camera, sparse[scene.observed[photo.name]], cell)
        if not len(pixels):
            continue
        points = camera.unproject(pixels, depths)
        depths = depths * far.factors(points, np.broadcast_to(camera.position, points.shape))
        points = camera.unproject(pixels, depths)
        gap = trees.distances(points) > 0.8 * cell * depths / camera.fx
        mask = store.mask(photo, photo.camera)
        if mask is not None:
            gap &= mask[pixels[:, 1].astype(int), pixels[:, 0].astype(int)]
        picture = store.picture(photo)
        columns, rows = pixels[gap].astype(int).T
        trees.add(points[gap])
        positions.append(points[gap])
        colours.append(picture[rows, columns] / 255.0)
    seeds = Seeds(np.concatenate(positions), np.concatenate(colours))
    if len(seeds.positions) > limit:
        chosen = np.sort(np.random.default_rng(0).choice(len(seeds.positions), limit, replace=False))
        seeds = Seeds(seeds.positions[chosen], seeds.colours[chosen])
    return seeds


class _Nearest:
    """Distances to the nearest of points that become more: in trees each of which is larger than all later ones, so
    that a point is sorted into a new tree only a few times."""

    def __init__(self, points: NDArray[np.float64]) -> None:
        self._trees = [cKDTree(points)]

    def add(self, points: NDArray[np.float64]) -> None:
        while self._trees and self._trees[-1].n <= len(points):
            points = np.concatenate([self._trees.pop().data, points])
        if len(points):
            self._trees.append(cKDTree(points))

    def distances(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.min([tree.query(points)[0] for tree in self._trees], axis=0))


def guess_depths(
    camera: Camera, observed: NDArray[np.float64], cell: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixels (M, 2) in the middle of the grid's cells and their depths (M,), from `observed` points (P, 3) of the
    photo.

    Inverse depth is affine over the picture of a plane, so that is fitted first, and what the points around a cell
    deviate from it is added. Cells where that gives no depth between half the nearest and twice the farthest point's
    are left out, and all cells where fewer than _MIN_OBSERVED points lie in front of the camera.
    """
    seen, depths = camera.project(observed)
    usable = depths > 0
    if usable.sum() < _MIN_OBSERVED:
        return np.zeros((0, 2)), np.zeros(0)
    seen, inverse = seen[usable], 1 / depths[usable]
    across = np.arange(cell / 2, camera.width, cell)
    down = np.arange(cell / 2, camera.height, cell)
    pixels = np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2)
    plane, *_ = np.linalg.lstsq(np.column_stack([seen, np.ones(len(seen))]), inverse, rcond=None)
    deviation = inverse - seen @ plane[:2] - plane[2]
    distances, indices = cKDTree(seen).query(pixels, k=min(_DEPTH_NEIGHBOURS, len(seen)))
    weights = 1 / (distances + cell) ** 2
    guess = pixels @ plane[:2] + plane[2] + (weights * deviation[indices]).sum(axis=1) / weights.sum(axis=1)
    good = (guess > 0.5 * inverse.min()) & (guess < 2 * inverse.max())
    return pixels[good], 1 / guess[good]


def from_seeds(seeds: Seeds, sh_degree: int) -> Gaussians:
    """Round Gaussians, as wide as the distance to the next three seeds."""
    count = len(seeds.positions)
    neighbours = min(_NEIGHBOURS, count - 1)
    distances, _ = cKDTree(seeds.positions).query(seeds.positions, k=neighbours + 1)
    spacing = np.sqrt((distances[:, 1:] ** 2).mean(axis=1)).clip(_MIN_SIGMA, _MAX_SIGMA)
    quats = np.zeros((count, 4))
    quats[:, 0] = 1
    return Gaussians(
        means=seeds.positions.astype(np.float32),
        quats=quats.astype(np.float32),
        scales=np.log(spacing).astype(np.float32)[:, None].repeat(3, axis=1),
        opacities=np.full(count, logit_of(_OPACITY), dtype=np.float32),
        sh0=((seeds.colours - 0.5) / SH_C0).astype(np.float32),
        shN=np.zeros((count, HIGHER_COEFFICIENTS[sh_degree], 3), dtype=np.float32),
    )
