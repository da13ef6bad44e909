"""ZIPs as customers send them, and as nobody should: central directories written by hand, entry by entry."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

ENCRYPTED, UTF8 = 0x1, 0x800
MS_DOS, UNIX = 0, 3
FITS_32_BITS = 0xFFFFFFFF


def zip_of(files: Mapping[str, bytes] | Iterable[str]) -> bytes:
    """A real ZIP; names alone get 100 bytes each. Names that end in / are folders."""
    contents = files if isinstance(files, Mapping) else {name: b"" if name[-1] == "/" else b"x" * 100 for name in files}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, body in contents.items():
            archive.writestr(zipfile.ZipInfo(name), body)
    return buffer.getvalue()


def photos(count: int, pattern: str = "DJI_{:04d}.JPG") -> list[str]:
    return [pattern.format(number) for number in range(1, count + 1)]


@dataclass(frozen=True)
class Listed:
    """One line of a central directory: whatever it claims, nothing stands behind it."""

    name: str
    size: int = 100
    packed: int = 100
    flags: int = UTF8
    system: int = UNIX
    mode: int = stat.S_IFREG | 0o644
    needs_version: int = 20

    def record(self) -> bytes:
        name = self.name.encode()
        large = max(self.size, self.packed) >= FITS_32_BITS
        extra = struct.pack("<HHQQ", 1, 16, self.size, self.packed) if large else b""
        short_packed, short_size = (FITS_32_BITS,) * 2 if large else (self.packed, self.size)
        fixed = struct.pack(
            "<4s4B4H3L5H2L",
            *(b"PK\1\2", 20, self.system, self.needs_version, 0, self.flags, 0, 0, 0x21, 0, short_packed, short_size),
            *(len(name), len(extra), 0, 0, 0, self.mode << 16, 0),
        )
        return fixed + name + extra


def directory_of(listed: Iterable[Listed]) -> bytes:
    """A ZIP that is nothing but its central directory; zip64 where there are too many entries for the plain one."""
    records = [entry.record() for entry in listed]
    directory, count = b"".join(records), len(records)
    zip64 = b""
    if count > 0xFFFF:
        end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(directory), 0)
        zip64 = end64 + struct.pack("<4sLQL", b"PK\6\7", 0, len(directory), 1)
    short = min(count, 0xFFFF)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, short, short, len(directory), 0, 0)
    return directory + zip64 + end
