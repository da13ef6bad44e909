"""Masks that a customer sends with photos: areas that are black in a mask are neither matched nor trained on.

OpenDroneMap, COLMAP and Metashape agree on the colours.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from sfm.decode import PHOTO_FORMATS
from sfm.exif import ORIENTATION
from stage.pictures import open_picture, shown_in

MAX_STRETCH = 0.01  # by which a mask's shape may differ from its photo's


def mask_of(photo: Path) -> Path:
    """Where the mask of the photo at `photo` lies, if it has one."""
    return photo.parent.with_name("masks") / f"{photo.name}.png"


def store_mask(source: Path, photo: Path, size: tuple[int, int], orientation: int) -> bool:
    """Store the mask at `source` upright and in its photo's `size`; False if it is no picture of the photo's shape.

    `orientation`: EXIF's of the photo as it was sent. Masks are mostly drawn on the pixels as they are stored.
    """
    try:
        with open_picture(source, PHOTO_FORMATS) as image:
            image.load()
            shown = shown_in(image)
    except Exception:  # too many pixels, or any of the many kinds that decoders raise on broken files
        return False
    picture = Image.fromarray(np.where(shown, 255, 0).astype(np.uint8))
    turned = _turned(picture, orientation)
    fitting = [candidate for candidate in (turned, picture) if _same_shape(candidate.size, size)]
    if not fitting:
        return False
    target = mask_of(photo)
    target.parent.mkdir(parents=True, exist_ok=True)
    fitting[0].resize(size, Image.Resampling.NEAREST).save(target, "PNG")
    return True


def read_mask(photo: Path, shape: tuple[int, int] | None = None) -> NDArray[np.uint8] | None:
    """(H, W), of `shape` or of the photo at `photo`: 255 where that may be used, else 0; None where it has no mask."""
    path = mask_of(photo)
    if not path.is_file():
        return None
    mask = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise ValueError(f"{path.name} cannot be decoded")
    if shape is not None and mask.shape != shape:
        mask = cv2.resize(mask, shape[::-1], interpolation=cv2.INTER_NEAREST)
    return np.asarray(mask, np.uint8)


def _turned(picture: Image.Image, orientation: int) -> Image.Image:
    exif = picture.getexif()
    exif[ORIENTATION] = orientation
    return ImageOps.exif_transpose(picture)


def _same_shape(size: tuple[int, int], photo: tuple[int, int]) -> bool:
    return abs(size[0] * photo[1] / (size[1] * photo[0]) - 1) <= MAX_STRETCH
