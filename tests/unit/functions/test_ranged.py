"""Reading an S3 object by ranges: what is requested, and that it is read correctly."""

from __future__ import annotations

import io
import struct

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.codes import ErrorCode
from contract.stages import PipelineStep
from domain.errors import RejectedUpload
from domain.job import UploadedObject
from domain.preflight import check_bare_film, check_entries, read_entries
from domain.ranged import BLOCK_BYTES, MAX_BLOCKS, MAX_READ_BYTES, OutOfReach, RangedObject, ReadTooLong
from tests.support.archives import Listed, directory_of
from tests.support.cloud import UPLOADS, Cloud
from tests.support.sparse_s3 import UPLOADED, SparseS3
from tests.support.sparse_s3 import ranged as ranged_object


def photos_directory(count: int) -> bytes:
    return directory_of(
        [Listed(f"DCIM/100MEDIA/DJI_{number:04d}.JPG", size=8_000_000, packed=7_900_000) for number in range(count)]
    )


def test_of_a_large_archive_only_the_end_is_fetched() -> None:
    s3 = SparseS3(40 * 1024**3, photos_directory(1000))
    ranged = RangedObject(s3, UPLOADED, s3.size)
    assert check_entries(read_entries(ranged), s3.size, PipelineStep.FULL) == 1000  # type: ignore[arg-type]
    assert s3.fetched <= 2 * BLOCK_BYTES


def test_a_hostile_object_is_read_by_so_many_requests_and_no_more() -> None:
    s3 = SparseS3(10 * 1024**3, b"tail")
    ranged = RangedObject(s3, UPLOADED, s3.size)
    ranged.seek(-4, io.SEEK_END)
    assert ranged.read(4) == b"tail"

    def look(places: range) -> None:
        for place in places:
            ranged.seek(place)
            ranged.read(16)

    with pytest.raises(OutOfReach):
        look(range(0, s3.size, s3.size // 700))
    assert len(s3.requests) == MAX_BLOCKS
    assert s3.fetched <= MAX_BLOCKS * BLOCK_BYTES
    ranged.seek(-4, io.SEEK_END)
    assert ranged.read(4) == b"tail"  # what was read before is kept


def test_a_film_whose_index_lies_behind_too_many_places_is_left_to_the_container() -> None:
    box = 2 * BLOCK_BYTES
    boxes = {0: struct.pack(">I4s", box, b"ftyp")}
    boxes |= {place * box: struct.pack(">I4s", box, b"free") for place in range(1, 1000)}
    s3 = SparseS3(1000 * box, pieces=boxes)
    check_bare_film(ranged_object(s3))
    assert len(s3.requests) == MAX_BLOCKS


@pytest.mark.parametrize("count", [5000, 3119, 3120])
def test_a_directory_longer_than_a_block_is_read_whole(count: int) -> None:
    s3 = SparseS3(10 * 1024**3, photos_directory(count))
    assert len(read_entries(RangedObject(s3, UPLOADED, s3.size))) == count  # type: ignore[arg-type]


@pytest.mark.parametrize("offset", [-60, -22, -1, 0, 1])
def test_a_directory_that_crosses_a_block_is_read_whole(offset: int) -> None:
    tail = photos_directory(20)
    s3 = SparseS3(3 * BLOCK_BYTES + len(tail) // 2 + offset, tail)
    assert len(read_entries(RangedObject(s3, UPLOADED, s3.size))) == 20  # type: ignore[arg-type]


def test_no_block_is_fetched_twice() -> None:
    s3 = SparseS3(4 * BLOCK_BYTES)
    ranged = RangedObject(s3, UPLOADED, s3.size)
    for _ in range(3):
        ranged.seek(BLOCK_BYTES - 10)
        ranged.read(20)
    assert len(s3.requests) == 2


def test_every_request_names_the_version_and_the_etag() -> None:
    s3 = SparseS3(10)
    RangedObject(s3, UPLOADED, 10).read(1)
    expected = {"Bucket": "uploads", "Key": "meadow.zip", "VersionId": "v1", "IfMatch": "e1", "Range": "bytes=0-9"}
    assert s3.requests == [expected]


def test_without_versioning_only_the_etag_is_named() -> None:
    s3 = SparseS3(10)
    RangedObject(s3, UPLOADED.model_copy(update={"version_id": None}), 10).read(1)
    assert "VersionId" not in s3.requests[0]
    assert s3.requests[0]["IfMatch"] == "e1"


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("seek"), st.integers(0, 700), st.just(io.SEEK_SET)),
        st.tuples(st.just("seek"), st.integers(-600, 100), st.just(io.SEEK_END)),
        st.tuples(st.just("seek"), st.integers(-300, 300), st.just(io.SEEK_CUR)),
        st.tuples(st.just("read"), st.integers(-1, 700), st.just(0)),
    ),
    max_size=20,
)


