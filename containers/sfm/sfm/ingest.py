"""Turn the files of the archive into usable photos: fully decoded, upright, 8-bit RGB, no duplicates, numbered."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from contract.archive import RAW_SUFFIXES
from sfm.decode import decode
from sfm.native import Send
from sfm.parallel import map_in_order
from sfm.photos import Photo, SkippedPhoto
from stage.archive import UnpackedFile
from stage.pictures import UnusablePhotoError

MIN_SIDE = 160  # pixels; below it there is nothing to match
TRANSCODE_QUALITY = 97
# a JPEG of one flat colour (lens cap, failed exposure) has no detail to match
FLAT_STANDARD_DEVIATION = 1.0
# a photo of 50 MP and what it passes through take half a gigabyte
MAX_PARALLEL = 8


def ingest(
    files: Sequence[UnpackedFile],
    damaged: Sequence[str],
    folder: Path,
    threads: int,
    send: Send,
) -> tuple[list[Photo], list[SkippedPhoto]]:
    """Check every photo and move (or transcode) it to `folder/000001.jpg` …, numbered by name.

    `damaged` are names whose data the archive could not give. `send` gets the share of photos done, 0..1. Decoders of
    other people's files crash at times, so this runs in a child process.
    """
    paths = {file.name: file.path for file in files}
    numbered = [
        (f"{number:06d}.jpg", original, paths.get(original))
        for number, original in enumerate(sorted([*paths, *damaged], key=natural_key), start=1)
    ]
    developed = _developed_by_the_camera(list(paths))
    folder.mkdir(parents=True, exist_ok=True)
    photos: list[Photo] = []
    skipped: list[SkippedPhoto] = []
    first_with_digest: dict[str, str] = {}

    def prepare(item: tuple[str, str, Path | None]) -> tuple[Photo, str] | str:
        name, original, source = item
        if original in developed:
            return f"same shot as {developed[original]}"
        return _ingest_one(name, original, source, folder)

    results = map_in_order(prepare, numbered, min(threads, MAX_PARALLEL))
    for (name, original, _), result in zip(numbered, results, strict=True):
        if isinstance(result, str):
            skipped.append(SkippedPhoto(name, original, result))
        else:
            photo, digest = result
            first = first_with_digest.setdefault(digest, original)
            if first == original:
                photos.append(photo)
            else:
                photo.path.unlink()
                skipped.append(SkippedPhoto(name, original, f"same photo as {first}"))
        send((len(photos) + len(skipped)) / len(numbered))
    return photos, skipped


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sorts `DJI_9.jpg` before `DJI_10.jpg`."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]


def _developed_by_the_camera(names: Sequence[str]) -> dict[str, str]:
    """Raw file → the JPEG beside it of the same name: drones can store each shot as both."""
    stems = {
        str(path.with_suffix("")).lower(): str(path)
        for path in map(PurePosixPath, names)
        if path.suffix.lower() not in RAW_SUFFIXES
    }
    raws = [path for path in map(PurePosixPath, names) if path.suffix.lower() in RAW_SUFFIXES]
    return {str(raw): stems[stem] for raw in raws if (stem := str(raw.with_suffix("")).lower()) in stems}


def _ingest_one(name: str, original: str, source: Path | None, folder: Path) -> tuple[Photo, str] | str:
    """The photo and the digest of its pixels (the same shot may come in two files), or why it is skipped."""
    if source is None:
        return "its data in the archive is damaged"
    try:
        decoded = decode(source)
    except UnusablePhotoError as error:
        return str(error)
    picture = decoded.picture
    if min(picture.size) < MIN_SIDE:
        return f"only {picture.width} × {picture.height} pixels"
    if is_flat(picture):
        return "shows nothing but one flat colour"
    digest = hashlib.blake2b(repr(picture.size).encode())
    digest.update(picture.tobytes())
    target = folder / name
    if decoded.as_it_is:
        source.replace(target)
    else:
        picture.save(target, "JPEG", quality=TRANSCODE_QUALITY, subsampling=0)
        source.unlink()
    photo = Photo(name, original, target, picture.width, picture.height, decoded.metadata)
    return photo, digest.hexdigest()


def is_flat(image: Image.Image) -> bool:
    """Whether a photo has no detail at all."""
    small = np.asarray(image.resize((64, 64), Image.Resampling.BOX).convert("L"), dtype=np.float64)
    return float(small.std()) < FLAT_STANDARD_DEVIATION
