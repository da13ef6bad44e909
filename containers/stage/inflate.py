"""Decompress one entry of a ZIP in chunks of bounded size, by any method that common tools use (APPNOTE 4.4.5).

Python's zipfile supports four methods. Windows Explorer uses Deflate64 above 2 GB; 7-Zip and WinZip can use Zstandard
and XZ.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import inflate64
import zstandard

from contract.archive import Entry, Method
from contract.packed import CHUNK_BYTES, PLAIN, READ_BYTES, DamagedEntryError, Packed

DEFLATE64_READ_BYTES = 1 << 12  # inflate64 returns the whole output for its input: up to 20,000 times as many bytes
MAX_DICTIONARY_BYTES = 1 << 28  # the window that Zstandard and LZMA keep in memory
_BROKEN = (zlib.error, lzma.LZMAError, zstandard.ZstdError, EOFError, OSError, ValueError, RuntimeError, struct.error)


def chunks_of(archive: BinaryIO, entry: Entry) -> Iterator[bytes]:
    """Yield the entry's unpacked bytes.

    Raises DamagedEntryError, at the latest after the last chunk, for data that cannot be decompressed or whose size or
    checksum differs from the entry's.
    """
    left, check = entry.bytes, 0
    try:
        for chunk in _DECODERS[entry.method](Packed(archive, entry)):
            left -= len(chunk)
            check = zlib.crc32(chunk, check)
            if left < 0:
                raise DamagedEntryError(f"more than {entry.bytes} bytes")
            yield chunk
    except _BROKEN as error:
        raise DamagedEntryError(str(error)) from error
    if left or check != entry.crc:
        raise DamagedEntryError(f"{left} bytes missing" if left else "its checksum is wrong")


def _deflate64(packed: Packed) -> Iterator[bytes]:
    inflater = inflate64.Inflater()
    while not inflater.eof:
        yield inflater.inflate(packed.more(DEFLATE64_READ_BYTES))


def _zstandard(packed: Packed) -> Iterator[bytes]:
    decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_DICTIONARY_BYTES)
    source: Any = packed  # only its `read` is called
    with decompressor.stream_reader(source, read_size=READ_BYTES, read_across_frames=True) as reader:
        while chunk := reader.read(CHUNK_BYTES):
            yield chunk


def _bzip2(packed: Packed) -> Iterator[bytes]:
    return _bounded(packed, bz2.BZ2Decompressor())


def _xz(packed: Packed) -> Iterator[bytes]:
    return _bounded(packed, lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_DICTIONARY_BYTES))


def _lzma(packed: Packed) -> Iterator[bytes]:
    """LZMA (APPNOTE 5.8.8): the version (2 bytes), the size of the properties (2), lc, lp and pb in one byte, and the
    size of the dictionary (4).
    """
    size = struct.unpack("<2xH", packed.more(4))[0]
    lclppb, dictionary = struct.unpack_from("<BL", packed.more(size))
    if dictionary > MAX_DICTIONARY_BYTES:
        raise ValueError(f"a dictionary of {dictionary} bytes")
    rest, lc = divmod(lclppb, 9)
    pb, lp = divmod(rest, 5)
    options = {"id": lzma.FILTER_LZMA1, "dict_size": dictionary, "lc": lc, "lp": lp, "pb": pb}
    return _bounded(packed, lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[options]))


def _bounded(packed: Packed, decompressor: Any) -> Iterator[bytes]:
    """Decompress with one of the standard library's decompressors that bound the size of their output."""
    while not decompressor.eof:
        data = packed.read(READ_BYTES) if decompressor.needs_input else b""
        if decompressor.needs_input and not data:  # an LZMA stream may lack an end marker: `chunks_of` checks the size
            return
        yield decompressor.decompress(data, CHUNK_BYTES)


_DECODERS: dict[int, Callable[[Packed], Iterator[bytes]]] = {
    **PLAIN,
    Method.DEFLATE64: _deflate64,
    Method.BZIP2: _bzip2,
    Method.LZMA: _lzma,
    Method.ZSTANDARD: _zstandard,
    Method.XZ: _xz,
}
