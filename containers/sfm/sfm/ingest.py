"""From the files of the archive to usable photos: decoded whole, upright, 8-bit RGB, no two alike, named by number."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from sfm.exif import ORIENTATION, read_metadata
from sfm.parallel import map_in_order
from sfm.photos import Photo, SkippedPhoto
from stage.archive import UnpackedFile

SMALLEST_SIDE = 160  # pixels; below it there is nothing to match
LARGEST_PIXELS = 250_000_000
TRANSCODE_QUALITY = 97
# a JPEG of one flat colour (lens cap, failed exposure) has no detail to match
FLAT_STANDARD_DEVIATION = 1.0


class UnusablePhotoError(Exception):
    """Why a photo is skipped."""


def ingest(
    files: Sequence[UnpackedFile],
    damaged: Sequence[str],
    folder: Path,
    threads: int,
    progress: Callable[[int], None],
) -> tuple[list[Photo], list[SkippedPhoto]]:
    """Check every photo and move (or transcode) it to `folder/000001.jpg` …, numbered by name.

    `damaged` are names whose data the archive could not give. `progress` gets the number of photos done; it may
    raise to stop.
    """
    paths = {file.name: file.path for file in files}
    numbered = [
        (f"{number:06d}.jpg", original, paths.get(original))
        for number, original in enumerate(sorted([*paths, *damaged], key=natural_key), start=1)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    photos: list[Photo] = []
    skipped: list[SkippedPhoto] = []
    first_with_digest: dict[str, str] = {}
    results = map_in_order(lambda item: _ingest_one(*item, folder), numbered, threads)
    for (name, original, _), (result, digest) in zip(numbered, results, strict=True):
        if isinstance(result, str):
            skipped.append(SkippedPhoto(name, original, result))
        elif digest in first_with_digest:
            result.path.unlink()
            skipped.append(SkippedPhoto(name, original, f"same photo as {first_with_digest[digest]}"))
        else:
            first_with_digest[digest] = original
            photos.append(result)
        progress(len(photos) + len(skipped))
    return photos, skipped


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sorts `DJI_9.jpg` before `DJI_10.jpg`."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]


def _ingest_one(name: str, original: str, source: Path | None, folder: Path) -> tuple[Photo | str, str]:
    """The photo, or why it is skipped; and the digest of its bytes."""
    if source is None:
        return "its data in the archive is damaged", ""
    try:
        with source.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return _prepare(name, original, source, folder / name), digest
    except UnusablePhotoError as error:
        return str(error), ""


def _prepare(name: str, original: str, source: Path, target: Path) -> Photo:
    try:
        with Image.open(source) as image:
            if image.width * image.height > LARGEST_PIXELS:
                raise UnusablePhotoError(f"{image.width} × {image.height} pixels are too many")
            image.load()  # Pillow raises on truncated data
            metadata = read_metadata(image)
            as_it_is = image.format in ("JPEG", "MPO") and image.mode == "RGB" and _orientation(image) in (0, 1)
            upright = image if as_it_is else ImageOps.exif_transpose(to_rgb(image))
    except UnusablePhotoError:
        raise
    except Exception as error:  # decoders raise OSError, ValueError, SyntaxError, struct.error … on broken files
        raise UnusablePhotoError(_why_unreadable(error)) from error
    if min(upright.size) < SMALLEST_SIDE:
        raise UnusablePhotoError(f"only {upright.width} × {upright.height} pixels")
    if is_flat(upright):
        raise UnusablePhotoError("shows nothing but one flat colour")
    if as_it_is:
        source.replace(target)
    else:
        upright.save(target, "JPEG", quality=TRANSCODE_QUALITY, subsampling=0)
        source.unlink()
    return Photo(name, original, target, upright.width, upright.height, metadata)


def to_rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB of any mode; 16-bit and float greys are stretched over their own range. Keeps EXIF orientation."""
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, dtype=np.float64)
        low, high = np.percentile(values, (0.1, 99.9))
        grey = np.clip((values - low) / max(high - low, 1e-9) * 255, 0, 255).astype(np.uint8)
        converted = Image.fromarray(grey).convert("RGB")
    else:
        converted = image.convert("RGB")
    converted.getexif()[ORIENTATION] = _orientation(image)
    return converted


def is_flat(image: Image.Image) -> bool:
    """Whether a photo has no detail at all."""
    small = np.asarray(image.resize((64, 64), Image.Resampling.BOX).convert("L"), dtype=np.float64)
    return float(small.std()) < FLAT_STANDARD_DEVIATION


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # as in read_metadata
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _why_unreadable(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "is not a photo, or its beginning is damaged"
    if "truncated" in str(error):
        return "is cut off: part of the file is missing"
    return f"cannot be decoded ({type(error).__name__})"
