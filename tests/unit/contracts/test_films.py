"""The header of a film: what is accepted and what is refused, the same for a file and for ranged reads of an object."""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.codes import ErrorCode
from contract.films import (
    MAX_BOXES,
    MAX_SECONDS,
    MIN_SIDE,
    RefusedFilm,
    begins_as_film,
    check_film,
    clock,
    is_cut_off,
    read_header,
)
from tests.support.films import WIDTH, film_bytes, marked_spherical, small_film


@pytest.fixture(scope="module")
def film() -> bytes:
    """A film with its index at the end, as cameras write it."""
    return film_bytes()


def refusal(body: bytes) -> ErrorCode:
    with pytest.raises(RefusedFilm) as caught:
        check_film(io.BytesIO(body))
    return caught.value.code


def changed(film: bytes, kind: bytes, offset: int, value: bytes) -> bytes:
    at = film.index(kind) + 4 + offset
    return film[:at] + value + film[at + len(value) :]


def test_a_good_film_is_described(film: bytes) -> None:
    header = check_film(io.BytesIO(film))
    assert header.seconds == pytest.approx(4.0, abs=0.15)
    assert (header.width, header.codec, header.panoramic) == (WIDTH, "avc1", False)


class CountingReads(io.BytesIO):
    """Counts the bytes that were requested."""

    asked = 0

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        self.asked += len(found)
        return found


def test_the_pictures_are_not_read(film: bytes) -> None:
    """They may be gigabytes in S3."""
    start = film.index(b"mdat") - 4
    size = struct.unpack(">I", film[start : start + 4])[0]
    padding = bytes(4 << 20)
    stream = CountingReads(
        film[:start] + struct.pack(">I", size + len(padding)) + b"mdat" + padding + film[start + 8 :]
    )
    assert check_film(stream).width == WIDTH
    assert stream.asked < 4096


def test_a_film_whose_index_comes_first_says_that_it_is_cut_off(tmp_path: Path) -> None:
    small_film(tmp_path / "film.mp4", index_first=True)
    body = (tmp_path / "film.mp4").read_bytes()
    assert not is_cut_off(io.BytesIO(body))
    assert is_cut_off(io.BytesIO(body[: len(body) * 2 // 3]))
    assert check_film(io.BytesIO(body[: len(body) * 2 // 3])).width == WIDTH


def test_behind_the_index_nothing_is_read() -> None:
    """A long film in fragments has more boxes than are ever examined."""
    fragments = struct.pack(">I4s8x", 16, b"moof") + struct.pack(">I4s8x", 16, b"mdat")
    stream = CountingReads(film_bytes(index_first=True) + fragments * MAX_BOXES)
    assert check_film(stream).width == WIDTH
    assert stream.asked < 4096


def test_a_box_ends_with_what_it_lies_in(film: bytes, tmp_path: Path) -> None:
    """A file on a disk has no position beyond 2^63."""
    inner = struct.pack(">I4sQ", 1, b"mdia", 2**64 - 1) + struct.pack(">I4sQ", 1, b"free", 2**63 + 10)
    trak = struct.pack(">I4s", 8 + len(inner), b"trak") + inner
    at = film.index(b"moov") - 4
    size = struct.unpack_from(">I", film, at)[0]
    path = tmp_path / "film.mp4"
    path.write_bytes(film[:at] + struct.pack(">I4s", size + len(trak), b"moov") + trak + film[at + 8 :])
    with path.open("rb") as stream:
        assert check_film(stream).width == WIDTH
        assert not is_cut_off(stream)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_film_cut_off_before_its_index_cannot_be_read(film: bytes, share: float) -> None:
    assert refusal(film[: round(share * len(film))]) is ErrorCode.UNREADABLE_FILM


@pytest.mark.parametrize("body", [b"", b"x", b"PK\3\4" + b"\0" * 100, b"\xff\xd8\xff" + b"\0" * 5000])
def test_other_files_are_no_films(body: bytes) -> None:
    assert not begins_as_film(body[:12])
    assert refusal(body) is ErrorCode.UNREADABLE_FILM


def test_a_heic_photo_is_no_film() -> None:
    assert not begins_as_film(b"\0\0\0\x18ftypheic")
    assert begins_as_film(b"\0\0\0\x18ftypmp42")
    assert begins_as_film(b"\0\0\0\x08widemdat")


def test_a_coding_that_is_not_known_is_refused_by_name(film: bytes) -> None:
    with pytest.raises(RefusedFilm, match="CFHD") as caught:
        check_film(io.BytesIO(film.replace(b"avc1", b"CFHD")))
    assert caught.value.code is ErrorCode.UNREADABLE_FILM


def test_a_film_without_pictures_is_refused(film: bytes) -> None:
    assert refusal(film.replace(b"vide", b"soun")) is ErrorCode.UNREADABLE_FILM


@pytest.mark.parametrize("seconds", [0.5, MAX_SECONDS + 60])
def test_too_short_and_too_long_films_are_refused(film: bytes, seconds: float) -> None:
    clock = struct.pack(">II", 1000, round(1000 * seconds))
    assert refusal(changed(film, b"mdhd", 12, clock)) is ErrorCode.UNSUITABLE_FILM


def test_a_film_too_small_or_too_large_is_refused(film: bytes) -> None:
    entry = film.rindex(b"avc1") + 4 + 24
    for size in ((MIN_SIDE - 2, 4000), (65_000, 65_000)):
        body = film[:entry] + struct.pack(">HH", *size) + film[entry + 4 :]
        assert refusal(body) is ErrorCode.UNSUITABLE_FILM


def test_a_film_of_a_360_camera_is_refused_by_its_own_code(film: bytes) -> None:
    assert refusal(marked_spherical(film)) is ErrorCode.PANORAMA


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_whatever_is_damaged_the_header_is_read_or_refused_with_a_code(film: bytes, data: st.DataObject) -> None:
    index = bytearray(film[film.index(b"moov") - 4 :])
    head = struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0)
    for _ in range(data.draw(st.integers(1, 8))):
        index[data.draw(st.integers(0, len(index) - 1))] = data.draw(st.integers(0, 255))
    with suppress(RefusedFilm):
        read_header(io.BytesIO(head + bytes(index)))


def test_times_read_as_in_a_player() -> None:
    assert (clock(0), clock(62.44), clock(3599.96)) == ("0:00.0", "1:02.4", "60:00.0")
