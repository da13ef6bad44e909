"""Open pictures that customers send: a list of formats, told by content, and a bound on pixels before any is decoded.

Pillow takes some forty formats whatever a file is called, among them EPS, for which it starts Ghostscript.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from contract.counts import MAX_PIXELS

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP")  # MPO, two JPEGs in one file, is opened as JPEG
Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit warns only; `open_picture` has one that refuses


class TooManyPixelsError(Exception):
    """A picture is larger than MAX_PIXELS."""


@contextmanager
def open_picture(path: Path, formats: Sequence[str] = FORMATS) -> Iterator[Image.Image]:
    """The picture at `path`, its pixels not yet decoded.

    Raises OSError where it cannot be read or is of no format in `formats`, and TooManyPixelsError.
    """
    with Image.open(path, formats=list(formats)) as picture:
        check_pixels(*picture.size)
        yield picture


def check_pixels(width: int, height: int) -> None:
    """Raises TooManyPixelsError beyond MAX_PIXELS."""
    if width * height > MAX_PIXELS:
        raise TooManyPixelsError(f"{width} × {height} pixels are too many")
