"""What a customer's ZIP may hold. Preflight (from the central directory alone) and the containers call one `check`.

Names are checked for paths out of the folder (CWE-22) and links (CWE-59), sizes for bombs
(https://www.bamsoftware.com/hacks/zipbomb/: files of one archive may share their packed bytes).
"""

from __future__ import annotations

import re
import stat
import struct
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from itertools import pairwise
from pathlib import PurePosixPath
from typing import BinaryIO

from contract.codes import ErrorCode
from contract.names import names_of
from contract.wanted import Wanted, is_side_file

MAX_NAME_BYTES = 255  # of each part of a path, in UTF-8: what file systems take
MAX_PATH_BYTES = 2048
MAX_FOLDERS = 100  # within each other: code that creates or walks folders recurses once per level
SHOWN = 60  # characters of a name in a message
_UNIX = (3, 19)  # systems of APPNOTE 4.4.2 whose attributes hold a Unix mode
_ENCRYPTED = 0x1
_END = struct.Struct("<4sH14xH")  # APPNOTE 4.3.16: the record that ends a ZIP, the number of its part, the comment
_MAX_END_BYTES = 22 + 0xFFFF
# what customers take for ZIPs, by their first bytes
_OTHERS = {
    b"Rar!": "a RAR archive", b"7z\xbc\xaf": "a 7z archive", b"\x1f\x8b": "a gzip file", b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file", b"\x28\xb5\x2f\xfd": "a Zstandard file", b"%PDF": "a PDF", b"<": "a web page",
}  # fmt: skip
ARCHIVE_SUFFIXES = frozenset({".zip", ".zipx", ".7z", ".rar", ".tar", ".tgz", ".tbz2", ".txz", ".tzst"})
_DRIVE = re.compile(r"[A-Za-z]:(/|$)")


class Method(IntEnum):
    """How entries may be packed (APPNOTE 4.4.5): what the containers unpack."""

    STORED = 0
    DEFLATE = 8
    DEFLATE64 = 9
    BZIP2 = 12
    LZMA = 14
    ZSTANDARD = 93
    XZ = 95


METHODS = frozenset(Method)


@dataclass(frozen=True)
class Limits:
    """`entries`: of the central directory, folders included; `parts`: of all their names; `bytes`: of the wanted
    files, unpacked; `ratio`: unpacked to packed, of all wanted files once they are more than `ratio_above` bytes.
    Deflate cannot shrink a photo tenfold; a bomb shrinks a thousandfold."""

    entries: int = 50_000
    parts: int = 500_000
    bytes: int = 64 * 1024**3
    ratio: float = 100.0
    ratio_above: int = 100 * 1024**2


LIMITS = Limits()


class RefusedArchive(Exception):
    """Why an archive is not opened: a code of the closed list, and the facts."""

    def __init__(self, code: ErrorCode, facts: str) -> None:
        super().__init__(f"{code}: {facts}")
        self.code, self.facts = code, facts


@dataclass(frozen=True)
class Entry:
    """An entry of a ZIP as its central directory describes it, its name as it was typed.

    `mode`: its Unix mode, 0 where it has none; `crc`: of its bytes; `offset`: of its own header in the archive.
    """

    name: str
    bytes: int
    packed_bytes: int
    encrypted: bool = False
    mode: int = 0
    method: int = Method.DEFLATE
    crc: int = 0
    offset: int = 0

    @classmethod
    def of(cls, info: zipfile.ZipInfo, name: str) -> Entry:
        return cls(
            name=name,
            bytes=info.file_size,
            packed_bytes=info.compress_size,
            encrypted=bool(info.flag_bits & _ENCRYPTED),
            mode=info.external_attr >> 16 if info.create_system in _UNIX else 0,
            method=info.compress_type,
            crc=info.CRC,
            offset=info.header_offset,
        )

    @property
    def plain_name(self) -> str:
        """With the slashes of APPNOTE 4.4.17: some Windows tools write backslashes."""
        return self.name.replace("\\", "/")

    @cached_property
    def path(self) -> PurePosixPath:
        return PurePosixPath(self.plain_name)

    @property
    def is_folder(self) -> bool:
        return self.plain_name.endswith("/")

    @property
    def suffix(self) -> str:
        return self.path.suffix.lower()


