"""The photos and masks of a training run, decoded on demand and cached within a bound on memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from splat.bounded import Bounded
from splat.camera import Camera
from splat.loss import Target
from stage.errors import ErrorCode, StageError
from stage.pictures import MASKED_BELOW, TooManyPixelsError, open_picture, shown_in, to_rgb, why_unreadable
from trainer.dataset import Crop, Photo

VOUCHED = 200  # of 255: a downscaled pixel of a virtual view is used if this much of it is known
_CACHE_BYTES = 512 << 20  # for decoded photos, and again for photos ready to compare with


class PhotoStore:
    """Decodes photos when they are needed, and caches as many as fit into bounded memory."""

    def __init__(self, cache_bytes: int = _CACHE_BYTES, gains: Mapping[str, NDArray[np.float64]] | None = None) -> None:
        """`gains`: by photo name, what each channel (3,) of its targets is divided by."""
        self._cache_bytes, self._gains = cache_bytes, dict(gains or {})
        self._pictures = Bounded[NDArray[np.uint8]](cache_bytes, lambda picture: picture.nbytes)
        self._targets = Bounded[Target](cache_bytes, lambda target: 3 * target.planes.nbytes)
        self._masks = Bounded[NDArray[np.bool_]](cache_bytes // 8, lambda mask: mask.nbytes)

    def with_gains(self, gains: Mapping[str, NDArray[np.float64]]) -> PhotoStore:
        """The same photos, decoded once for both stores, whose targets are divided by `gains`."""
        store = PhotoStore(self._cache_bytes, gains)
        store._pictures, store._masks = self._pictures, self._masks
        return store

    def picture(self, photo: Photo) -> NDArray[np.uint8]:
        """(height, width, 3) at the photo's training resolution. Raises StageError(INVALID_SCENE) if it is damaged."""
        size = (photo.camera.width, photo.camera.height)
        if photo.virtual is not None:
            return resized(photo.virtual.picture, size)
        return self._pictures.get(photo.name, lambda: photo.straight(_decode(photo.path, size, to_rgb, photo.part)))

    def target(self, photo: Photo, camera: Camera) -> Target:
        """The photo as the loss wants it, at `camera`'s size, divided by its gain if the store has one."""

        def make() -> Target:
            picture = resized(self.picture(photo), (camera.width, camera.height))
            white = (255 * self._gains.get(photo.name, np.ones(3))).astype(np.float32)
            return Target.of(picture.astype(np.float32) / white)

        return self._targets.get((photo.name, camera.width, camera.height), make)

    def mask(self, photo: Photo, camera: Camera) -> NDArray[np.bool_] | None:
        """(height, width) at `camera`'s size, False where the photo's mask is black, the photo transparent or a virtual
        view unknown; None where there is nothing of the kind.

        Raises StageError(INVALID_SCENE) if it is damaged.
        """
        if not photo.masked:
            return None
        size = (camera.width, camera.height)

        def make() -> NDArray[np.bool_]:
            if photo.virtual is not None:
                return resized(np.where(photo.virtual.shown, np.uint8(255), np.uint8(0)), size) >= VOUCHED
            shown = np.ones(size[::-1], np.bool_)
            if photo.mask is not None:
                shown &= photo.straight(_decode(photo.mask, size, _shown, photo.part)) >= MASKED_BELOW
            if photo.alpha:
                shown &= photo.straight(_decode(photo.path, size, _opacity, photo.part)) >= MASKED_BELOW
            return shown

        return self._masks.get((photo.name, *size), make)


def resized(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture at `size` (width, height), each pixel the mean of those that it covers."""
    if picture.shape[1::-1] == size:
        return picture
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))


def _decode(
    path: Path, size: tuple[int, int], plane: Callable[[Image.Image], Image.Image], part: Crop
) -> NDArray[np.uint8]:
    """What `plane` makes of the part of a picture, at `size` (width, height)."""
    left, top, right, bottom = part
    try:
        with open_picture(path) as picture:
            # decode a JPEG no larger than necessary
            picture.draft("RGB", (round(2 * size[0] / (right - left)), round(2 * size[1] / (bottom - top))))
            width, height = picture.size
            box = (left * width, top * height, right * width, bottom * height)
            return np.asarray(plane(picture).resize(size, Image.Resampling.BOX, box))
    except (OSError, ValueError, SyntaxError, TooManyPixelsError) as error:
        raise StageError(ErrorCode.INVALID_SCENE, f"{path.name} {why_unreadable(path, error)}") from error


def _opacity(picture: Image.Image) -> Image.Image:
    return picture.convert("RGBA").getchannel("A")


def _shown(mask: Image.Image) -> Image.Image:
    """White where the mask is light, else black."""
    return Image.fromarray(np.where(shown_in(mask), 255, 0).astype(np.uint8))
