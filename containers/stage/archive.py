"""A customer's ZIP unpacked by streaming, trusting nothing that it says about itself.

Names are checked before a byte is written (the paths of CWE-22, links of CWE-59); sizes are counted as they arrive,
for the central directory of a ZIP bomb lies (https://www.bamsoftware.com/hacks/zipbomb/).
"""

from __future__ import annotations

import lzma
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from stage.errors import ErrorCode, StageError

CHUNK_BYTES = 1 << 20
NESTED_SUFFIXES = frozenset({".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst"})
ENCRYPTED_FLAG = 0x1
LONGEST_NAME_BYTES = 255
# below this size a high ratio is only a small file of one colour
RATIO_MATTERS_ABOVE_BYTES = 16 << 20


class DamagedEntryError(Exception):
    """An entry's data cannot be read."""


@dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may hold: entries, unpacked bytes in all, and unpacked over packed bytes of a large entry."""

    entries: int = 20_000
    bytes: int = 64 << 30
    ratio: float = 100.0


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


def unpack(
    archive: Path,
    folder: Path,
    wanted: Callable[[PurePosixPath], bool],
    limits: ArchiveLimits = ArchiveLimits(),
    progress: Callable[[float], None] = lambda _share: None,
) -> Unpacked:
    """Unpack the entries that `wanted` accepts into `folder`, with their own relative paths.

    Folders, `__MACOSX/`, hidden files (`._*`, `.DS_Store`) and whatever `wanted` refuses are passed over. `progress`
    gets the share of bytes done, 0..1, after every chunk; it may raise to stop. On any error `folder` may hold some
    files.

    Raises StageError: NOT_A_ZIP, EMPTY_ARCHIVE, ENCRYPTED_ARCHIVE, UNSAFE_ARCHIVE (paths out of the folder, links,
    nested archives, two entries with one name, bomb ratio), ARCHIVE_TOO_LARGE.
    """
    try:
        opened = zipfile.ZipFile(archive)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, UnicodeDecodeError, ValueError) as error:
        raise StageError(ErrorCode.NOT_A_ZIP, f"{archive.name} is not a ZIP archive ({error})") from error
    with opened:
        entries = _checked(opened.infolist(), wanted, limits)
        total = sum(entry.file_size for _, entry in entries)
        unpacked = Unpacked()
        done = 0
        for name, entry in sorted(entries, key=lambda pair: str(pair[0])):
            path = folder / name
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                done = _write(opened, entry, path, done, total, limits, progress)
            except DamagedEntryError:
                path.unlink(missing_ok=True)
                unpacked.damaged.append(str(name))
            except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
                raise StageError(ErrorCode.UNSAFE_ARCHIVE, f"{name} is both a file and a folder") from error
            else:
                unpacked.files.append(UnpackedFile(str(name), path))
    return unpacked


def _checked(
    infos: list[zipfile.ZipInfo], wanted: Callable[[PurePosixPath], bool], limits: ArchiveLimits
) -> list[tuple[PurePosixPath, zipfile.ZipInfo]]:
    """The wanted entries with their safe relative paths."""
    if len(infos) > limits.entries:
        raise StageError(ErrorCode.ARCHIVE_TOO_LARGE, f"{len(infos)} entries; at most {limits.entries} are allowed")
    chosen: dict[PurePosixPath, zipfile.ZipInfo] = {}
    files = 0
    for info in infos:
        name = _safe_name(info)
        if info.is_dir() or is_clutter(name):
            continue
        files += 1
        if info.flag_bits & ENCRYPTED_FLAG:
            raise StageError(ErrorCode.ENCRYPTED_ARCHIVE, f"{name} is encrypted")
        if name.suffix.lower() in NESTED_SUFFIXES:
            raise StageError(ErrorCode.UNSAFE_ARCHIVE, f"{name} is an archive within the archive")
        if not wanted(name):
            continue
        if name in chosen:
            raise StageError(ErrorCode.UNSAFE_ARCHIVE, f"{name} is in the archive twice")
        _check_ratio(name, info.file_size, info.compress_size, limits)
        chosen[name] = info
    if files == 0:
        raise StageError(ErrorCode.EMPTY_ARCHIVE, "the archive holds no files")
    total = sum(info.file_size for info in chosen.values())
    if total > limits.bytes:
        raise StageError(ErrorCode.ARCHIVE_TOO_LARGE, f"{total} bytes unpacked; at most {limits.bytes} are allowed")
    return list(chosen.items())


def is_clutter(name: PurePosixPath) -> bool:
    """Whether an entry is what file managers leave behind: `__MACOSX/`, `._*`, `.DS_Store` and other hidden files."""
    return any(part == "__MACOSX" or part.startswith(".") for part in name.parts)


def _safe_name(info: zipfile.ZipInfo) -> PurePosixPath:
    # Windows tools write backslashes, against APPNOTE 4.4.17
    text = info.filename.replace("\\", "/")
    name = PurePosixPath(text)
    kind = stat.S_IFMT(info.external_attr >> 16)
    has_drive = bool(name.parts) and ":" in name.parts[0]
    if name.is_absolute() or has_drive or ".." in name.parts or not name.parts:
        raise StageError(ErrorCode.UNSAFE_ARCHIVE, f"{text!r} leads out of the archive's folder")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise StageError(ErrorCode.UNSAFE_ARCHIVE, f"{text!r} is a link or a device, not a file")
    if any(len(part.encode("utf-8", "replace")) > LONGEST_NAME_BYTES for part in name.parts):
        raise StageError(ErrorCode.UNSAFE_ARCHIVE, f"a name of {len(text)} characters is too long")
    return name


def _check_ratio(name: PurePosixPath, size: int, packed: int, limits: ArchiveLimits) -> None:
    if size > RATIO_MATTERS_ABOVE_BYTES and size > limits.ratio * max(packed, 1):
        raise StageError(ErrorCode.UNSAFE_ARCHIVE, f"{name} unpacks to more than {limits.ratio:.0f} times its size")


def _write(
    archive: zipfile.ZipFile,
    entry: zipfile.ZipInfo,
    path: Path,
    done: int,
    total: int,
    limits: ArchiveLimits,
    progress: Callable[[float], None],
) -> int:
    """Stream one entry to `path`; returns the bytes unpacked so far in all."""
    size = 0
    with path.open("xb") as sink:
        for chunk in _chunks(archive, entry):
            size += len(chunk)
            done += len(chunk)
            if done > limits.bytes:
                raise StageError(ErrorCode.ARCHIVE_TOO_LARGE, f"more than {limits.bytes} bytes unpacked")
            _check_ratio(PurePosixPath(entry.filename), size, entry.compress_size, limits)
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
        raise StageError(ErrorCode.NOT_A_ZIP, f"{entry.filename} is packed in a way not supported ({error})") from error
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
