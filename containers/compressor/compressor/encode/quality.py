"""PSNR of a splat against held-out photos, and against the pictures of the splat it came from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from compressor.framing import Framing
from splat.camera import Camera, View
from splat.files import below
from splat.gaussians import Gaussians
from splat.render import render
from stage.errors import ErrorCode, StageError
from stage.pictures import TooManyPixelsError, open_picture

BACKGROUND = (0.10, 0.11, 0.13)
_MEASURED_VIEWS = 6
_FEW_VIEWS = 4
_MEASURED_PIXELS = 480  # along the longer side
_HELD_OUT_LIMIT = 16
_PEAK_ERROR = 1e-10  # identical pictures: 100 dB

Image3 = NDArray[np.float32]
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Yardstick:
    """Cameras, and the original splat's pictures from them, against which a coarser one is measured."""

    cameras: list[Camera]
    pictures: list[Image3]

    def mean_squared_error(self, gaussians: Gaussians) -> float:
        """Of all pictures' pixels, in the colour range 0..1."""
        errors = [
            float(np.mean(np.square(picture - draw(gaussians, camera))))
            for camera, picture in zip(self.cameras, self.pictures, strict=True)
        ]
        return float(np.mean(errors))

    def every_other(self) -> Yardstick:
        """Half of the pictures, where they are not few: enough for the ratio of two errors."""
        return self if len(self.cameras) < _FEW_VIEWS else Yardstick(self.cameras[::2], self.pictures[::2])

    def of(self, gaussians: Gaussians) -> Yardstick:
        """The same cameras, with the pictures of another splat."""
        return Yardstick(self.cameras, [draw(gaussians, camera) for camera in self.cameras])


def yardstick(gaussians: Gaussians, views: Sequence[View], framing: Framing) -> Yardstick:
    """Measure from held-out cameras where there are some, else from training ones, else from all round the scene."""
    held_out = [view.camera for view in views if view.split == "test"] or [view.camera for view in views]
    if held_out:
        cameras = [
            camera.scaled(min(1.0, _MEASURED_PIXELS / max(camera.width, camera.height)))
            for camera in evenly(held_out, _MEASURED_VIEWS)
        ]
    else:
        rises = [framing.elevation + (-12, 0, 15)[i % 3] for i in range(_MEASURED_VIEWS)]
        cameras = [
            framing.camera(turn, _MEASURED_PIXELS, _MEASURED_PIXELS * 3 // 4, rise)
            for turn, rise in zip(framing.turns(_MEASURED_VIEWS), rises, strict=True)
        ]
    return Yardstick(cameras, [draw(gaussians, camera) for camera in cameras])


def draw(gaussians: Gaussians, camera: Camera) -> Image3:
    """A picture (height, width, 3) in 0..1 on a plain dark background, against which pictures are measured."""
    return np.clip(render(gaussians, camera, BACKGROUND), 0, 1)


def psnr(mean_squared_error: float) -> float:
    """Decibels for the colour range 0..1."""
    return -10 * math.log10(max(mean_squared_error, _PEAK_ERROR))


@dataclass(frozen=True)
class HeldOut:
    """Photos that no training saw, with their names and cameras."""

    names: list[str]
    cameras: list[Camera]
    photos: list[NDArray[np.uint8]]

    def psnr(self, gaussians: Gaussians, check_stop: Callable[[], None]) -> float:
        """Mean over the photos of the PSNR of the splat's picture, drawn on black as in training."""
        values = []
        for camera, photo in zip(self.cameras, self.photos, strict=True):
            check_stop()
            picture = np.clip(render(gaussians, camera), 0, 1)
            values.append(psnr(float(np.mean(np.square(picture - photo.astype(np.float32) / 255)))))
        return float(np.mean(values))


def held_out_photos(views: Sequence[View], folder: Path) -> HeldOut | None:
    """The held-out photos beside views.json (at most 16, evenly chosen); None where there is none.

    Raises StageError(INVALID_SCENE) where one cannot be read.
    """
    chosen = [view for view in views if view.split == "test" and view.image and below(folder, view.image).is_file()]
    names, cameras, photos = [], [], []
    for view in evenly(chosen, _HELD_OUT_LIMIT):
        photo = _photo(below(folder, str(view.image)))
        photos.append(photo)
        names.append(view.name)
        cameras.append(view.camera.resized(photo.shape[1], photo.shape[0]))
    return HeldOut(names, cameras, photos) if photos else None


def _photo(path: Path) -> NDArray[np.uint8]:
    try:
        with open_picture(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, TooManyPixelsError) as error:
        raise StageError(ErrorCode.INVALID_SCENE, f"{path.name} cannot be read ({error})") from error


def evenly(items: Sequence[_Item], limit: int) -> list[_Item]:
    return [items[i * len(items) // limit] for i in range(limit)] if len(items) > limit else list(items)
