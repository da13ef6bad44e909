"""A customer's ZIP unpacked by streaming, trusting nothing that it says about itself.

What the central directory shows is checked before a byte is written (contract/archive.py, as in the preflight); sizes
are counted again as they arrive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from contract.archive import LIMITS, Entry, Limits, RefusedArchive, Wanted, check, entries_of, nested_archives
from contract.packed import DamagedEntryError
from stage.errors import ErrorCode, StageError
from stage.inflate import chunks_of


@dataclass(frozen=True)
class UnpackedFile:
    """One entry: its name in the archive and where it lies now."""

    name: str
    path: Path


@dataclass(frozen=True)
class Unpacked:
    """The wanted files in order of their names; the names of entries whose data was damaged (skipped), and of archives
    within the archive (not opened).
    """

    files: list[UnpackedFile] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    nested: list[str] = field(default_factory=list)


def entries_in(archive: Path) -> list[Entry]:
    """What an archive lists. Raises StageError with the codes of contract.archive.entries_of."""
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
    folder: receives the files, with their own relative paths; on any error it may hold some.
    wanted: which files are unpacked, by their path in the archive.
    limits: entries, bytes and ratio that are refused beyond; by default those that preflight checks (contract.archive).
    progress: gets the share of bytes done, 0..1, after every chunk; it may raise to stop.
    listed: what `entries_in` has found, where `wanted` was decided by it; 5,000 photos are not listed again.

    Returns the files, the names of damaged entries, which are skipped, and those of archives within the archive.

    Raises StageError with the codes of contract.archive: entries_of, check.
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
    """Stream one entry to `path`; returns the bytes unpacked so far in all."""
    with path.open("xb") as sink:
        for chunk in chunks_of(archive, entry):
            done += len(chunk)
            if done > limits.bytes:
                raise StageError(ErrorCode.ARCHIVE_TOO_LARGE, f"more than {limits.bytes} bytes unpacked")
            sink.write(chunk)
            progress(min(done / max(total, 1), 1.0))
    return done
