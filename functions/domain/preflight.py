"""Preflight of an upload from its central directory alone: seconds and cents before any machine is rented."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

from domain.errors import ErrorCode, RejectedUpload
from domain.job import PipelineStep
from domain.ranged import ReadTooLong

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".heic", ".heif", ".dng"})
# pictures and films that customers do send, but that no stage can read
UNREADABLE_SUFFIXES = frozenset(
    {
        ".cr2",
        ".cr3",
        ".nef",
        ".arw",
        ".raf",
        ".rw2",
        ".orf",
        ".gif",
        ".bmp",
        ".jxl",
        ".avif",
        ".mp4",
        ".mov",
        ".avi",
        ".pdf",
    }
)
MIN_PHOTOS = 5
MAX_PHOTOS = 5_000
MAX_ENTRIES = 50_000
MAX_UNPACKED_BYTES = 200 * 1024**3
# deflate cannot shrink a photo tenfold; a bomb shrinks a thousandfold
MAX_RATIO = 100
RATIO_MATTERS_ABOVE_BYTES = 100 * 1024**2
SCENE_FILES = ("cameras.bin", "images.bin", "points3D.bin")


@dataclass(frozen=True)
class Entry:
    """One file of a ZIP as its central directory describes it."""

    name: str
    bytes: int
    packed_bytes: int
    encrypted: bool
    symlink: bool

    @property
    def path(self) -> PurePosixPath:
        """The name as a path: some Windows tools write backslashes."""
        return PurePosixPath(self.name.replace("\\", "/"))

    @property
    def suffix(self) -> str:
        return self.path.suffix.lower()


def read_entries(stream: BinaryIO) -> list[Entry]:
    """The files (not folders) of a ZIP; reads only its end. Raises RejectedUpload(NOT_A_ZIP, ARCHIVE_TOO_LARGE)."""
    try:
        with zipfile.ZipFile(stream) as archive:
            return [
                Entry(
                    name=info.orig_filename,
                    bytes=info.file_size,
                    packed_bytes=info.compress_size,
                    encrypted=bool(info.flag_bits & 0x1),
                    symlink=info.create_system == 3 and stat.S_ISLNK(info.external_attr >> 16),
                )
                for info in archive.infolist()
                if not info.orig_filename.endswith("/")
            ]
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise RejectedUpload(ErrorCode.NOT_A_ZIP, str(error)) from error
    except ReadTooLong as error:
        raise RejectedUpload(ErrorCode.ARCHIVE_TOO_LARGE, f"its list of files takes {error}") from error


def is_side_file(path: PurePosixPath) -> bool:
    """What operating systems leave in ZIPs: __MACOSX/, ._photo.jpg, .DS_Store, Thumbs.db."""
    parts = path.parts
    return "__MACOSX" in parts or parts[-1:] == ("Thumbs.db",) or any(p.startswith(".") and p != ".." for p in parts)


def check_entries(entries: Sequence[Entry], step: PipelineStep) -> int:
    """Decide whether the archive may become a job; returns how many photos it holds (0 for a splat).

    Raises RejectedUpload with the code and the facts.
    """
    if not entries:
        raise RejectedUpload(ErrorCode.EMPTY_ARCHIVE)
    _check_safety(entries)
    wanted = [entry for entry in entries if not is_side_file(entry.path)]
    if step is PipelineStep.COMPRESSION:
        return _check_splat(wanted)
    photos = [entry for entry in wanted if entry.suffix in PHOTO_SUFFIXES and entry.bytes > 0]
    if step is PipelineStep.TRAINING:
        _check_scene(wanted)
    _check_photo_count(photos, wanted)
    return len(photos)


def _check_safety(entries: Sequence[Entry]) -> None:
    for entry in entries:
        path = entry.path
        drive = len(path.parts[0]) == 2 and path.parts[0][1] == ":" if path.parts else False
        if path.is_absolute() or ".." in path.parts or drive or "\0" in entry.name:
            raise RejectedUpload(ErrorCode.UNSAFE_ARCHIVE, f"the name {entry.name!r}")
        if entry.symlink:
            raise RejectedUpload(ErrorCode.UNSAFE_ARCHIVE, f"{entry.name!r} is a link")
        if entry.encrypted:
            raise RejectedUpload(ErrorCode.ENCRYPTED_ARCHIVE, entry.name)
    unpacked = sum(entry.bytes for entry in entries)
    packed = sum(entry.packed_bytes for entry in entries)
    bomb = unpacked > RATIO_MATTERS_ABOVE_BYTES and unpacked > MAX_RATIO * max(packed, 1)
    if len(entries) > MAX_ENTRIES or unpacked > MAX_UNPACKED_BYTES or bomb:
        raise RejectedUpload(
            ErrorCode.ARCHIVE_TOO_LARGE, f"{len(entries)} files, {packed} bytes that unpack to {unpacked}"
        )


def _check_photo_count(photos: Sequence[Entry], wanted: Sequence[Entry]) -> None:
    if not photos:
        unreadable = sorted({entry.suffix for entry in wanted if entry.suffix in UNREADABLE_SUFFIXES})
        if unreadable:
            raise RejectedUpload(ErrorCode.UNSUPPORTED_PHOTOS, "found " + ", ".join(unreadable))
        raise RejectedUpload(ErrorCode.NO_PHOTOS, f"{len(wanted)} other files")
    if len(photos) < MIN_PHOTOS:
        raise RejectedUpload(ErrorCode.TOO_FEW_PHOTOS, f"{len(photos)} of at least {MIN_PHOTOS}")
    if len(photos) > MAX_PHOTOS:
        raise RejectedUpload(ErrorCode.TOO_MANY_PHOTOS, f"{len(photos)} of at most {MAX_PHOTOS}")


def _check_scene(wanted: Sequence[Entry]) -> None:
    names = {str(entry.path) for entry in wanted}
    missing = [f"sparse/0/{file}" for file in SCENE_FILES if not any(n.endswith(f"sparse/0/{file}") for n in names)]
    if missing:
        raise RejectedUpload(ErrorCode.INVALID_SCENE, "missing " + ", ".join(missing))


def _check_splat(wanted: Sequence[Entry]) -> int:
    splats = [entry.name for entry in wanted if entry.suffix == ".ply"]
    if len(splats) != 1:
        raise RejectedUpload(ErrorCode.INVALID_SPLAT, f"{len(splats)} .ply files in the ZIP, not one")
    return 0
