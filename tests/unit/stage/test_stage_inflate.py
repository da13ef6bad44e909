"""Entries packed by every method that tools use: the same bytes, in chunks of limited size, or reported as damaged."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract import packed
from contract.archive import Entry, Method, entries_of
from contract.packed import CHUNK_BYTES, DamagedEntryError
from stage import inflate
from stage.inflate import chunks_of
from tests.support.archives import Packed, archive_of

SMALL_CHUNK = 1 << 16
each_method = pytest.mark.parametrize("method", Method)


def unpacked(archive: bytes, entry: Entry | None = None) -> bytes:
    source = io.BytesIO(archive)
    return b"".join(chunks_of(source, entry or entries_of(source)[0]))


@each_method
@settings(deadline=None, max_examples=30)
@given(body=st.binary(max_size=3000).flatmap(lambda some: st.integers(0, 60).map(lambda times: some * times)))
def test_what_was_packed_is_unpacked(method: Method, body: bytes) -> None:
    assert unpacked(archive_of([Packed(b"a", body, method)])) == body


@each_method
@settings(deadline=None, max_examples=12)
@given(
    chunks=st.integers(1, 3),
    more=st.integers(-300, 300),
    period=st.integers(1, 400),
    noise=st.sampled_from([0, 0, 50, 70_000]),
)
def test_an_entry_about_as_long_as_chunks_is_whole(
    method: Method, chunks: int, more: int, period: int, noise: int
) -> None:
    """Decompressors hold output back when a chunk is full, mostly with highly compressible data. Chunks of 64 KiB are
    used here: bzip2 takes half a second to pack three of the real ones."""
    size = chunks * SMALL_CHUNK + more
    random = np.random.default_rng(period).bytes(noise)
    body = (random + bytes(n % 251 for n in range(period)) * (size // period + 1))[:size]
    with pytest.MonkeyPatch.context() as patch:
        for module in (packed, inflate):
            patch.setattr(module, "CHUNK_BYTES", SMALL_CHUNK)
        assert unpacked(archive_of([Packed(b"a", body, method)])) == body


@each_method
def test_an_entry_a_little_longer_than_a_chunk_is_whole(method: Method) -> None:
    body = bytes(CHUNK_BYTES + 100)
    assert unpacked(archive_of([Packed(b"a", body, method)])) == body


@each_method
@settings(deadline=None, max_examples=60)
@given(flips=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=4))
def test_broken_bytes_are_a_damaged_entry_or_the_same_file(method: Method, flips: list[tuple[int, int]]) -> None:
    body = bytes(range(256)) * 8
    whole = archive_of([Packed(b"a", body, method)])
    (entry,) = entries_of(io.BytesIO(whole))
    broken = bytearray(whole)
    for at, value in flips:
        broken[30 + at % entry.packed_bytes] = value
    try:
        assert unpacked(bytes(broken), entry) == body
    except DamagedEntryError:
        assert bytes(broken) != whole


@each_method
@pytest.mark.parametrize("claimed", [0, 10, 5000])
def test_a_size_that_lies_is_damage(method: Method, claimed: int) -> None:
    whole = archive_of([Packed(b"a", b"ab" * 1000, method)])
    (entry,) = entries_of(io.BytesIO(whole))
    with pytest.raises(DamagedEntryError):
        unpacked(whole, Entry(**{**vars(entry), "bytes": claimed}))


@each_method
def test_an_entry_that_is_cut_off_is_damaged(method: Method) -> None:
    whole = archive_of([Packed(b"a", bytes(range(256)) * 8, method)])
    (entry,) = entries_of(io.BytesIO(whole))
    with pytest.raises(DamagedEntryError):
        unpacked(whole[: 31 + entry.packed_bytes // 2], entry)


@pytest.mark.parametrize("method", [method for method in Method if method is not Method.DEFLATE64])
def test_a_bomb_comes_in_chunks(method: Method) -> None:
    source = io.BytesIO(archive_of([Packed(b"a", bytes(40 << 20), method)]))
    (entry,) = entries_of(source)
    assert max(len(chunk) for chunk in chunks_of(source, entry)) <= CHUNK_BYTES


def test_a_local_header_that_names_the_file_otherwise_does_no_harm() -> None:
    """Some tools write slashes there and backslashes in the central directory."""
    whole = bytearray(archive_of([Packed(b"DCIM/1.jpg", b"photo")]))
    whole[30 + 4] = ord("\\")
    assert unpacked(bytes(whole)) == b"photo"
