"""Measure off the flight path, without ground truth, how well a splat matches the surfaces that photos agree on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter

from splat.camera import Camera, orbit
from splat.gaussians import Gaussians
from splat.loss import psnr
from splat.render import render_with_alpha
from splat.surroundings import Surroundings, background

_WIDTH, _HEIGHT = 400, 300
_SAME = 1.03  # times the nearest depth in the neighbourhood: what is farther is hidden
_AROUND = 5  # pixels across that neighbourhood
_FACING = 0.2  # least cosine between a surface's normal and the direction to the camera
_BLOCK = 5  # pixels across a block; mean colours of blocks are compared
_MIN_POINTS = 5  # points in a block
_KEPT = 0.9  # share of the blocks, the best ones; the others may be hidden by things without surface points, like trees
_MIN_CONTRAST = 0.01  # variance of colours; keeps a bare field without contrast from scoring worse

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Surfaces:
    """Points (N, 3) of surfaces, their unit normals (N, 3) and colours (N, 3), 0..1."""

    points: NDArray[np.floating]
    normals: NDArray[np.floating]
    colours: NDArray[np.floating]


@dataclass(frozen=True)
class OffPathMatch:
    """How well a splat matches surfaces from where no photo was taken.

    psnr: dB, between mean colours of blocks.
    contrast_to_error: dB, variance of the surfaces' colours over the squared error. A picture of a single colour has
        0 dB whatever the scene, whereas its PSNR is 14 dB for a forest in the sun and 20 dB for a building site.
    """

    psnr: float
    contrast_to_error: float


def look_around(points: NDArray[np.floating], distance: float, up: Float64) -> list[Camera]:
    """Views from which people look at a scene: eight, around the median of its points (N, 3), at `distance`, 35° up."""
    return orbit(np.median(points, axis=0), distance, 35.0, 8, width=_WIDTH, height=_HEIGHT, up=up)


def match_off_path(
    gaussians: Gaussians, surfaces: Surfaces, cameras: Sequence[Camera], surroundings: Surroundings | None = None
) -> OffPathMatch | None:
    """Compare a splat with the surfaces that photos agree on, from where no photo was taken.

    Blocks of pixels are compared rather than pixels: a point has the colour of a photo that is sharper or softer than
    the picture, whereas fog, holes and misplaced surfaces are larger than a block.

    Parameters
    ----------
    gaussians: in world units.
    surfaces: points, normals and colours (0..1) in the same frame.
    cameras: the views to compare, for example those of `look_around`.
    surroundings: drawn behind the splat; black by default.

    Returns None if the cameras see next to nothing of the surfaces.
    """
    blocks = [found for camera in cameras if len((found := _blocks(gaussians, surfaces, camera, surroundings))[0])]
    if not blocks:
        return None
    kept = [np.sort(errors)[: max(1, round(_KEPT * len(errors)))].mean() for errors, _ in blocks]
    error = max(float(np.mean(kept)), 1e-10)
    contrast = float(np.concatenate([colours for _, colours in blocks]).var(axis=0).mean())
    return OffPathMatch(psnr(error), 10 * math.log10(max(contrast, _MIN_CONTRAST) / error))


def _blocks(
    gaussians: Gaussians, surfaces: Surfaces, camera: Camera, surroundings: Surroundings | None
) -> tuple[Float64, Float64]:
    """For B blocks: the squared difference of the mean colours (B,), averaged over the channels, and the surfaces' mean
    colours (B, 3).
    """
    row, column, shown = _visible(surfaces, camera)
    block = row // _BLOCK * (camera.width // _BLOCK + 1) + column // _BLOCK
    count = np.bincount(block)
    enough = np.flatnonzero(count >= _MIN_POINTS)
    if not len(enough):
        return np.zeros(0), np.zeros((0, 3))
    image, alpha = render_with_alpha(gaussians, camera)
    if surroundings is not None:
        image = image + (1 - alpha)[..., None] * background(surroundings, camera)
    image = image.clip(0, 1)

    def means(values: NDArray[np.floating]) -> Float64:
        sums = np.stack([np.bincount(block, values[:, channel]) for channel in range(3)], axis=1)
        return np.asarray(sums[enough] / count[enough, None], np.float64)

    given = means(surfaces.colours[shown])
    return ((means(image[row, column]) - given) ** 2).mean(axis=1), given


def _visible(surfaces: Surfaces, camera: Camera) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Rows, columns and indices of the points that the camera sees."""
    pixels, depths = camera.project(surfaces.points)
    towards = camera.position - surfaces.points
    facing = np.einsum("ij,ij->i", surfaces.normals, towards) > _FACING * np.linalg.norm(towards, axis=1)
    inside = camera.contains(pixels, depths)
    found = np.flatnonzero(inside)
    column, row = pixels[found].astype(np.int64).T
    nearest = np.full((camera.height, camera.width), np.inf)
    np.minimum.at(nearest, (row, column), depths[found])
    nearest = minimum_filter(nearest, size=_AROUND)
    seen = facing[found] & (depths[found] <= _SAME * nearest[row, column])
    return row[seen], column[seen], found[seen]
