"""Open customers' pictures: only listed formats, recognised by content; pixels limited before any is decoded; and any
mode as 8-bit RGB, so that structure from motion and training see the same pixels.

Pillow opens some forty formats whatever a file's name is, among them EPS, for which it starts Ghostscript.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION, TiffImageFile

from contract.counts import MAX_PIXELS, MAX_SIDE

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP")  # MPO, two JPEGs in one file, is opened as JPEG
Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit mostly warns; `open_picture` has one that refuses


_WHITE_IS_ZERO = 0  # TIFF 6.0, PhotometricInterpretation
_TIFFS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two of a BigTIFF
MASKED_BELOW = 128  # 0..255: pixels darker than this in a mask, or in a photo's alpha channel, are not used


class UnusablePhotoError(Exception):
    """A photo cannot be used; the message gives the reason in words for the customer."""


class TooManyPixelsError(Exception):
    """A picture is larger than MAX_PIXELS, or longer than MAX_SIDE."""


@contextmanager
def open_picture(path: Path, formats: Sequence[str] = FORMATS) -> Iterator[Image.Image]:
    """The picture at `path`, its pixels not yet decoded.

    Raises OSError if it cannot be read or has none of the `formats`, and TooManyPixelsError.
    """
    with Image.open(path, formats=list(formats)) as picture:
        check_pixels(*picture.size)
        yield picture


def why_unreadable(path: Path, error: Exception) -> str:
    """What is wrong with a picture that raised `error` when it was decoded, in words for the customer."""
    if isinstance(error, TooManyPixelsError):
        return f"has {error}"
    if isinstance(error, UnidentifiedImageError):
        with path.open("rb") as file:
            if file.read(4) in _TIFFS:
                return "is a TIFF that is damaged or of an unsupported kind: export it as RGB with 8 bits per channel"
        return "is not a photo, or its beginning is damaged"
    if "truncated" in str(error):
        return "is cut off: part of the file is missing"
    return f"cannot be decoded ({type(error).__name__})"


def check_pixels(width: int, height: int) -> None:
    """Raise TooManyPixelsError for more than MAX_PIXELS, or MAX_SIDE on a side."""
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise TooManyPixelsError(f"{width} × {height} pixels are too many")


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to 8-bit RGB: 16-bit and float greys are stretched over their own range, NaN becomes black.

    Pillow inverts a TIFF whose zero is white only if it has 8 bits or fewer.
    """
    if not image.mode.startswith(("I", "F")):
        return image.convert("RGB")
    values = np.asarray(image)
    known = values[np.isfinite(values)] if image.mode == "F" else values
    low, high = np.percentile(known, (0.1, 99.9)).tolist() if known.size else (0.0, 0.0)
    if isinstance(image, TiffImageFile) and image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == _WHITE_IS_ZERO:
        low, high = high, low
    span = math.copysign(max(abs(high - low), 1e-9), high - low)
    grey = np.empty(values.shape, np.uint8)
    for rows in _bands(values):
        stretched = (values[rows].astype(np.float64) - low) / span * 255
        grey[rows] = np.clip(np.nan_to_num(stretched, nan=0.0), 0, 255)
    return Image.fromarray(grey).convert("RGB")


def _bands(values: NDArray[Any]) -> Iterator[slice]:
    """Strips of a million pixels: eight pictures of 250 megapixels as float64 exceed the machine's memory."""
    height, width = values.shape
    step = max(1, 10**6 // max(width, 1))
    return (slice(top, top + step) for top in range(0, height, step))


def shown_in(mask: Image.Image) -> NDArray[np.bool_]:
    """(height, width): True where a mask is light; masks of more than 8 bits, or of 0 and 1, by their own maximum."""
    values = np.asarray(mask if mask.mode.startswith(("I", "F")) else mask.convert("L"))
    most = float(values.max())
    scale = 255 / most if most > 255 or 0 < most <= 1 else 1.0
    shown = np.empty(values.shape, np.bool_)
    for rows in _bands(values):
        shown[rows] = values[rows] * scale >= MASKED_BELOW
    return shown


def has_alpha(image: Image.Image) -> bool:
    """Whether a picture may have transparent parts."""
    return "A" in image.getbands() or "transparency" in image.info
