"""Preflight of an upload: a check that takes seconds and costs cents, before any machine is rented.

An archive's central directory answers most questions. Within the archive, only the headers of films and splats and the
model of a scene are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import BinaryIO

from contract.archive import Entry, RefusedArchive, check, entries_of, nested_archives
from contract.blocks import UNDIVIDED_BELOW
from contract.codes import ErrorCode
from contract.counts import MAX_PHOTOS, MIN_PHOTOS
from contract.films import RefusedFilm, check_film, is_film
from contract.ply import MAX_HEADER_BYTES
from contract.shots import by_name, described, photos_of, second_images
from contract.stages import PipelineStep
from contract.wanted import (
    MODEL_FILES,
    UNREADABLE_SUFFIXES,
    chosen_splats,
    is_photo,
    is_side_file,
    model_folders,
    scene_of,
    wanted_of,
)
from domain.contents import check_films, check_model, check_ply, check_splat
from domain.errors import RejectedUpload
from domain.ranged import OutOfReach, ReadTooLong

_SCENES = (PipelineStep.SCENE, PipelineStep.TRAINING)


def read_entries(stream: BinaryIO) -> list[Entry]:
    """The entries of a ZIP; reads only its ends. Raises RejectedUpload (NOT_A_ZIP, UNSUPPORTED_ARCHIVE,
    ARCHIVE_TOO_LARGE).
    """
    try:
        return entries_of(stream)
    except RefusedArchive as refused:
        raise RejectedUpload(refused.code, refused.facts) from refused
    except ReadTooLong as error:
        raise RejectedUpload(ErrorCode.ARCHIVE_TOO_LARGE, f"its list of files takes {error}") from error


def step_of(entries: Sequence[Entry], asked: PipelineStep) -> PipelineStep:
    """The step at which an archive enters the pipeline: compression, if it holds a splat and no photos."""
    paths = [entry.path for entry in entries if not entry.is_folder and not is_side_file(entry.path)]
    alone = not any(map(is_photo, paths)) and len(chosen_splats(paths)) == 1
    return PipelineStep.COMPRESSION if asked is PipelineStep.FULL and alone else asked


def divided_from(step: PipelineStep, photos: int) -> PipelineStep:
    """The step with which a job of so many photos begins: a large scene is divided into blocks first."""
    return PipelineStep.SCENE if step is PipelineStep.TRAINING and photos >= UNDIVIDED_BELOW else step


def check_entries(entries: Sequence[Entry], archive_bytes: int, step: PipelineStep) -> int:
    """Decide whether an archive of `archive_bytes` may become a job; returns its number of photos: 0 for a splat, and
    for films, whose number of frames is not known yet.

    Raises RejectedUpload with the code and the facts.
    """
    try:
        wanted = wanted_of(step, [entry.path for entry in entries if not entry.is_folder])
        chosen = check(entries, archive_bytes, wanted)
    except RefusedArchive as refused:
        raise RejectedUpload(refused.code, refused.facts) from refused
    if step is PipelineStep.COMPRESSION:
        return _check_splat(chosen)
    if any(is_film(entry.path) and entry.bytes > 0 for entry in chosen):
        return 0
    if step in _SCENES:
        return _check_photo_count(_scene_photos(chosen), entries)
    shots = by_name(entry.path for entry in chosen if is_photo(entry.path) and entry.bytes > 0)
    return _check_photo_count(photos_of(shots), entries, described(second_images(shots).values()))


def check_contents(stream: BinaryIO, entries: Sequence[Entry], step: PipelineStep) -> None:
    """Check the content of an archive that `check_entries` accepted, as far as it can be read in seconds.

    Raises RejectedUpload if the first stage would refuse its films, its splat or its model of a scene.
    """
    files = {entry.path: entry for entry in entries if not entry.is_folder and not is_side_file(entry.path)}
    wanted = wanted_of(step, list(files))
    chosen = {path: entry for path, entry in files.items() if wanted(path)}
    films = [entry for path, entry in chosen.items() if is_film(path) and entry.bytes > 0]
    scene = scene_of(chosen) if step in _SCENES else None
    if films:
        check_films(stream, films)
    elif scene is not None:
        check_model(stream, chosen, scene)
    elif step is PipelineStep.COMPRESSION:
        check_splat(stream, chosen[chosen_splats(chosen)[0]])


def check_bare_film(stream: BinaryIO) -> None:
    """Check a film's header, if it is in reach. Raises RejectedUpload: UNREADABLE_FILM, UNSUITABLE_FILM, PANORAMA."""
    try:
        check_film(stream)
    except OutOfReach:
        return
    except RefusedFilm as refused:
        raise RejectedUpload(refused.code, refused.facts) from refused


def check_bare_splat(stream: BinaryIO, key: str, size: int) -> None:
    """Check the header of a splat, if it is a PLY. Raises RejectedUpload(INVALID_SPLAT)."""
    if size == 0:
        raise RejectedUpload(ErrorCode.INVALID_SPLAT, "0 bytes")
    stream.seek(0)
    check_ply(PurePosixPath(key).name, stream.read(MAX_HEADER_BYTES), size)


def _check_photo_count(photos: Sequence[PurePosixPath], entries: Sequence[Entry], others: str = "") -> int:
    """The number of photos. `others`: pictures that do not count, in words."""
    if not photos:
        if nested := nested_archives(entries):
            raise RejectedUpload(ErrorCode.NO_PHOTOS, f"{', '.join(nested[:3])} in the ZIP: not opened")
        files = {entry.path for entry in entries if not entry.is_folder and not is_side_file(entry.path)}
        unreadable = sorted({path.suffix.lower() for path in files} & UNREADABLE_SUFFIXES)
        if unreadable:
            raise RejectedUpload(ErrorCode.UNSUPPORTED_PHOTOS, "found " + ", ".join(unreadable))
        raise RejectedUpload(ErrorCode.NO_PHOTOS, f"{len(files)} other files")
    if len(photos) < MIN_PHOTOS:
        uncounted = f"; not counted: {others}" if others else ""
        raise RejectedUpload(ErrorCode.TOO_FEW_PHOTOS, f"{len(photos)} of at least {MIN_PHOTOS}{uncounted}")
    if len(photos) > MAX_PHOTOS:
        raise RejectedUpload(ErrorCode.TOO_MANY_PHOTOS, f"{len(photos)} of at most {MAX_PHOTOS}")
    return len(photos)


def _scene_photos(chosen: Sequence[Entry]) -> list[PurePosixPath]:
    """The photos of a scene, which has a model and, unless it has no photos, a folder images/ beside or above it."""
    paths = [entry.path for entry in chosen]
    models = model_folders(paths)
    if not models:
        names = {path.name for path in paths}
        missing = ", ".join(name for name in MODEL_FILES[0] if name not in names) or "three files of it in one folder"
        raise RejectedUpload(ErrorCode.INVALID_SCENE, f"no COLMAP model: missing {missing}")
    scene = scene_of(paths)
    if scene is None and any("images" in path.parts[:-1] for path in paths):
        raise RejectedUpload(ErrorCode.INVALID_SCENE, f"no images/ beside or above the COLMAP model in {models[0]}/")
    return [entry.path for entry in chosen if scene and scene.is_photo(entry.path) and entry.bytes > 0]


def _check_splat(entries: Sequence[Entry]) -> int:
    splats = chosen_splats(entry.path for entry in entries)
    if len(splats) != 1:
        raise RejectedUpload(ErrorCode.INVALID_SPLAT, f"{len(splats)} splats in the ZIP, not one")
    return 0
