"""Preflight and containers accept the same archives: whatever one of them accepts, the other does, too."""

from __future__ import annotations

import io
import stat
import warnings
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.archive import Entry, Limits, Method, RefusedArchive, check
from contract.codes import ErrorCode
from contract.stages import PipelineStep
from contract.wanted import WANTED, wanted_of
from domain.errors import RejectedUpload
from domain.preflight import check_entries, read_entries
from stage.archive import entries_in, names_of_files, unpack
from stage.errors import StageError
from tests.support.archives import Packed
from tests.support.archives import archive_of as packed_archive

# contents that make a ZIP fit for a step, so that only names, sizes and counts decide
FIT = {
    PipelineStep.FULL: [f"fit/{number}.jpg" for number in range(5)],
    PipelineStep.TRAINING: [
        *(f"fit/images/{number}.jpg" for number in range(5)),
        *(f"fit/sparse/0/{name}.bin" for name in ("cameras", "images", "points3D")),
    ],
    PipelineStep.COMPRESSION: ["fit/scene.ply"],
}
FIT[PipelineStep.SCENE] = FIT[PipelineStep.TRAINING]
CONTENT_CODES = {
    ErrorCode.NO_PHOTOS,
    ErrorCode.UNSUPPORTED_PHOTOS,
    ErrorCode.TOO_FEW_PHOTOS,
    ErrorCode.TOO_MANY_PHOTOS,
    ErrorCode.INVALID_SCENE,
    ErrorCode.INVALID_SPLAT,
}

parts = st.one_of(
    st.sampled_from(
        ["a", "DJI_0001.JPG", "b.jpg", "gcp_list.txt", "scene.ply", "images.bin", "logs.zip", "1.MRK.gz", "a.MP4"]
    ),
    st.sampled_from(["..", ".", "", ".hidden", "__MACOSX", "Thumbs.db", "C:", "a:b.jpg", "n\0ul.jpg"]),
    st.sampled_from(["x" * 256, "ü" * 200]),
)
names = st.lists(parts, min_size=1, max_size=4).flatmap(lambda some: st.sampled_from(["/".join(some), "\\".join(some)]))
modes = st.sampled_from([0, stat.S_IFREG | 0o644, stat.S_IFDIR | 0o755, stat.S_IFLNK | 0o777, stat.S_IFIFO])
entries = st.lists(st.tuples(names.filter(bool), modes, st.sampled_from([0, 3, 19]), st.booleans()), max_size=5)


def archive_of(fit: list[str], more: list[tuple[str, int, int, bool]]) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.simplefilter("ignore")  # a name occurs twice
        for name in fit:
            archive.writestr(name, b"x" * 50)
        for name, mode, system, _ in more:
            info = zipfile.ZipInfo("placeholder")
            info.filename = name
            info.create_system, info.external_attr = system, mode << 16
            archive.writestr(info, b"" if name.endswith("/") else b"y" * 50)
        for info, (_, _, _, encrypted) in zip(archive.infolist()[len(fit) :], more, strict=True):
            info.flag_bits |= 0x1 if encrypted else 0
    return buffer.getvalue()


def preflight(body: bytes, step: PipelineStep) -> ErrorCode | None:
    try:
        check_entries(read_entries(io.BytesIO(body)), len(body), step)
    except RejectedUpload as rejected:
        return rejected.error.code
    return None


