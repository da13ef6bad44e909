"""ZIPs as customers send them, and malformed ones: central directories written by hand, entry by entry."""

from __future__ import annotations

import bz2
import io
import lzma
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import inflate64
import zstandard

from contract.archive import Method

ENCRYPTED, UTF8 = 0x1, 0x800
MS_DOS, UNIX = 0, 3
FITS_32_BITS = 0xFFFFFFFF


def zip_of(files: Mapping[str, bytes] | Iterable[str]) -> bytes:
    """A real ZIP; entries given only by name get 100 bytes each. Names that end in / are folders."""
    contents = files if isinstance(files, Mapping) else {name: b"" if name[-1] == "/" else b"x" * 100 for name in files}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, body in contents.items():
            archive.writestr(zipfile.ZipInfo(name), body)
    return buffer.getvalue()


def photos(count: int, pattern: str = "DJI_{:04d}.JPG") -> list[str]:
    return [pattern.format(number) for number in range(1, count + 1)]


TWO_PHOTOS = zip_of(photos(2))  # too few for a scene
SIX_PHOTOS = zip_of(photos(6))


@dataclass(frozen=True)
class Listed:
    """One entry of a central directory, with any claims; the archive contains no data for it."""

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


@dataclass(frozen=True)
class Packed:
    """An entry as some tool packs it: its name in the tool's encoding, and its body packed by `method`."""

    name: bytes
    body: bytes
    method: int = Method.DEFLATE
    flags: int = 0
    system: int = UNIX
    extra: bytes = b""
    mode: int = stat.S_IFREG | 0o644

    @property
    def data(self) -> bytes:
        return _packed_by(self.method, self.body)


def archive_of(entries: Iterable[Packed]) -> bytes:
    """A ZIP of these entries, byte by byte."""
    listed = list(entries)
    body, directory = b"", b""
    for entry in listed:
        data = entry.data
        sizes = (zlib.crc32(entry.body), len(data), len(entry.body), len(entry.name), len(entry.extra))
        common = struct.pack("<5H3L2H", 20, entry.flags, entry.method, 0, 0x21, *sizes)
        made_by = struct.pack("<2B", 20, entry.system)
        rest = struct.pack("<3H2L", 0, 0, 0, entry.mode << 16, len(body))
        directory += b"PK\1\2" + made_by + common + rest + entry.name + entry.extra
        body += b"PK\3\4" + common + entry.name + entry.extra + data
    return (
        body
        + directory
        + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, len(listed), len(listed), len(directory), len(body), 0)
    )


def _packed_by(method: int, body: bytes) -> bytes:
    if method == Method.DEFLATE:
        packer = zlib.compressobj(wbits=-15)
        return packer.compress(body) + packer.flush()
    if method == Method.DEFLATE64:
        deflater = inflate64.Deflater()
        return bytes(deflater.deflate(body) + deflater.flush())
    if method == Method.BZIP2:
        return bz2.compress(body)
    if method == Method.LZMA:
        options = {"id": lzma.FILTER_LZMA1, "dict_size": 1 << 16, "lc": 3, "lp": 0, "pb": 2}
        return struct.pack("<BBHBL", 9, 4, 5, 93, 1 << 16) + lzma.compress(body, lzma.FORMAT_RAW, filters=[options])
    if method == Method.ZSTANDARD:
        return zstandard.ZstdCompressor().compress(body)
    return lzma.compress(body, lzma.FORMAT_XZ) if method == Method.XZ else body


def directory_of(listed: Iterable[Listed]) -> bytes:
    """A ZIP that consists only of its central directory; zip64 if it has too many entries for the plain format."""
    records = [entry.record() for entry in listed]
    directory, count = b"".join(records), len(records)
    zip64 = b""
    if count > 0xFFFF:
        end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(directory), 0)
        zip64 = end64 + struct.pack("<4sLQL", b"PK\6\7", 0, len(directory), 1)
    short = min(count, 0xFFFF)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, short, short, len(directory), 0, 0)
    return directory + zip64 + end
