"""Preflight of an upload from its central directory alone: seconds and cents before any machine is rented."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence, Set
from pathlib import PurePosixPath
from typing import BinaryIO

from contract.archive import (
    MODEL_FILES,
    UNREADABLE_SUFFIXES,
    WANTED,
    Entry,
    RefusedArchive,
    check,
    chosen_splats,
    is_photo,
    is_scene_photo,
    is_side_file,
    model_folders,
)
from contract.codes import ErrorCode
from contract.counts import MAX_PHOTOS, MIN_PHOTOS
from contract.shots import by_name, described, photos_of, second_images
from contract.stages import PipelineStep
from domain.errors import RejectedUpload
from domain.ranged import ReadTooLong


def read_entries(stream: BinaryIO) -> list[Entry]:
    """The entries of a ZIP; reads only its end. Raises RejectedUpload(NOT_A_ZIP, ARCHIVE_TOO_LARGE)."""
    try:
        with zipfile.ZipFile(stream) as archive:
            return [Entry.of(info) for info in archive.infolist()]
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise RejectedUpload(ErrorCode.NOT_A_ZIP, str(error)) from error
    except ReadTooLong as error:
        raise RejectedUpload(ErrorCode.ARCHIVE_TOO_LARGE, f"its list of files takes {error}") from error


def check_entries(entries: Sequence[Entry], archive_bytes: int, step: PipelineStep) -> int:
    """Decide whether an archive of `archive_bytes` may become a job; returns how many photos it holds (0 for a splat).

    Raises RejectedUpload with the code and the facts.
    """
    try:
        chosen = check(entries, archive_bytes, WANTED[step])
    except RefusedArchive as refused:
        raise RejectedUpload(refused.code, refused.facts) from refused
    if step is PipelineStep.COMPRESSION:
        return _check_splat(chosen)
    files = {entry.path for entry in entries if not entry.is_folder and not is_side_file(entry.path)}
    if step is PipelineStep.TRAINING:
        _check_scene(chosen)
        photos = [entry.path for entry in chosen if is_scene_photo(entry.path) and entry.bytes > 0]
        return _check_photo_count(photos, files)
    shots = by_name(entry.path for entry in chosen if is_photo(entry.path) and entry.bytes > 0)
    return _check_photo_count(photos_of(shots), files, described(second_images(shots).values()))


def _check_photo_count(photos: Sequence[PurePosixPath], files: Set[PurePosixPath], others: str = "") -> int:
    """How many photos there are; `others`: what there is of pictures that are not counted."""
    if not photos:
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


def _check_scene(chosen: Sequence[Entry]) -> None:
    paths = [entry.path for entry in chosen]
    if not model_folders(paths):
        names = {path.name for path in paths}
        missing = ", ".join(name for name in MODEL_FILES[0] if name not in names) or "three files of it in one folder"
        raise RejectedUpload(ErrorCode.INVALID_SCENE, f"no COLMAP model: missing {missing}")


def _check_splat(entries: Sequence[Entry]) -> int:
    splats = chosen_splats(entry.path for entry in entries)
    if len(splats) != 1:
        raise RejectedUpload(ErrorCode.INVALID_SPLAT, f"{len(splats)} splats in the ZIP, not one")
    return 0
