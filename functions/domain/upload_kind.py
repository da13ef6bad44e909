"""Recognise an uploaded object by its key and first bytes: an archive, a film, a splat, one photo, or no upload."""

from __future__ import annotations

import zlib
from enum import Enum, auto
from pathlib import PurePosixPath

from contract.films import begins_as_film, is_film
from contract.ply import MAGIC as PLY
from contract.wanted import CAMERA_RAW_SUFFIXES, is_side_file, is_splat, is_survey

START_BYTES = 64
# files that a drone's card, its receiver and photo programs leave beside photos; they get no answer
_SIDE_SUFFIXES = frozenset(
    {".srt", ".mrk", ".nav", ".obs", ".rinex", ".rtk", ".rpos", ".bin", ".lrf", ".thm", ".scr", ".xmp", ".aae", ".log"}
)
_FOLDER_MARKERS = ("/", "_$folder$")  # how consoles and Hadoop mark folders
_SPZ = b"NGSP"
_PHOTOS = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"II*\0", b"MM\0*")


class UploadKind(Enum):
    """What start_job does with an object."""

    ARCHIVE = auto()  # or something that claims to be one: preflight finds out
    PHOTO = auto()
    FILM = auto()
    SPLAT = auto()
    KSPLAT = auto()  # a splat that no stage reads
    NOTHING = auto()


def kind_by_key(key: str) -> UploadKind | None:
    """The kind as far as the key decides it; None if the content must decide, because films and splats may have any
    name."""
    path = PurePosixPath(key)
    suffix = path.suffix.lower()
    if key.endswith(_FOLDER_MARKERS) or is_side_file(PurePosixPath(path.name)) or suffix in _SIDE_SUFFIXES:
        return UploadKind.NOTHING
    if is_survey(path) or suffix in CAMERA_RAW_SUFFIXES:
        return UploadKind.PHOTO
    return None


def kind_of(key: str, start: bytes) -> UploadKind:
    """The kind of an object; `start`: its first START_BYTES."""
    if (known := kind_by_key(key)) is not None:
        return known
    path = PurePosixPath(key)
    if is_film(path) or begins_as_film(start):
        return UploadKind.FILM
    if path.suffix.lower() == ".zip":
        return UploadKind.ARCHIVE
    if path.suffix.lower() == ".ksplat":
        return UploadKind.KSPLAT
    # up to version 3, an SPZ is a gzip stream whose content begins with these bytes
    if is_splat(path) or start.startswith((*PLY, _SPZ)) or _unzipped(start).startswith(_SPZ):
        return UploadKind.SPLAT
    return UploadKind.PHOTO if start.startswith(_PHOTOS) else UploadKind.ARCHIVE


def _unzipped(start: bytes) -> bytes:
    """The first unpacked bytes of a gzip stream that begins with `start`."""
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(start, 4)
    except zlib.error:
        return b""
