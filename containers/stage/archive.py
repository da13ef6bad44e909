"""Unpack a customer's ZIP by streaming, without trusting the sizes that it declares.

The central directory is checked before anything is written (contract/archive.py, as in the preflight), and the bytes
are counted again as they are unpacked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from contract.archive import LIMITS, Entry, Limits, RefusedArchive, check, entries_of, nested_archives
from contract.packed import DamagedEntryError
from contract.wanted import Wanted
from contract.warning_codes import WarningCode
from stage.errors import ErrorCode, StageError
from stage.inflate import chunks_of
from stage.result import Warning

DAMAGED = "its data in the archive is damaged"  # why a file is missing, in words for the customer


@dataclass(frozen=True)
class UnpackedFile:
    """One unpacked entry: its name in the archive and the file that holds it now."""

    name: str
    path: Path


@dataclass(frozen=True)
class Unpacked:
    """The result of `unpack`: the wanted files, sorted by name; the names of damaged entries, which were skipped; and
    the names of archives within the archive, which were not opened.
    """

    files: list[UnpackedFile] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    nested: list[str] = field(default_factory=list)


def nested_warnings(nested: Sequence[str]) -> list[Warning]:
    """Name the archives within an archive, which were not opened."""
    return (
        [Warning(WarningCode.NESTED_ARCHIVES, f"not opened: {', '.join(nested[:5])}", list(nested))] if nested else []
    )


def entries_in(archive: Path) -> list[Entry]:
    """The entries that an archive lists. Raises StageError with the codes of contract.archive.entries_of."""
    with archive.open("rb") as source:
        try:
            return entries_of(source)
        except RefusedArchive as refused:
            raise StageError(refused.code, refused.facts) from refused


def names_of_files(entries: Iterable[Entry]) -> list[PurePosixPath]:
    return [entry.path for entry in entries if not entry.is_folder]


def unpack(
    archive: Path,
    folder: Path,
    wanted: Wanted,
    limits: Limits = LIMITS,
    progress: Callable[[float], None] = lambda _share: None,
    listed: Sequence[Entry] | None = None,
) -> Unpacked:
    """Unpack a customer's ZIP by streaming.

    Parameters
    ----------
    archive: the ZIP, whose content is not trusted.
    folder: receives the files at their relative paths in the archive; after an error it may hold some of them.
    wanted: selects the files to unpack, by their path in the archive.
    limits: the largest number of entries, bytes and compression ratio; by default those of the preflight
        (contract.archive).
    progress: called after every chunk with the share of bytes unpacked, 0..1; it may raise to stop.
    listed: the result of `entries_in`, if the caller has it already: an archive of 5,000 photos is then not listed
        twice.

    Returns the files, the names of damaged entries, which are skipped, and those of archives within the archive.

    Raises StageError with the codes of contract.archive.entries_of and contract.archive.check.
    """
    listed = entries_in(archive) if listed is None else listed
    with archive.open("rb") as source:
        try:
            entries = check(listed, archive.stat().st_size, wanted, limits)
        except RefusedArchive as refused:
            raise StageError(refused.code, refused.facts) from refused
        total = sum(entry.bytes for entry in entries)
        unpacked = Unpacked(nested=nested_archives(listed))
        done = 0
        for entry in sorted(entries, key=lambda entry: str(entry.path)):
            name = str(entry.path)
            path = folder / name
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                done = _write(source, entry, path, done, total, limits, progress)
            except DamagedEntryError:
                path.unlink(missing_ok=True)
                unpacked.damaged.append(name)
            else:
                unpacked.files.append(UnpackedFile(name, path))
    return unpacked


def _write(
    archive: BinaryIO,
    entry: Entry,
    path: Path,
    done: int,
    total: int,
    limits: Limits,
    progress: Callable[[float], None],
) -> int:
    """Stream one entry to `path`; returns the number of bytes unpacked so far from the whole archive."""
    with path.open("xb") as sink:
        for chunk in chunks_of(archive, entry):
            done += len(chunk)
            if done > limits.bytes:
                raise StageError(ErrorCode.ARCHIVE_TOO_LARGE, f"more than {limits.bytes} bytes unpacked")
            sink.write(chunk)
            progress(min(done / max(total, 1), 1.0))
    return done
