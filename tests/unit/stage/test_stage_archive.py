"""Unpacking a customer's ZIP: what is unpacked, what is skipped, what is refused and with which code."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.archive import Limits
from stage.archive import unpack
from stage.errors import ErrorCode, StageError


def everything(_name: PurePosixPath) -> bool:
    return True


def jpegs(name: PurePosixPath) -> bool:
    return name.suffix.lower() == ".jpg"


def make_zip(path: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(name) if name.endswith("/") else name, data)
    return path


def code_of(archive: Path, folder: Path, limits: Limits | None = None) -> ErrorCode:
    with pytest.raises(StageError) as caught:
        unpack(archive, folder, everything, limits or Limits())
    return caught.value.code


def test_wanted_files_keep_their_paths_and_bytes_in_order(tmp_path: Path) -> None:
    entries = {"b/IMG 1.JPG": b"two", "a/IMG 1.JPG": b"one", "ü.jpg": b"three", "readme.txt": b"no"}
    unpacked = unpack(make_zip(tmp_path / "p.zip", entries), tmp_path / "out", jpegs)
    assert [file.name for file in unpacked.files] == ["a/IMG 1.JPG", "b/IMG 1.JPG", "ü.jpg"]
    assert [file.path.read_bytes() for file in unpacked.files] == [b"one", b"two", b"three"]
    assert not unpacked.damaged
    assert not (tmp_path / "out" / "readme.txt").exists()


def test_what_file_managers_leave_behind_is_passed_over(tmp_path: Path) -> None:
    entries = {
        "photos/": b"",
        "photos/1.jpg": b"1",
        "__MACOSX/photos/._1.jpg": b"x",
        "photos/._1.jpg": b"x",
        ".DS_Store": b"x",
    }
    unpacked = unpack(make_zip(tmp_path / "p.zip", entries), tmp_path / "out", everything)
    assert [file.name for file in unpacked.files] == ["photos/1.jpg"]


def test_backslashes_of_windows_tools_are_folders(tmp_path: Path) -> None:
    unpacked = unpack(make_zip(tmp_path / "p.zip", {"photos\\1.jpg": b"1"}), tmp_path / "out", everything)
    assert unpacked.files[0].path == tmp_path / "out" / "photos" / "1.jpg"


@pytest.mark.parametrize(
    "name",
    ["../evil.jpg", "a/../../evil.jpg", "/etc/evil.jpg", "C:/evil.jpg", "C:\\evil.jpg", "..\\evil.jpg", "x" * 300],
)
def test_names_that_lead_out_are_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    archive = make_zip(tmp_path / "p.zip", {"good.jpg": b"1", name: b"2"})
    assert code_of(archive, tmp_path / "out") is ErrorCode.UNSAFE_ARCHIVE
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.zip"]


@pytest.mark.parametrize("depth", [100, 1015])
def test_folders_within_each_other_are_bounded(tmp_path: Path, depth: int) -> None:
    archive = make_zip(tmp_path / "a.zip", {"d/" * depth + "a.jpg": b"x"})
    assert code_of(archive, tmp_path / "out") == ErrorCode.UNSAFE_ARCHIVE
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(tmp_path: Path, kind: int) -> None:
    info = zipfile.ZipInfo("link.jpg")
    info.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    assert code_of(tmp_path / "p.zip", tmp_path / "out") is ErrorCode.UNSAFE_ARCHIVE


def test_archives_within_the_archive_are_passed_over(tmp_path: Path) -> None:
    entries = {"1.jpg": b"1", "logs.ZIP": b"PK", "flight.MRK.gz": b"x"}
    unpacked = unpack(make_zip(tmp_path / "p.zip", entries), tmp_path / "out", jpegs)
    assert [file.name for file in unpacked.files] == ["1.jpg"]


def test_encrypted_entries_are_refused(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "p.zip", {"1.jpg": b"1"})
    data = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # general purpose flag of both headers
        at = data.index(signature) + offset
        data[at : at + 2] = struct.pack("<H", struct.unpack("<H", data[at : at + 2])[0] | 1)
    archive.write_bytes(data)
    assert code_of(archive, tmp_path / "out") is ErrorCode.ENCRYPTED_ARCHIVE


@pytest.mark.parametrize("data", [b"", b"no archive at all", b"PK\x03\x04 but only the start"])
def test_other_files_are_not_a_zip(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "p.zip").write_bytes(data)
    assert code_of(tmp_path / "p.zip", tmp_path / "out") is ErrorCode.NOT_A_ZIP


def test_an_archive_without_files_is_empty(tmp_path: Path) -> None:
    assert code_of(make_zip(tmp_path / "none.zip", {}), tmp_path / "out") is ErrorCode.EMPTY_ARCHIVE
    only_clutter = make_zip(tmp_path / "clutter.zip", {"a/": b"", "__MACOSX/._a": b"x"})
    assert code_of(only_clutter, tmp_path / "out") is ErrorCode.EMPTY_ARCHIVE


def test_too_many_entries_or_bytes_are_refused(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "p.zip", {f"{i}.jpg": b"0123456789" for i in range(5)})
    assert code_of(archive, tmp_path / "a", Limits(entries=4)) is ErrorCode.ARCHIVE_TOO_LARGE
    assert code_of(archive, tmp_path / "b", Limits(bytes=49)) is ErrorCode.ARCHIVE_TOO_LARGE
    assert len(unpack(archive, tmp_path / "c", everything, Limits(entries=5, bytes=50)).files) == 5


def test_a_bomb_is_refused_by_its_ratio(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "p.zip", {"1.jpg": bytes(20 << 20)})
    assert code_of(archive, tmp_path / "out", Limits(ratio_above=16 << 20)) is ErrorCode.ARCHIVE_TOO_LARGE
    assert not (tmp_path / "out").exists()


def test_a_size_that_lies_does_not_get_past_the_cap(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "p.zip", {"1.jpg": bytes(range(256)) * 4096}, zipfile.ZIP_STORED)
    data = bytearray(archive.read_bytes())
    at = data.index(b"PK\x01\x02") + 24  # uncompressed size in the central directory
    data[at : at + 4] = struct.pack("<I", 10)
    archive.write_bytes(data)
    unpacked = unpack(archive, tmp_path / "out", everything, Limits(bytes=1000))
    assert sum(file.path.stat().st_size for file in unpacked.files) <= 1000


def test_a_damaged_entry_is_named_and_the_others_survive(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "p.zip", {"bad.jpg": b"A" * 100, "good.jpg": b"B" * 100}, zipfile.ZIP_STORED)
    data = archive.read_bytes()
    archive.write_bytes(data.replace(b"A" * 100, b"A" * 50 + b"C" * 50))  # no longer matches its CRC
    unpacked = unpack(archive, tmp_path / "out", everything)
    assert unpacked.damaged == ["bad.jpg"]
    assert [file.name for file in unpacked.files] == ["good.jpg"]
    assert not (tmp_path / "out" / "bad.jpg").exists()


def test_of_one_name_twice_the_last_counts_and_a_file_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as archive:
        archive.writestr("1.jpg", b"1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("1.jpg", b"2")
    (file,) = unpack(tmp_path / "twice.zip", tmp_path / "a", everything).files
    assert file.path.read_bytes() == b"2"
    both = make_zip(tmp_path / "both.zip", {"a.jpg": b"1", "a.jpg/b.jpg": b"2"})
    assert code_of(both, tmp_path / "b") is ErrorCode.UNSAFE_ARCHIVE


def test_progress_rises_to_one_and_may_stop_the_work(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "p.zip", {f"{i}.jpg": b"0123456789" for i in range(4)})
    shares: list[float] = []
    unpack(archive, tmp_path / "a", everything, progress=shares.append)
    assert shares == [0.25, 0.5, 0.75, 1.0]

    def stop(_share: float) -> None:
        raise StageError(ErrorCode.INTERRUPTED, "stop")

    with pytest.raises(StageError, match="INTERRUPTED"):
        unpack(archive, tmp_path / "b", everything, progress=stop)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=6))
def test_whatever_bytes_are_broken_the_answer_is_files_or_a_code(
    flips: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("broken")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/1.jpg", b"photo one" * 5)
        archive.writestr("2.jpg", b"photo two" * 5)
    data = bytearray(stream.getvalue())
    for position, value in flips:
        data[position % len(data)] = value
    (folder / "p.zip").write_bytes(data)
    try:
        unpacked = unpack(folder / "p.zip", folder / "out", everything)
    except StageError:
        return
    for file in unpacked.files:
        assert file.path.resolve().is_relative_to((folder / "out").resolve())
