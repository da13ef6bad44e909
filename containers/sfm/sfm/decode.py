"""Decode photo files of every accepted format completely: Pillow, libheif for HEIC, LibRaw for DNG."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pillow_heif
import rawpy
from PIL import Image, ImageOps

from contract.shots import COLOUR, Shot
from contract.wanted import RAW_SUFFIXES
from sfm.content import shot_in
from sfm.exif import ORIENTATION, Metadata, read_metadata, read_raw_metadata
from stage import pictures
from stage.pictures import FORMATS, UnusablePhotoError, check_pixels, open_picture, why_unreadable

PHOTO_FORMATS = (*FORMATS, "HEIF")
pillow_heif.register_heif_opener()


@dataclass(frozen=True)
class Decoded:
    """An upright 8-bit RGB image. `as_it_is`: the file is already a JPEG of these pixels; `shot`: what the picture is,
    by its file; `orientation`: EXIF's, of the file.
    """

    picture: Image.Image
    metadata: Metadata
    as_it_is: bool
    shot: Shot = COLOUR
    orientation: int = 1


def decode(path: Path) -> Decoded:
    """Decode every pixel of the file at `path`. Raises UnusablePhotoError if it is damaged, too large or no photo."""
    try:
        return _develop(path) if path.suffix.lower() in RAW_SUFFIXES else _open(path)
    except rawpy.LibRawFileUnsupportedError as error:
        raise UnusablePhotoError("is not a photo, or its beginning is damaged") from error
    except rawpy.LibRawIOError as error:
        raise UnusablePhotoError("is cut off: part of the file is missing") from error
    except Exception as error:  # decoders raise OSError, ValueError, SyntaxError, struct.error … on broken files
        raise UnusablePhotoError(why_unreadable(path, error)) from error


def _open(path: Path) -> Decoded:
    with open_picture(path, PHOTO_FORMATS) as image:
        image.load()  # Pillow raises on truncated data
        metadata = read_metadata(image)
        orientation = _orientation(image)
        as_it_is = image.format in ("JPEG", "MPO") and image.mode == "RGB" and orientation == 1
        upright = image if as_it_is else ImageOps.exif_transpose(to_rgb(image))
        return Decoded(upright, metadata, as_it_is, shot_in(image, metadata), orientation)


def _develop(path: Path) -> Decoded:
    """A DNG in the camera's white balance, turned upright by LibRaw."""
    with rawpy.imread(str(path)) as raw:
        check_pixels(raw.sizes.width, raw.sizes.height)
        pixels = raw.postprocess(use_camera_wb=True, output_bps=8)
    picture = Image.fromarray(pixels)
    return Decoded(picture, read_raw_metadata(path, picture.width, picture.height), as_it_is=False)


def to_rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB of any mode; 16-bit and float greys are stretched over their own range. Keeps EXIF orientation."""
    converted = pictures.to_rgb(image)
    converted.getexif()[ORIENTATION] = _orientation(image)
    return converted


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # as in read_metadata
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
