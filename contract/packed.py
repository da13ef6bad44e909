"""The bytes of one entry of a ZIP (APPNOTE 4.3.7, 4.4.5), stored or by Deflate: what the standard library unpacks in
bounded memory. The containers add the other methods (stage/inflate.py).
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

from contract.archive import Entry, Method

CHUNK_BYTES = 1 << 20
READ_BYTES = 1 << 16
_HEADER = struct.Struct("<4s22xHH")  # the rest comes from the central directory


class DamagedEntryError(Exception):
    """An entry's data cannot be read."""


class Packed:
    """The packed bytes of one entry, as a file; `left`: how many are still to come.

    Raises DamagedEntryError, struct.error if its header is invalid.
    """

    def __init__(self, archive: BinaryIO, entry: Entry) -> None:
        # a directory that lies about where it begins moves every entry, to before the archive's start as well
        if not 0 <= entry.offset < archive.seek(0, io.SEEK_END):
            raise DamagedEntryError("no entry where the central directory says")
        archive.seek(entry.offset)
        signature, name_bytes, extra_bytes = _HEADER.unpack(archive.read(_HEADER.size))
        if signature != b"PK\3\4":
            raise DamagedEntryError("no entry where the central directory says")
        self.start = archive.seek(name_bytes + extra_bytes, 1)
        self._archive, self.left = archive, entry.packed_bytes

    def read(self, size: int) -> bytes:
        data = self._archive.read(min(size, self.left))
        self.left -= len(data)
        return data

    def more(self, size: int) -> bytes:
        """Raises EOFError instead of returning nothing."""
        data = self.read(size)
        if not data:
            raise EOFError("the packed data end too soon")
        return data


def stored(packed: Packed) -> Iterator[bytes]:
    while chunk := packed.read(CHUNK_BYTES):
        yield chunk


def inflated(packed: Packed) -> Iterator[bytes]:
    """Raises zlib.error, EOFError."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    chunk = b""
    while not inflater.eof:
        may_hold_more = len(chunk) == CHUNK_BYTES  # in its window, with all of its input consumed
        data = inflater.unconsumed_tail or (b"" if may_hold_more else packed.more(READ_BYTES))
        chunk = inflater.decompress(data, CHUNK_BYTES)
        yield chunk


PLAIN: dict[int, Callable[[Packed], Iterator[bytes]]] = {Method.STORED: stored, Method.DEFLATE: inflated}