def entries_of(archive: BinaryIO) -> list[Entry]:
    """The entries of a ZIP; reads its end, and its first bytes if it is not a ZIP.

    Raises RefusedArchive: NOT_A_ZIP, UNSUPPORTED_ARCHIVE.
    """
    if _is_part(archive):
        raise RefusedArchive(ErrorCode.UNSUPPORTED_ARCHIVE, "the ZIP is split, and this is its last part")
    try:
        with zipfile.ZipFile(archive) as opened:
            infos = opened.infolist()
    except UnicodeDecodeError as error:
        facts = "a file name is marked as UTF-8 but is not valid UTF-8"
        raise RefusedArchive(ErrorCode.UNSUPPORTED_ARCHIVE, facts) from error
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, ValueError) as error:
        raise RefusedArchive(ErrorCode.NOT_A_ZIP, _kind(archive) or str(error)) from error
    return [Entry.of(info, name) for info, name in zip(infos, names_of(infos), strict=True)]


def _is_part(archive: BinaryIO) -> bool:
    """Whether a file ends as the last of several parts of a ZIP does."""
    size = archive.seek(0, 2)
    archive.seek(max(size - _MAX_END_BYTES, 0))
    end = archive.read(_MAX_END_BYTES)
    at = end.rfind(b"PK\5\6")
    if at < 0 or len(end) < at + _END.size:
        return False
    _, part, comment_bytes = _END.unpack_from(end, at)
    return part not in (0, 0xFFFF) and len(end) == at + _END.size + comment_bytes


def _kind(archive: BinaryIO) -> str:
    """What a file that is not a ZIP is, by its first bytes."""
    archive.seek(0)
    start = archive.read(8)
    return next((f"it is {kind}" for magic, kind in _OTHERS.items() if start.startswith(magic)), "")


def check(entries: Sequence[Entry], archive_bytes: int, wanted: Wanted, limits: Limits = LIMITS) -> list[Entry]:
    """The entries that are to be unpacked: those that `wanted` accepts, in the archive's order.

    Folders, files of the operating system and whatever `wanted` refuses, archives within the archive among them, are
    passed over. Of several entries with one name the last counts, as in other tools. `archive_bytes`: the size of the
    ZIP itself.

    Raises RefusedArchive: EMPTY_ARCHIVE, UNSAFE_ARCHIVE, ENCRYPTED_ARCHIVE, UNSUPPORTED_ARCHIVE, ARCHIVE_TOO_LARGE.
    """
    if len(entries) > limits.entries:
        raise RefusedArchive(ErrorCode.ARCHIVE_TOO_LARGE, f"{len(entries)} entries of at most {limits.entries}")
    parts = sum(entry.plain_name.count("/") + 1 for entry in entries)
    if parts > limits.parts:  # every folder of every name is looked up
        raise RefusedArchive(ErrorCode.ARCHIVE_TOO_LARGE, f"{parts} path components in total, at most {limits.parts}")
    files = [entry for entry in entries if not entry.is_folder]
    for entry in files:
        _check_name(entry)
    own = [entry for entry in files if not is_side_file(entry.path)]
    if files and not own:
        facts = f"{len(files)} files, all hidden or the operating system's own, such as {files[0].plain_name}"
        raise RefusedArchive(ErrorCode.EMPTY_ARCHIVE, facts)
    if not own:
        raise RefusedArchive(ErrorCode.EMPTY_ARCHIVE, f"{len(entries)} entries, no files")
    for entry in own:
        if entry.encrypted:
            raise RefusedArchive(ErrorCode.ENCRYPTED_ARCHIVE, entry.name)
    chosen = list({str(entry.path): entry for entry in own if wanted(entry.path)}.values())
    _check_folders(chosen)
    for entry in chosen:
        if entry.method not in METHODS:
            raise RefusedArchive(ErrorCode.UNSUPPORTED_ARCHIVE, f"{entry.name} is packed by method {entry.method}")
    _check_sizes(chosen, archive_bytes, limits)
    return chosen


