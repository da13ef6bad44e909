"""Which pixels of a real photo show places that training photos see too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from splat.camera import Camera
from trainer.dataset import Photo, Scene

_STEP = 4  # pixels for each that is asked
_NEIGHBOURS = 5


def seen_by(scene: Scene, photo: Photo) -> NDArray[np.int64]:
    """(height, width) how many training photos see what each pixel shows.

    Its depth is the median of those of the five sparse points nearest in the picture; what hides it is not asked.
    """
    camera = photo.camera
    pixels, depths = camera.project(scene.positions)
    inside = (depths > 0) & (pixels >= 0).all(axis=1) & (pixels < (camera.width, camera.height)).all(axis=1)
    y, x = np.mgrid[: camera.height : _STEP, : camera.width : _STEP] + 0.5
    asked = np.stack([x.ravel(), y.ravel()], axis=1)
    if not inside.any():
        return np.zeros((camera.height, camera.width), np.int64)
    count = min(_NEIGHBOURS, int(inside.sum()))
    _, near = cKDTree(pixels[inside]).query(asked, k=count)
    depth = np.median(depths[inside][near].reshape(len(asked), count), axis=1)
    rays = np.stack([(asked[:, 0] - camera.cx) / camera.fx, (asked[:, 1] - camera.cy) / camera.fy, np.ones(len(asked))])
    places = (rays.T * depth[:, None] - camera.translation) @ camera.rotation
    seen = np.zeros(len(places), np.int64)
    for other in scene.split("train"):
        seen += within(other.camera, places)
    coarse = seen.reshape(x.shape)
    return coarse.repeat(_STEP, axis=0).repeat(_STEP, axis=1)[: camera.height, : camera.width]


def within(camera: Camera, places: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which places (N, 3) fall into the camera's picture."""
    pixels, depths = camera.project(places)
    return (depths > 0) & (pixels >= 0).all(axis=1) & (pixels < (camera.width, camera.height)).all(axis=1)
