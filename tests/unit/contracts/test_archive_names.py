"""Names in ZIPs are read as they were typed, whatever tool and system wrote them."""

from __future__ import annotations

import io
import struct
import unicodedata
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.archive import entries_of
from tests.support.archives import MS_DOS, UTF8, Packed, archive_of


def names(*raw: bytes, flags: int = 0, system: int = MS_DOS) -> list[str]:
    body = archive_of(Packed(name, b"x", flags=flags, system=system) for name in raw)
    return [str(entry.path) for entry in entries_of(io.BytesIO(body))]


@pytest.mark.parametrize(
    ("typed", "encoding"),
    [
        ("Dachfläche_01.JPG", "utf-8"),  # Finder, without the flag
        ("Flug 3:4 Süd/DJI_0001.JPG", "utf-8"),
        ("Müllers Äcker/Grüße_ß.jpg", "cp437"),  # old versions of Explorer
        ("café/été à Évora.jpg", "cp437"),
        ("空撮01_予定表.JPG", "cp932"),  # its last letter ends in the byte of a backslash
        ("ソーラー/能力表示.jpg", "cp932"),
        ("屋根.jpg", "cp932"),
        ("плотина.jpg", "utf-8"),
    ],
)
def test_names_without_the_utf8_flag_are_read_as_they_were_typed(typed: str, encoding: str) -> None:
    assert names(typed.encode(encoding), b"plain.jpg") == [typed, "plain.jpg"]


def test_backslashes_are_folders_but_not_within_a_letter() -> None:
    assert names("飛行\\予定表.jpg".encode("cp932")) == ["飛行/予定表.jpg"]
    assert names(b"DCIM\\100MEDIA\\DJI_0001.JPG") == ["DCIM/100MEDIA/DJI_0001.JPG"]


def test_all_names_of_an_archive_are_read_in_one_encoding() -> None:
    """By itself, the first name would be Latin letters in CP437."""
    assert names("Süd.jpg".encode(), "плотина.jpg".encode()) == ["Süd.jpg", "плотина.jpg"]


@pytest.mark.parametrize("flags", [0, UTF8])
def test_accents_that_macos_takes_apart_are_put_together(flags: int) -> None:
    typed = "Dachfläche/Straßenzug é.jpg"
    assert names(unicodedata.normalize("NFD", typed).encode(), flags=flags) == [typed]


def test_a_name_in_the_unicode_path_field_counts_if_it_belongs_to_the_entrys() -> None:
    raw, typed = b"Dachflache.jpg" + b"\xff", "Dachfläche.jpg"
    for crc, found in ((zlib.crc32(raw), typed), (1, raw.decode("cp437"))):
        field = struct.pack("<HHBL", 0x7075, 5 + len(typed.encode()), 1, crc) + typed.encode()
        body = archive_of([Packed(raw, b"x", extra=struct.pack("<HH", 0x5455, 0) + field)])
        assert [entry.name for entry in entries_of(io.BytesIO(body))] == [found]


@pytest.mark.parametrize("name", [b"./DCIM/1.jpg", b"DCIM/./1.jpg", b"DCIM//1.jpg"])
def test_dots_that_mean_nothing_are_left_out(name: bytes) -> None:
    assert names(name) == ["DCIM/1.jpg"]


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=5))
def test_any_bytes_are_some_name(raw: list[bytes]) -> None:
    assert len(entries_of(io.BytesIO(archive_of(Packed(name, b"x") for name in raw)))) == len(raw)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\\"), min_size=1, max_size=20), max_size=5))
def test_utf8_is_read_with_and_without_its_flag(typed: list[str]) -> None:
    composed = [unicodedata.normalize("NFC", name) for name in typed]
    for flags in (0, UTF8):
        body = archive_of(Packed(name.encode(), b"x", flags=flags) for name in typed)
        assert [entry.name for entry in entries_of(io.BytesIO(body))] == composed