def container(body: bytes, step: PipelineStep, folder: Path) -> ErrorCode | None:
    archive = folder / "upload.zip"
    archive.write_bytes(body)
    try:
        unpack(archive, folder / "out", wanted_of(step, names_of_files(entries_in(archive))))
    except StageError as error:
        return error.code
    return None


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(step=st.sampled_from(PipelineStep), more=entries, fit=st.booleans())
def test_preflight_and_container_agree(
    step: PipelineStep, more: list[tuple[str, int, int, bool]], fit: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    body = archive_of(FIT[step] if fit else [], more)
    before, after = preflight(body, step), container(body, step, tmp_path_factory.mktemp("both"))
    if before in CONTENT_CODES:  # preflight alone checks what is missing from an archive
        assert after is None
    else:
        assert before == after


@pytest.mark.parametrize("step", PipelineStep)
def test_an_archive_fit_for_a_step_passes_both(step: PipelineStep, tmp_path: Path) -> None:
    body = archive_of(FIT[step], [])
    assert (preflight(body, step), container(body, step, tmp_path)) == (None, None)


@pytest.mark.parametrize("name", ["flight_logs.zip", "DJI_0001.MRK.gz"])
def test_an_archive_with_the_flights_logs_is_taken(name: str, tmp_path: Path) -> None:
    body = archive_of(FIT[PipelineStep.FULL], [(name, 0, 3, False)])
    assert preflight(body, PipelineStep.FULL) is None
    assert container(body, PipelineStep.FULL, tmp_path) is None


@pytest.mark.parametrize("method", Method)
def test_every_method_of_packing_is_taken_by_both(method: Method, tmp_path: Path) -> None:
    body = packed_archive([Packed(name.encode(), b"x" * 5000, method) for name in FIT[PipelineStep.FULL]])
    assert preflight(body, PipelineStep.FULL) is None
    (tmp_path / "upload.zip").write_bytes(body)
    unpacked = unpack(tmp_path / "upload.zip", tmp_path / "out", WANTED[PipelineStep.FULL])
    assert [file.path.read_bytes() for file in unpacked.files] == [b"x" * 5000] * 5


@pytest.mark.parametrize("method", [1, 6, 97, 98, 99])
def test_a_method_that_cannot_be_read_is_refused_by_both(method: int, tmp_path: Path) -> None:
    fit = [Packed(name.encode(), b"x") for name in FIT[PipelineStep.FULL]]
    body = packed_archive([*fit, Packed(b"one.jpg", b"x", method)])
    assert preflight(body, PipelineStep.FULL) is ErrorCode.UNSUPPORTED_ARCHIVE
    assert container(body, PipelineStep.FULL, tmp_path) is ErrorCode.UNSUPPORTED_ARCHIVE
    beside = packed_archive([*fit, Packed(b"film.mp4", b"x", method)])  # beside photos, it is not unpacked
    assert preflight(beside, PipelineStep.FULL) is None
    assert container(beside, PipelineStep.FULL, tmp_path) is None


def test_the_last_part_of_a_split_archive_is_refused_as_one_by_both(tmp_path: Path) -> None:
    body = bytearray(archive_of(FIT[PipelineStep.FULL], [])[200:])
    body[-18:-14] = b"\3\0\3\0"  # the fourth of four disks
    assert preflight(bytes(body), PipelineStep.FULL) is ErrorCode.UNSUPPORTED_ARCHIVE
    assert container(bytes(body), PipelineStep.FULL, tmp_path) is ErrorCode.UNSUPPORTED_ARCHIVE


def test_a_name_marked_as_utf_8_that_is_none_is_told_as_that_by_both(tmp_path: Path) -> None:
    fit = [Packed(name.encode(), b"x") for name in FIT[PipelineStep.FULL]]
    body = packed_archive([*fit, Packed("Fl\u00e4che.jpg".encode("latin-1"), b"x", flags=0x800)])
    assert preflight(body, PipelineStep.FULL) is ErrorCode.UNSUPPORTED_ARCHIVE
    assert container(body, PipelineStep.FULL, tmp_path) is ErrorCode.UNSUPPORTED_ARCHIVE


def test_an_archive_of_hidden_files_is_not_told_to_have_none() -> None:
    entries = [Entry(f".flight/{number}.jpg", 1, 1) for number in range(6)]
    with pytest.raises(RefusedArchive, match=r"6 files, all hidden .* such as \.flight/0\.jpg"):
        check(entries, 1000, lambda path: True)


unmarked = st.lists(st.binary(min_size=1, max_size=12), min_size=1, max_size=4)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=unmarked, method=st.sampled_from([*Method, 98]))
def test_preflight_and_container_agree_on_names_in_any_bytes(
    names: list[bytes], method: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    fit = [Packed(name.encode(), b"x") for name in FIT[PipelineStep.FULL]]
    body = packed_archive([*fit, *(Packed(name + b".jpg", b"y" * 20, method) for name in names)])
    before = preflight(body, PipelineStep.FULL)
    assert container(body, PipelineStep.FULL, tmp_path_factory.mktemp("both")) == before


def unpacked(names: list[str], folder: Path) -> set[str]:
    archive = folder / "upload.zip"
    archive.write_bytes(archive_of(names, []))
    files = unpack(archive, folder / "out", wanted_of(PipelineStep.FULL, names_of_files(entries_in(archive)))).files
    return {file.name for file in files}


def test_films_are_unpacked_only_where_there_are_too_few_photos(tmp_path: Path) -> None:
    """A memory card contains both; films are gigabytes that nothing reads if there are photos."""
    photos, footage = FIT[PipelineStep.FULL], ["DCIM/DJI_0001.MP4", "DCIM/DJI_0001.SRT", "b.mov"]
    hidden = "__MACOSX/._c.mp4"
    for folder, sent, taken in (
        ("photos first", [*photos, *footage], photos),
        ("a snapshot", [photos[0], *footage, hidden], footage),
        ("films alone", footage, footage),
        ("photos and a film's shadow", [*photos[:3], hidden], photos[:3]),
    ):
        (tmp_path / folder).mkdir()
        assert unpacked(sent, tmp_path / folder) == set(taken), folder
        assert preflight(archive_of(sent, []), PipelineStep.FULL) is (
            ErrorCode.TOO_FEW_PHOTOS if taken == photos[:3] else None
        )


def test_files_that_share_their_packed_bytes_are_a_bomb() -> None:
    """Each entry claims the whole archive as its packed bytes, as in zbsm.zip."""
    body = archive_of(FIT[PipelineStep.FULL], [])
    listed = read_entries(io.BytesIO(body))
    large = [type(entry)(entry.name, 40 << 20, 40 << 20) for entry in listed]
    with pytest.raises(RejectedUpload) as caught:
        check_entries(large, 1 << 20, PipelineStep.FULL)
    assert caught.value.error.code is ErrorCode.ARCHIVE_TOO_LARGE
    assert len(check(large, 200 << 20, WANTED[PipelineStep.FULL], Limits())) == len(large)