@settings(deadline=None)
@given(OPERATIONS)
def test_it_reads_as_a_file_of_the_same_bytes_does(operations: list[tuple[str, int, int]]) -> None:
    body = bytes(range(256)) * 2 + b"the end"
    s3 = SparseS3(len(body) + BLOCK_BYTES - 200, body)  # a block ends within these bytes
    plain = io.BytesIO(b"\0" * (BLOCK_BYTES - 200) + body)
    ranged = RangedObject(s3, UPLOADED, s3.size)
    for stream in (plain, ranged):
        stream.seek(BLOCK_BYTES - 200)
    for name, number, whence in operations:
        if name == "read":
            assert ranged.read(number) == plain.read(number)
        elif whence == io.SEEK_CUR and plain.tell() + number < 0:
            continue
        else:
            assert ranged.seek(number, whence) == plain.seek(number, whence)
        assert ranged.tell() == plain.tell()


def test_a_seek_before_the_start_is_an_error_of_the_file() -> None:
    with pytest.raises(OSError, match="before the start"):
        RangedObject(SparseS3(10), UPLOADED, 10).seek(-11, io.SEEK_END)


def test_it_says_that_it_can_be_read_and_moved_in() -> None:
    ranged = RangedObject(SparseS3(10), UPLOADED, 10)
    assert ranged.readable()
    assert ranged.seekable()
    assert not ranged.writable()


def test_a_read_longer_than_memory_allows_fetches_nothing() -> None:
    s3 = SparseS3(1024**3)
    with pytest.raises(ReadTooLong):
        RangedObject(s3, UPLOADED, s3.size).read(MAX_READ_BYTES + 1)
    assert s3.requests == []


def test_an_archive_that_claims_a_gigantic_directory_is_refused_before_it_is_fetched() -> None:
    claim = bytearray(directory_of([]))
    claim[12:16] = (3 * 1024**3).to_bytes(4, "little")
    s3 = SparseS3(4 * 1024**3, bytes(claim))
    with pytest.raises(RejectedUpload) as caught:
        read_entries(RangedObject(s3, UPLOADED, s3.size))  # type: ignore[arg-type]
    assert caught.value.error.code is ErrorCode.ARCHIVE_TOO_LARGE
    assert s3.fetched <= 2 * BLOCK_BYTES


def test_an_object_that_is_shorter_than_was_said_is_an_error_and_not_an_endless_read(cloud: Cloud) -> None:
    answer = cloud.s3.put_object(Bucket=UPLOADS, Key="a.zip", Body=b"first")
    uploaded = UploadedObject(bucket=UPLOADS, key="a.zip", etag=answer["ETag"].strip('"'))
    with pytest.raises(OSError, match="ends at 5 of 90 bytes"):
        RangedObject(cloud.s3, uploaded, 90).read()


def test_an_object_overwritten_while_it_is_read_is_an_error_of_aws(cloud: Cloud) -> None:
    answer = cloud.s3.put_object(Bucket=UPLOADS, Key="a.zip", Body=b"first")
    uploaded = UploadedObject(bucket=UPLOADS, key="a.zip", etag=answer["ETag"].strip('"'))
    cloud.s3.put_object(Bucket=UPLOADS, Key="a.zip", Body=b"other")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        RangedObject(cloud.s3, uploaded, 5).read(5)