def nested_archives(entries: Iterable[Entry]) -> list[str]:
    """The names of archives within the archive, which are not opened."""
    return [
        str(entry.path)
        for entry in entries
        if not entry.is_folder
        and not is_side_file(entry.path)
        and (entry.suffix in ARCHIVE_SUFFIXES or ".tar." in entry.path.name.lower())
    ]


def inner_name(name: str) -> PurePosixPath:
    """The relative path that `name` is, with forward slashes: COLMAP on Windows writes the others.

    Raises ValueError where it is absolute, climbs, names a drive, holds a control character or is longer than file
    systems take (CWE-22).
    """
    if len(name) > MAX_PATH_BYTES:  # before it is taken apart
        raise ValueError(f"a name of {len(name)} characters is too long")
    plain = name.replace("\\", "/")
    path = PurePosixPath(plain)
    if _leads_out(path, plain):
        raise ValueError(f"the name {name[:SHOWN]!r} leads out of its folder")
    if re.search(r"[\x00-\x1f\x7f]", name):
        raise ValueError(f"the name {name[:SHOWN]!r} holds control characters")
    if not _fits(str(path)) or len(path.parts) > MAX_FOLDERS:
        raise ValueError(f"a name of {len(name)} characters is too long")
    return path


def _leads_out(path: PurePosixPath, plain: str) -> bool:
    """Whether a path, with forward slashes as `plain`, may lie outside of the folder that it is relative to."""
    return not path.parts or path.is_absolute() or ".." in path.parts or _DRIVE.match(plain) is not None


def _fits(path: str) -> bool:
    """Whether file systems take a relative path, and each of its parts."""
    encoded = path.encode("utf-8", "surrogateescape")
    if len(encoded) < MAX_NAME_BYTES:
        return True
    return len(encoded) < MAX_PATH_BYTES and max(map(len, encoded.split(b"/"))) <= MAX_NAME_BYTES


def _check_name(entry: Entry) -> None:
    path = entry.path
    if _leads_out(path, entry.plain_name) or "\0" in entry.name:
        raise RefusedArchive(ErrorCode.UNSAFE_ARCHIVE, f"{entry.name!r} leads out of the archive's folder")
    if stat.S_IFMT(entry.mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise RefusedArchive(ErrorCode.UNSAFE_ARCHIVE, f"{entry.name!r} is a link or a device, not a file")
    if not _fits(str(path)):
        raise RefusedArchive(ErrorCode.UNSAFE_ARCHIVE, f"a name of {len(entry.name)} characters is too long")
    folders = len(path.parts) - 1
    if folders >= MAX_FOLDERS:
        raise RefusedArchive(ErrorCode.UNSAFE_ARCHIVE, f"a file lies in {folders} folders within each other")


def _check_folders(chosen: Sequence[Entry]) -> None:
    """Refuse a file that another lies in. Sorted with the separator before every letter, the two are neighbours."""
    files = sorted(str(entry.path).replace("/", "\0") + "\0" for entry in chosen)
    for file, following in pairwise(files):
        if following.startswith(file):
            name = file[:-1].replace("\0", "/")
            raise RefusedArchive(ErrorCode.UNSAFE_ARCHIVE, f"{name} is both a file and a folder")


def _check_sizes(chosen: Sequence[Entry], archive_bytes: int, limits: Limits) -> None:
    unpacked = sum(entry.bytes for entry in chosen)
    packed = min(sum(entry.packed_bytes for entry in chosen), archive_bytes)
    bomb = unpacked > limits.ratio_above and unpacked > limits.ratio * max(packed, 1)
    if unpacked > limits.bytes or bomb:
        raise RefusedArchive(
            ErrorCode.ARCHIVE_TOO_LARGE, f"{len(chosen)} files, {packed} bytes that unpack to {unpacked}"
        )
