"""A customer's ZIP unpacked by streaming, trusting nothing that it says about itself.

What the central directory shows is checked before a byte is written (contract/archive.py, as in the preflight); sizes
are counted again as they arrive.
"""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from contract.archive import LIMITS, Entry, Limits, RefusedArchive, Wanted, check
from stage.errors import ErrorCode, StageError

CHUNK_BYTES = 1 << 20


class DamagedEntryError(Exception):
    """An entry's data cannot be read."""


@dataclass(frozen=True)
class UnpackedFile:
    """One entry: its name in the archive and where it lies now."""

    name: str
    path: Path


@dataclass(frozen=True)
class Unpacked:
    """The wanted files in order of their names, and the names of entries whose data was damaged (skipped)."""

    files: list[UnpackedFile] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


def names_in(archive: Path) -> list[PurePosixPath]:
    """The files that an archive lists. Raises StageError(NOT_A_ZIP)."""
    with _open(archive) as opened:
        entries = [Entry.of(info) for info in opened.infolist()]
    return [entry.path for entry in entries if not entry.is_folder]


def unpack(
    archive: Path,
    folder: Path,
    wanted: Wanted,
    limits: Limits = LIMITS,
    progress: Callable[[float], None] = lambda _share: None,
) -> Unpacked:
    """Unpack the entries that `wanted` accepts into `folder`, with their own relative paths.

    `progress` gets the share of bytes done, 0..1, after every chunk; it may raise to stop. On any error `folder` may
    hold some files.

    Raises StageError: NOT_A_ZIP, and the codes of contract.archive.check.
    """
    with _open(archive) as opened:
        infos = {Entry.of(info): info for info in opened.infolist()}
        try:
            entries = check([Entry.of(info) for info in opened.infolist()], archive.stat().st_size, wanted, limits)
        except RefusedArchive as refused:
            raise StageError(refused.code, refused.facts) from refused
        total = sum(entry.bytes for entry in entries)
        unpacked = Unpacked()
        done = 0
        for entry in sorted(entries, key=lambda entry: str(entry.path)):
            name = str(entry.path)
            path = folder / name
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                done = _write(opened, infos[entry], path, done, total, limits, progress)
            except DamagedEntryError:
                path.unlink(missing_ok=True)
                unpacked.damaged.append(name)
            else:
                unpacked.files.append(UnpackedFile(name, path))
    return unpacked


def _open(archive: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(archive)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, UnicodeDecodeError, ValueError) as error:
        raise StageError(ErrorCode.NOT_A_ZIP, f"{archive.name} is not a ZIP archive ({error})") from error


def _write(
    archive: zipfile.ZipFile,
    entry: zipfile.ZipInfo,
    path: Path,
    done: int,
    total: int,
    limits: Limits,
    progress: Callable[[float], None],
) -> int:
    """Stream one entry to `path`; returns the bytes unpacked so far in all."""
    with path.open("xb") as sink:
        for chunk in _chunks(archive, entry):
            done += len(chunk)
            if done > limits.bytes:
                raise StageError(ErrorCode.ARCHIVE_TOO_LARGE, f"more than {limits.bytes} bytes unpacked")
            sink.write(chunk)
            progress(min(done / max(total, 1), 1.0))
    return done


def _chunks(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """The entry's bytes; DamagedEntryError wherever they cannot be read, StageError where this unpacker cannot."""
    try:
        with archive.open(entry) as source:
            while chunk := source.read(CHUNK_BYTES):
                yield chunk
    except NotImplementedError as error:
        raise StageError(
            ErrorCode.UNSUPPORTED_ARCHIVE, f"{entry.filename} is packed in a way not supported ({error})"
        ) from error
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        OSError,
        ValueError,
        IndexError,
        struct.error,
    ) as e:
        # zipfile follows offsets and sizes of broken headers wherever they lead
        raise DamagedEntryError(str(e)) from e
