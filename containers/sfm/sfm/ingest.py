"""Turn the files of the archive into usable photos: fully decoded, upright, 8-bit RGB, no duplicates, numbered.

Second images of a shot (contract/shots.py) are set apart; masks are stored beside their photos.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from contract.shots import COLOUR, Kind, Shot, by_name, second_images
from sfm.content import by_size, odd_greys
from sfm.decode import decode
from sfm.masks import store_mask
from sfm.native import Send
from sfm.parallel import map_in_order
from sfm.photos import Photo, SecondImage, SkippedPhoto
from stage.archive import DAMAGED, UnpackedFile
from stage.errors import ErrorCode, StageError
from stage.pictures import UnusablePhotoError

MIN_SIDE = 160  # pixels; below it there is nothing to match
TRANSCODE_QUALITY = 97
# a JPEG of one flat colour (lens cap, failed exposure) has no detail to match
FLAT_STANDARD_DEVIATION = 1.0
# a photo of 50 MP and what it passes through take half a gigabyte
MAX_PARALLEL = 8
MAX_PANORAMAS = 1 / 2  # share of the photos; none of COLMAP's camera models describes panoramas


@dataclass(frozen=True)
class Ingested:
    """The pictures of an upload, each in order of names. `unused_masks`: original names."""

    photos: list[Photo] = field(default_factory=list)
    skipped: list[SkippedPhoto] = field(default_factory=list)
    second_images: list[SecondImage] = field(default_factory=list)
    unused_masks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Candidate:
    """A decoded picture: the photo that it may become, the digest of its pixels, what it is, how it was stored."""

    photo: Photo
    digest: str
    shot: Shot
    orientation: int


def ingest(
    files: Sequence[UnpackedFile],
    damaged: Sequence[str],
    folder: Path,
    threads: int,
    send: Send,
) -> Ingested:
    """Check every photo and move (or transcode) it to `folder/000001.jpg` …, numbered by name.

    `damaged` are names whose data the archive could not give. `send` gets the share of pictures done, 0..1. Decoders of
    other people's files crash at times, so this runs in a child process. Raises StageError(PANORAMA) where most of the
    photos are panoramas by what their files say.
    """
    paths = {file.name: file.path for file in files}
    numbered = [
        (f"{number:06d}.jpg", original, paths.get(original))
        for number, original in enumerate(sorted([*paths, *damaged], key=natural_key), start=1)
    ]
    shots = {str(path): shot for path, shot in by_name(PurePosixPath(name) for _, name, _ in numbered).items()}
    known = second_images(shots)
    folder.mkdir(parents=True, exist_ok=True)

    def prepare(item: tuple[str, str, Path | None]) -> _Candidate | str:
        name, original, source = item
        return "" if original in known else _ingest_one(name, original, source, folder)

    candidates: list[_Candidate] = []
    skipped: list[SkippedPhoto] = []
    results = map_in_order(prepare, numbered, min(threads, MAX_PARALLEL))
    for done, ((name, original, _), result) in enumerate(zip(numbered, results, strict=True), start=1):
        if isinstance(result, _Candidate):
            candidates.append(result)
        elif result:
            skipped.append(SkippedPhoto(name, original, result))
        send(done / len(numbered))
    seen = second_images(_seen(candidates, shots))
    for candidate in candidates:
        if candidate.photo.original in seen:
            candidate.photo.path.unlink()
    known |= seen
    left = [candidate for candidate in candidates if candidate.photo.original not in seen]
    _refuse_panoramas(left)
    photos, same = _distinct(left)
    return Ingested(
        photos,
        sorted(skipped + same, key=lambda photo: photo.name),
        [SecondImage(name, original, known[original]) for name, original, _ in numbered if original in known],
        _store_masks(known, paths, {candidate.photo.original: candidate for candidate in candidates}),
    )


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sorts `DJI_9.jpg` before `DJI_10.jpg`."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]


def _refuse_panoramas(candidates: Sequence[_Candidate]) -> None:
    round_about = sum(candidate.shot.kind is Kind.PANORAMA for candidate in candidates)
    if round_about > MAX_PANORAMAS * len(candidates):
        raise StageError(ErrorCode.PANORAMA, f"{round_about} of {len(candidates)} photos are marked as panoramas")


def _seen(candidates: Sequence[_Candidate], named: Mapping[str, Shot]) -> dict[str, Shot]:
    """The kind of each decoded picture: by its name, otherwise by its file's content, otherwise by its size."""
    shots = {
        candidate.photo.original: candidate.shot if (shot := named[candidate.photo.original]) == COLOUR else shot
        for candidate in candidates
    }
    shots |= odd_greys(shots, {c.photo.original: c.photo.metadata.taken_at for c in candidates})
    colour = [candidate.photo for candidate in candidates if shots[candidate.photo.original].kind is Kind.COLOUR]
    return shots | by_size({photo.original: (photo.width, photo.height) for photo in colour})


def _distinct(candidates: Sequence[_Candidate]) -> tuple[list[Photo], list[SkippedPhoto]]:
    """The photos, and those whose pixels are another's; the files of the latter are removed."""
    photos: list[Photo] = []
    same: list[SkippedPhoto] = []
    first_with_digest: dict[str, str] = {}
    for candidate in candidates:
        photo = candidate.photo
        first = first_with_digest.setdefault(candidate.digest, photo.original)
        if first == photo.original:
            photos.append(photo)
        else:
            photo.path.unlink()
            same.append(SkippedPhoto(photo.name, photo.original, f"same photo as {first}"))
    return photos, same


def _store_masks(
    shots: Mapping[str, Shot], paths: Mapping[str, Path], candidates: Mapping[str, _Candidate]
) -> list[str]:
    """Store the masks of the photos that are left; returns the names of those that fit none."""
    unused = []
    for original, shot in shots.items():
        if shot.kind is not Kind.MASK:
            continue
        candidate = candidates.get(str(shot.of))
        source = paths.get(original)
        if candidate is None or source is None or not candidate.photo.path.exists():
            unused.append(original)
            continue
        photo = candidate.photo
        if not store_mask(source, photo.path, (photo.width, photo.height), candidate.orientation):
            unused.append(original)
    return unused


def _ingest_one(name: str, original: str, source: Path | None, folder: Path) -> _Candidate | str:
    """The photo with the digest of its pixels (the same shot may come in two files), or why it is skipped."""
    if source is None:
        return DAMAGED
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
    return _Candidate(photo, digest.hexdigest(), decoded.shot, decoded.orientation)


def is_flat(image: Image.Image) -> bool:
    """Whether a photo has no detail at all."""
    small = np.asarray(image.resize((64, 64), Image.Resampling.BOX).convert("L"), dtype=np.float64)
    return float(small.std()) < FLAT_STANDARD_DEVIATION
