"""Measure the PSNR of a splat against held-out photos, and against the pictures of the original splat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compressor.encode.viewpoints import measuring_cameras
from compressor.framing import Framing
from splat.camera import Camera, View
from splat.files import below
from splat.gaussians import Gaussians
from splat.loss import psnr
from splat.render import render, render_with_alpha
from splat.sampling import evenly
from splat.surroundings import Surroundings, background
from stage.errors import ErrorCode, StageError
from stage.pictures import TooManyPixelsError, open_picture

BACKGROUND = (0.10, 0.11, 0.13)
_FEW_VIEWS = 4
_HELD_OUT_LIMIT = 16
_MIN_COVERED = 0.01  # errors are divided by at least this share of a picture, even if the splat covers less

Image3 = NDArray[np.float32]


@dataclass(frozen=True)
class Yardstick:
    """Cameras, the original splat's pictures from them, and the number of pixels in each that the original covers: the
    reference for measuring coarser splats. `antialiased`: whether the splat has that mark."""

    cameras: list[Camera]
    pictures: list[Image3]
    covered: list[float]
    antialiased: bool = False

    def mean_squared_error(self, gaussians: Gaussians) -> float:
        """Per covered pixel and channel, in the colour range 0..1; the mean over the pictures.

        Errors count everywhere, but are divided only by the covered area, not by the empty background.
        """
        errors = [
            float(np.square(picture - self._drawn(gaussians, camera)).sum(dtype=np.float64)) / (3 * covered)
            for camera, picture, covered in zip(self.cameras, self.pictures, self.covered, strict=True)
        ]
        return float(np.mean(errors))

    def every_other(self) -> Yardstick:
        """Half of the pictures, unless there are few: enough for the ratio of two errors."""
        if len(self.cameras) < _FEW_VIEWS:
            return self
        return replace(self, cameras=self.cameras[::2], pictures=self.pictures[::2], covered=self.covered[::2])

    def of(self, gaussians: Gaussians) -> Yardstick:
        """A yardstick with the same cameras and the pictures of another splat."""
        return replace(self, pictures=[self._drawn(gaussians, camera) for camera in self.cameras])

    def _drawn(self, gaussians: Gaussians, camera: Camera) -> Image3:
        return draw(gaussians, camera, antialiased=self.antialiased)


def yardstick(gaussians: Gaussians, views: Sequence[View], framing: Framing, *, antialiased: bool = False) -> Yardstick:
    """The yardstick for files of `gaussians`: pictures 960 pixels wide, from the `measuring_cameras`."""
    cameras, pictures, covered = measuring_cameras(gaussians, views, framing), [], []
    for camera in cameras:
        picture, alpha = render_with_alpha(gaussians, camera, BACKGROUND, antialiased=antialiased)
        pictures.append(np.clip(picture, 0, 1))
        covered.append(covered_pixels(alpha))
    return Yardstick(cameras, pictures, covered, antialiased)


def covered_pixels(alpha: NDArray[np.float32]) -> float:
    """The number of covered pixels of a picture (height, width), weighted by their opacity; never 0."""
    return max(float(alpha.sum(dtype=np.float64)), _MIN_COVERED * alpha.size)


def draw(gaussians: Gaussians, camera: Camera, *, antialiased: bool = False) -> Image3:
    """A picture (height, width, 3) in 0..1 on the plain dark background on which pictures are compared."""
    return np.clip(render(gaussians, camera, BACKGROUND, antialiased=antialiased), 0, 1)


@dataclass(frozen=True)
class HeldOut:
    """Photos that no training saw, with their names and cameras, and the ground and sky that are drawn behind the
    splat (pictures of the photos' sizes; None: black). `antialiased`: whether the splat has that mark."""

    names: list[str]
    cameras: list[Camera]
    photos: list[NDArray[np.uint8]]
    behind: list[NDArray[np.uint8]] | None = None
    antialiased: bool = False

    def draw(self, gaussians: Gaussians, number: int) -> Image3:
        """The splat's picture for a photo, (height, width, 3) in 0..1, over the surroundings used in training."""
        picture, alpha = render_with_alpha(gaussians, self.cameras[number], antialiased=self.antialiased)
        if self.behind is not None:
            picture = picture + ((1 - alpha) / np.float32(255))[..., None] * self.behind[number]
        return np.clip(picture, 0, 1)

    def psnr(self, gaussians: Gaussians, check_stop: Callable[[], None]) -> float:
        """Mean over the photos of the PSNR of the splat's picture."""
        values = []
        for number, photo in enumerate(self.photos):
            check_stop()
            picture = self.draw(gaussians, number)
            values.append(psnr(float(np.mean(np.square(picture - photo.astype(np.float32) / 255)))))
        return float(np.mean(values))


def held_out_photos(
    views: Sequence[View], folder: Path, surroundings: Surroundings | None = None, *, antialiased: bool = False
) -> HeldOut | None:
    """The held-out photos beside views.json (at most 16, evenly chosen); None where there is none. `surroundings`: what
    they were trained over; `antialiased`: whether the splat has that mark.

    Raises StageError(INVALID_SCENE) if one cannot be read.
    """
    chosen = [view for view in views if view.split == "test" and view.image and below(folder, view.image).is_file()]
    names, cameras, photos = [], [], []
    for view in evenly(chosen, _HELD_OUT_LIMIT):
        photo = _photo(below(folder, str(view.image)))
        photos.append(photo)
        names.append(view.name)
        cameras.append(view.camera.resized(photo.shape[1], photo.shape[0]))
    if not photos:
        return None
    behind = None
    if surroundings is not None:  # drawn once and stored as bytes: photos are compared with them many times
        behind = [np.rint(255 * background(surroundings, camera)).astype(np.uint8) for camera in cameras]
    return HeldOut(names, cameras, photos, behind, antialiased)


def _photo(path: Path) -> NDArray[np.uint8]:
    try:
        with open_picture(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, TooManyPixelsError) as error:
        raise StageError(ErrorCode.INVALID_SCENE, f"{path.name} cannot be read ({error})") from error
