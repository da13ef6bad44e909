"""Open customers' pictures: only listed formats, recognised by content; pixels limited before any is decoded; and any
mode as 8-bit RGB, so that structure from motion and training see the same pixels.

Pillow opens some forty formats whatever a file's name is, among them EPS, for which it starts Ghostscript.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from contract.counts import MAX_PIXELS

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP")  # MPO, two JPEGs in one file, is opened as JPEG
Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit mostly warns; `open_picture` has one that refuses


MASKED_BELOW = 128  # 0..255: pixels darker than this in a mask, or in a photo's alpha channel, are not used


class UnusablePhotoError(Exception):
    """A photo cannot be used; the message gives the reason in words for the customer."""


class TooManyPixelsError(Exception):
    """A picture is larger than MAX_PIXELS."""


@contextmanager
def open_picture(path: Path, formats: Sequence[str] = FORMATS) -> Iterator[Image.Image]:
    """The picture at `path`, its pixels not yet decoded.

    Raises OSError if it cannot be read or has none of the `formats`, and TooManyPixelsError.
    """
    with Image.open(path, formats=list(formats)) as picture:
        check_pixels(*picture.size)
        yield picture


def check_pixels(width: int, height: int) -> None:
    """Raise TooManyPixelsError for more than MAX_PIXELS."""
    if width * height > MAX_PIXELS:
        raise TooManyPixelsError(f"{width} × {height} pixels are too many")


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to 8-bit RGB: 16-bit and float greys are stretched over their own range, NaN becomes black."""
    if not image.mode.startswith(("I", "F")):
        return image.convert("RGB")
    values = np.asarray(image)
    known = values[np.isfinite(values)] if image.mode == "F" else values
    low, high = np.percentile(known, (0.1, 99.9)) if known.size else (0.0, 0.0)
    grey = np.empty(values.shape, np.uint8)
    for rows in _bands(values):
        stretched = (values[rows].astype(np.float64) - low) / max(high - low, 1e-9) * 255
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
