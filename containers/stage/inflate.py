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
from contract.packed import CHUNK_BYTES, PLAIN, READ_BYTES, DamagedEntryError, Packed

DEFLATE64_READ_BYTES = 1 << 12  # it gives all that its input unpacks to, up to 20,000 times as much
MAX_DICTIONARY_BYTES = 1 << 28  # what Zstandard and LZMA look back over, in memory
_BROKEN = (zlib.error, lzma.LZMAError, zstandard.ZstdError, EOFError, OSError, ValueError, RuntimeError, struct.error)


def chunks_of(archive: BinaryIO, entry: Entry) -> Iterator[bytes]:
    """The entry's unpacked bytes. Raises DamagedEntryError, at the latest after the last chunk."""
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
        raise DamagedEntryError(f"{left} bytes missing" if left else "its checksum is another")


def _deflate64(packed: Packed) -> Iterator[bytes]:
    inflater = inflate64.Inflater()
    while not inflater.eof:
        yield inflater.inflate(packed.more(DEFLATE64_READ_BYTES))


def _zstandard(packed: Packed) -> Iterator[bytes]:
    decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_DICTIONARY_BYTES)
    source: Any = packed  # `read` is all that is called
    with decompressor.stream_reader(source, read_size=READ_BYTES, read_across_frames=True) as reader:
        while chunk := reader.read(CHUNK_BYTES):
            yield chunk


def _bzip2(packed: Packed) -> Iterator[bytes]:
    return _bounded(packed, bz2.BZ2Decompressor())


def _xz(packed: Packed) -> Iterator[bytes]:
    return _bounded(packed, lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_DICTIONARY_BYTES))


def _lzma(packed: Packed) -> Iterator[bytes]:
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


def _bounded(packed: Packed, decompressor: Any) -> Iterator[bytes]:
    """With one of the standard library's decompressors that give no more than they are asked for."""
    while not decompressor.eof:
        data = packed.read(READ_BYTES) if decompressor.needs_input else b""
        if decompressor.needs_input and not data:  # LZMA need not mark its end: the entry's size does
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
