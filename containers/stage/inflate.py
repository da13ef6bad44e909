"""The bytes of one entry of a ZIP, by any of the methods that tools write (APPNOTE 4.4.5), in chunks of bounded size.

Python's zipfile knows four of them; Windows Explorer writes Deflate64 from 2 GB on, 7-Zip and WinZip Zstandard and XZ.
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

CHUNK_BYTES = 1 << 20
READ_BYTES = 1 << 16
DEFLATE64_READ_BYTES = 1 << 12  # it gives all that its input unpacks to, up to 20,000 times as much
MAX_DICTIONARY_BYTES = 1 << 28  # what Zstandard and LZMA look back over, in memory
_BROKEN = (zlib.error, lzma.LZMAError, zstandard.ZstdError, EOFError, OSError, ValueError, RuntimeError, struct.error)
_HEADER = struct.Struct("<4s22xHH")  # APPNOTE 4.3.7; the rest comes from the central directory


class DamagedEntryError(Exception):
    """An entry's data cannot be read."""


def chunks_of(archive: BinaryIO, entry: Entry) -> Iterator[bytes]:
    """The entry's unpacked bytes. Raises DamagedEntryError, at the latest after the last chunk."""
    left, check = entry.bytes, 0
    try:
        for chunk in _DECODERS[entry.method](_Packed(archive, entry)):
            left -= len(chunk)
            check = zlib.crc32(chunk, check)
            if left < 0:
                raise DamagedEntryError(f"more than {entry.bytes} bytes")
            yield chunk
    except _BROKEN as error:
        raise DamagedEntryError(str(error)) from error
    if left or check != entry.crc:
        raise DamagedEntryError(f"{left} bytes missing" if left else "its checksum is another")


class _Packed:
    """The packed bytes of one entry, as a file."""

    def __init__(self, archive: BinaryIO, entry: Entry) -> None:
        archive.seek(entry.offset)
        signature, name_bytes, extra_bytes = _HEADER.unpack(archive.read(_HEADER.size))
        if signature != b"PK\3\4":
            raise DamagedEntryError("no entry where the central directory says")
        archive.seek(name_bytes + extra_bytes, 1)
        self._archive, self._left = archive, entry.packed_bytes

    def read(self, size: int) -> bytes:
        data = self._archive.read(min(size, self._left))
        self._left -= len(data)
        return data

    def more(self, size: int) -> bytes:
        """Raises EOFError instead of returning nothing."""
        data = self.read(size)
        if not data:
            raise EOFError("the packed data end too soon")
        return data


def _stored(packed: _Packed) -> Iterator[bytes]:
    while chunk := packed.read(CHUNK_BYTES):
        yield chunk


def _deflate(packed: _Packed) -> Iterator[bytes]:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    chunk = b""
    while not inflater.eof:
        may_hold_more = len(chunk) == CHUNK_BYTES  # in its window, with all of its input consumed
        data = inflater.unconsumed_tail or (b"" if may_hold_more else packed.more(READ_BYTES))
        chunk = inflater.decompress(data, CHUNK_BYTES)
        yield chunk


def _deflate64(packed: _Packed) -> Iterator[bytes]:
    inflater = inflate64.Inflater()
    while not inflater.eof:
        yield inflater.inflate(packed.more(DEFLATE64_READ_BYTES))


def _zstandard(packed: _Packed) -> Iterator[bytes]:
    decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_DICTIONARY_BYTES)
    source: Any = packed  # `read` is all that is called
    with decompressor.stream_reader(source, read_size=READ_BYTES, read_across_frames=True) as reader:
        while chunk := reader.read(CHUNK_BYTES):
            yield chunk


def _bzip2(packed: _Packed) -> Iterator[bytes]:
    return _bounded(packed, bz2.BZ2Decompressor())


def _xz(packed: _Packed) -> Iterator[bytes]:
    return _bounded(packed, lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_DICTIONARY_BYTES))


def _lzma(packed: _Packed) -> Iterator[bytes]:
    """APPNOTE 5.8.8: two bytes of version, two of the properties' size, then lc, lp and pb in one, and the dictionary's
    size.
    """
    size = struct.unpack("<2xH", packed.more(4))[0]
    lclppb, dictionary = struct.unpack_from("<BL", packed.more(size))
    if dictionary > MAX_DICTIONARY_BYTES:
        raise ValueError(f"a dictionary of {dictionary} bytes")
    rest, lc = divmod(lclppb, 9)
    pb, lp = divmod(rest, 5)
    options = {"id": lzma.FILTER_LZMA1, "dict_size": dictionary, "lc": lc, "lp": lp, "pb": pb}
    return _bounded(packed, lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[options]))


def _bounded(packed: _Packed, decompressor: Any) -> Iterator[bytes]:
    """With one of the standard library's decompressors that give no more than they are asked for."""
    while not decompressor.eof:
        data = packed.read(READ_BYTES) if decompressor.needs_input else b""
        if decompressor.needs_input and not data:  # LZMA need not mark its end: the entry's size does
            return
        yield decompressor.decompress(data, CHUNK_BYTES)


_DECODERS: dict[int, Callable[[_Packed], Iterator[bytes]]] = {
    Method.STORED: _stored,
    Method.DEFLATE: _deflate,
    Method.DEFLATE64: _deflate64,
    Method.BZIP2: _bzip2,
    Method.LZMA: _lzma,
    Method.ZSTANDARD: _zstandard,
    Method.XZ: _xz,
}
