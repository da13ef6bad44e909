"""Read a splat of any supported format, recognised by its first bytes: an upload may have lost its suffix."""

from __future__ import annotations

import zipfile
from pathlib import Path

from compressor.formats.dot_splat import looks_like_splat, read_dot_splat
from compressor.formats.spz import GZIP, MAGIC, read_spz
from compressor.sog.container import META, read_stored_sog
from splat.ply import read_stored_ply
from splat.stored import StoredSplat

_ZIP = b"PK\x03\x04"
_DOT_SPLAT = ".splat"


def is_sog(path: Path) -> bool:
    """Whether a file is a bundled SOG: a ZIP without folders that contains meta.json."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
        return False
    return META in names and all("/" not in name for name in names)


def is_known_splat(path: Path) -> bool:
    """Whether the file's content is a splat, whatever its name is."""
    with path.open("rb") as stream:
        start = stream.read(4)
    if start.startswith(_ZIP):
        return is_sog(path)
    return start.startswith((b"ply", GZIP, MAGIC)) or looks_like_splat(path)


def read_splat(path: Path) -> StoredSplat:
    """Read the splat at `path`. Raises InvalidSplatError if it cannot be read as one; the message says why."""
    with path.open("rb") as stream:
        start = stream.read(4)
    if start.startswith((GZIP, MAGIC)):
        return read_spz(path)
    if start.startswith(_ZIP):
        return read_stored_sog(path)
    if not start.startswith(b"ply") and (path.suffix.lower() == _DOT_SPLAT or looks_like_splat(path)):
        return read_dot_splat(path)
    return read_stored_ply(path)
