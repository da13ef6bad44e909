"""The colours of ground and sky that the page draws beyond what the photos saw, taken from the photos' own pixels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from splat.camera import Camera
from splat.footprint import Footprint, footprint_of, pale_sky, robust_mean, up_of
from splat.surroundings import Surroundings
from trainer.dataset import Scene
from trainer.photo_store import PhotoStore

_MAX_PHOTOS = 48  # looked at, evenly chosen
_COLUMNS = 64  # of the grid of pixels read from a photo
_BANDS = (0.01, 0.06, 0.12, 0.2, 0.35, 1.0)  # bounds of the sine of the elevation: the sky's colour is read by bands
_MIN_SKY = 0.005  # share of the pixels read that must lie in a band
_MIN_CONTRAST = 0.05  # by which a sky is brighter than the ground: trees and walls also stand above the horizon
_MAX_GAIN = 2.5  # by which the sky's change from the lowest to the highest band seen is carried on to the zenith

Vector = NDArray[np.float64]
Picture = NDArray[np.uint8]


def scene_surroundings(scene: Scene, store: PhotoStore, *, z_up: bool) -> Surroundings:
    """Of a scene to train on; a georeferenced one is `z_up`. Raises StageError(INVALID_SCENE) for a damaged photo."""
    cameras = [photo.camera for photo in scene.photos]
    chosen = scene.photos[:: math.ceil(len(scene.photos) / _MAX_PHOTOS)]
    up = np.array([0.0, 0.0, 1.0]) if z_up else up_of(cameras)
    pictures = [(photo.camera, store.picture(photo)) for photo in chosen]
    return surroundings_of(scene.positions, cameras, pictures, up)


def surroundings_of(
    points: Vector, cameras: Sequence[Camera], pictures: Sequence[tuple[Camera, Picture]], up: Vector
) -> Surroundings:
    """From sparse `points` (M, 3), all `cameras`, and some of them with their pictures (height, width, 3)."""
    footprint = footprint_of(points, cameras, up)
    rises, colours = (np.concatenate(parts) for parts in zip(*(_read(*each, up) for each in pictures), strict=True))
    ground = _ground_colour(footprint, pictures)
    if ground is None:
        ground = robust_mean(colours)
    sky = _sky(rises, colours, float(ground.mean()))
    horizon, zenith = sky or pale_sky(robust_mean(colours))
    return footprint.surroundings(ground, horizon, zenith, photographed=sky is not None)


def _read(camera: Camera, picture: Picture, up: Vector) -> tuple[Vector, Vector]:
    """Of a grid of a photo's pixels: the sines of their elevation (P,), and their colours (P, 3) 0..1."""
    step = max(1, camera.width // _COLUMNS)
    rows, columns = (grid.ravel() for grid in np.mgrid[0 : camera.height : step, 0 : camera.width : step])
    x, y = (columns + 0.5 - camera.cx) / camera.fx, (rows + 0.5 - camera.cy) / camera.fy
    right, down, ahead = camera.rotation @ up
    rises = (x * right + y * down + ahead) / np.sqrt(x**2 + y**2 + 1)
    return rises, picture[rows, columns] / 255.0


def _ground_colour(footprint: Footprint, pictures: Sequence[tuple[Camera, Picture]]) -> Vector | None:
    """Robust mean of the pixels that show the ground at the footprint's edge; None if no pixel does.

    The pixels are those that see places on the level ground. Sparse points would be found on things that stand out.
    """
    centre = footprint.corners.mean(axis=0)
    sides = np.concatenate([footprint.corners, (footprint.corners + np.roll(footprint.corners, -1, axis=0)) / 2])
    places = np.concatenate([centre + share * (sides - centre) for share in (0.7, 0.8, 0.9, 1.0)])
    found = []
    for camera, picture in pictures:
        pixels, depths = camera.project(places)
        visible = camera.contains(pixels, depths)
        columns, rows = np.floor(pixels[visible]).astype(np.int64).T
        found.append(picture[rows, columns] / 255.0)
    colours = np.concatenate(found)
    return robust_mean(colours) if len(colours) else None


def _sky(rises: Vector, colours: Vector, ground: float) -> tuple[Vector, Vector] | None:
    """Horizon's and zenith's colour (3,) each, where the photos saw a sky that is brighter than the `ground`.

    In each band of elevation the brighter half of the pixels is taken for sky. What the highest band differs by from
    the lowest is carried on to the zenith along the gradient of splat.surroundings.background.
    """
    bands = []
    for low, high in itertools.pairwise(_BANDS):
        within = (rises >= low) & (rises < high)
        if np.count_nonzero(within) < _MIN_SKY * len(rises):
            continue
        brightness = colours[within].mean(axis=1)
        colour = np.median(colours[within][brightness >= np.median(brightness)], axis=0)
        if float(colour.mean()) > ground + _MIN_CONTRAST:
            bands.append((1 - (1 - float(np.mean(rises[within]))) ** 3, colour))
    if not bands:
        return None
    (start, horizon), (end, top) = bands[0], bands[-1]
    gain = min(1 / (end - start), _MAX_GAIN) if len(bands) > 1 else 1.0
    return horizon, np.clip(horizon + gain * (top - horizon), 0, 1)
