"""The names in a ZIP as they were typed, whatever its tool wrote them in.

APPNOTE 4.4.4 (bit 11) and 4.6.9 say how UTF-8 is marked; macOS writes it without the mark, and older tools write the
code page of their system.
"""

from __future__ import annotations

import re
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Collection, Sequence

_UTF8 = 0x800
_UNICODE_PATH = 0x7075
# what Japanese file names are made of: kana, kanji, full-width forms, their punctuation
_JAPANESE = re.compile(r"[\x00-\x7f\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uff9f]*")


def names_of(infos: Sequence[zipfile.ZipInfo]) -> list[str]:
    """The entries' names, composed (NFC): macOS takes letters and accents apart, lists of control points do not."""
    unmarked = {
        index: info.orig_filename.encode("cp437")  # as zipfile decodes what is not marked
        for index, info in enumerate(infos)
        if not info.flag_bits & _UTF8 and not info.orig_filename.isascii()
    }
    encoding = _encoding(unmarked.values())
    return [
        unicodedata.normalize(
            "NFC",
            (_unicode_path(info.extra, unmarked[index]) or unmarked[index].decode(encoding))
            if index in unmarked
            else info.orig_filename,
        )
        for index, info in enumerate(infos)
    ]


def _encoding(names: Collection[bytes]) -> str:
    """What all of the names can be read in: UTF-8, which other text almost never is; else cp437 where that gives Latin
    letters alone; else cp932 where that gives Japanese.
    """
    if _all_decode(names, "utf-8"):
        return "utf-8"
    western = set().union(*(name.decode("cp437") for name in names))
    if all(letter.isascii() or unicodedata.name(letter, "").startswith("LATIN ") for letter in western):
        return "cp437"
    if _all_decode(names, "cp932") and all(_JAPANESE.fullmatch(name.decode("cp932")) for name in names):
        return "cp932"
    return "cp437"


def _all_decode(names: Collection[bytes], encoding: str) -> bool:
    try:
        for name in names:
            name.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _unicode_path(extra: bytes, name: bytes) -> str | None:
    """The name in the Info-ZIP Unicode Path field, if the entry has one that was written for its name."""
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == _UNICODE_PATH and len(field) > 5 and field[:5] == b"\1" + struct.pack("<L", zlib.crc32(name)):
            try:
                return field[5:].decode("utf-8")
            except UnicodeDecodeError:
                return None
    return None
