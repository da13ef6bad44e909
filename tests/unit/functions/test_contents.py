"""What preflight reads of an archive's contents: films' headers, a scene's cameras and photos, by ranged reads."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.archive import Entry, Method
from contract.codes import ErrorCode
from contract.colmap import lines_of, text_images
from contract.films import MAX_FILMS
from contract.packed import PLAIN
from contract.packed import Packed as PackedBytes
from contract.stages import PipelineStep
from contract.wanted import scene_of
from domain import contents
from domain.errors import RejectedUpload
from domain.preflight import check_bare_splat, check_contents, check_entries, read_entries
from tests.support.archives import Packed, archive_of
from tests.support.films import film_bytes, marked_spherical
from tests.support.models import binary_model, text_model
from tests.support.models import scene_of as scene_files
from tests.support.plys import NO_SPLATS, SPLATS, ply_of
from tests.support.sparse_s3 import SparseS3, ranged, uploaded

each_method = pytest.mark.parametrize("method", [Method.STORED, Method.DEFLATE])
PHOTOS = [f"{number:06d}.jpg" for number in range(1, 9)]
SCENE, FULL = PipelineStep.TRAINING, PipelineStep.FULL


def archive(files: dict[str, bytes], method: int = Method.DEFLATE) -> bytes:
    return archive_of([Packed(name.encode(), body, method) for name, body in files.items()])


def scene(
    model: dict[str, bytes], folder: str = "sparse/0", photos: list[str] = PHOTOS, images: str = "images"
) -> dict[str, bytes]:
    return scene_files(model, photos, f"{folder}/", f"{images}/")


def preflight(body: bytes, step: PipelineStep) -> str:
    """The refusal (`CODE: facts`), "" if there is none."""
    return refusal_of(uploaded(body), len(body), step)


def refusal_of(stream: BinaryIO, size: int, step: PipelineStep) -> str:
    try:
        entries = read_entries(stream)
        check_entries(entries, size, step)
        check_contents(stream, entries, step)
    except RejectedUpload as rejected:
        return f"{rejected.error.code}: {rejected.error.message}"
    return ""


@each_method
@pytest.mark.parametrize("model", [binary_model, text_model])
def test_a_sound_scene_is_taken(model: Callable[..., dict[str, bytes]], method: int) -> None:
    assert preflight(archive(scene(model(PHOTOS)), method), SCENE) == ""
    assert preflight(archive(scene(model(PHOTOS), "a/colmap/sparse/0", images="a/images"), method), SCENE) == ""
    beside = {**model(PHOTOS), **{f"images/{name}": b"x" for name in PHOTOS}}
    assert preflight(archive(beside, method), SCENE) == ""


@each_method
@pytest.mark.parametrize(
    ("model", "said"),
    [
        (binary_model(PHOTOS, camera=7), "camera 1 is of model 7"),
        (text_model(PHOTOS, camera="FOV"), "camera 1 is of model FOV"),
        (text_model(PHOTOS, camera="THIN_PRISM_FISHEYE"), "camera 1 is of model THIN_PRISM_FISHEYE"),
        (binary_model(PHOTOS, width=0), "0 by 48 pixels"),
        (binary_model(PHOTOS, taken_with=9), "taken with camera 9, which is missing"),
        (text_model(PHOTOS, taken_with=9), "taken with camera 9, which is missing"),
        (binary_model(["../../a.jpg", *PHOTOS]), "leads out of its folder"),
        (binary_model(PHOTOS, points=15), "15 points; training needs 16"),
        (text_model(PHOTOS, points=15), "15 points; training needs 16"),
        (binary_model(PHOTOS[:1]), "1 posed photos; training needs 2"),
        (text_model([]), "0 posed photos"),
        (binary_model([f"sub/{name}" for name in PHOTOS]), "sub/000001.jpg and others of the 8 photos of the model"),
        (text_model([f"sub/{name}" for name in PHOTOS]), "sub/000001.jpg and others of the 8 photos of the model"),
        ({**binary_model(PHOTOS), "cameras.bin": b"\1\0"}, "a file ends too early"),
        ({**text_model(PHOTOS), "cameras.txt": b"1 PINHOLE x\n"}, "the sparse model cannot be read"),
    ],
)  # fmt: skip
def test_a_scene_that_training_would_refuse_is_refused(model: dict[str, bytes], said: str, method: int) -> None:
    refusal = preflight(archive(scene(model), method), SCENE)
    assert refusal.startswith("INVALID_SCENE: ")
    assert said in refusal


@pytest.mark.parametrize("missing", [0, 1, 4, 5, 8])
@pytest.mark.parametrize("model", [binary_model, text_model])
def test_photos_may_be_missing_up_to_half(model: Callable[..., dict[str, bytes]], missing: int) -> None:
    there = [*PHOTOS[missing:], *(f"other {number}.jpg" for number in range(5))]
    refusal = preflight(archive(scene(model(PHOTOS), photos=there)), SCENE)
    assert refusal.startswith("INVALID_SCENE: ") if missing > 4 else refusal == ""


def test_images_elsewhere_than_the_model_are_said_to_be_so() -> None:
    refusal = preflight(archive(scene(binary_model(PHOTOS), "a/sparse/0", images="b/images")), SCENE)
    assert "no images/ beside or above the COLMAP model in a/sparse/0/" in refusal


@pytest.mark.parametrize("large", ["0", "1"])
def test_of_several_models_the_largest_is_looked_at(large: str) -> None:
    small = "1" if large == "0" else "0"
    good = scene(binary_model(PHOTOS), f"sparse/{large}")
    bad = scene(binary_model(PHOTOS[:3], camera=7), f"sparse/{small}", [])
    assert preflight(archive(good | bad), SCENE) == ""


@pytest.mark.parametrize("model", [binary_model, text_model])
def test_a_small_model_that_cannot_be_read_does_no_harm(model: Callable[..., dict[str, bytes]]) -> None:
    small = {name: b"\xff" * 9 if name.startswith("images") else body for name, body in model(PHOTOS[:2]).items()}
    assert preflight(archive(scene(small) | scene(model(PHOTOS), "sparse/1")), SCENE) == ""


@settings(deadline=None, max_examples=150)
@given(
    text=st.booleans(),
    method=st.sampled_from([Method.STORED, Method.DEFLATE]),
    damage=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=6),
    cut=st.integers(0, 3000) | st.just(0),
)
def test_whatever_is_damaged_a_scene_is_taken_or_refused_by_a_code(
    text: bool, method: int, damage: list[tuple[int, int]], cut: int
) -> None:
    model = text_model(PHOTOS) if text else binary_model(PHOTOS)
    name = f"{('cameras', 'images', 'points3D')[damage[0][1] % 3]}.{'txt' if text else 'bin'}"
    body = bytearray(model[name])
    for at, value in damage:
        body[at % len(body)] = value
    packed = bytearray(archive(scene({**model, name: bytes(body[cut % len(body) :])}), method))
    if cut % 2:  # the packed bytes, too
        packed[(30 + damage[0][0] % 2000) % len(packed)] = damage[0][1]
    code = preflight(bytes(packed), SCENE).partition(":")[0]
    assert code in ("", "INVALID_SCENE") or (cut % 2 and code in tuple(ErrorCode))  # any, if the directory is damaged


def test_a_damaged_model_is_refused_and_one_packed_otherwise_left_to_training() -> None:
    body = bytearray(archive(scene({**binary_model(PHOTOS), "cameras.bin": bytes(range(256)) * 40})))
    (entry,) = (entry for entry in read_entries(io.BytesIO(bytes(body))) if entry.path.name == "cameras.bin")
    data = entry.offset + 30 + len(entry.name)
    body[data] = 0x07  # Deflate has no block of this type
    assert "sparse/0/cameras.bin is damaged" in preflight(bytes(body), SCENE)
    assert preflight(archive(scene(binary_model(PHOTOS, camera=7)), Method.ZSTANDARD), SCENE) == ""


def test_a_long_list_of_photos_is_read_no_further_than_it_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the photos are found before the limit; if they come after it, the decision is left to training."""
    model = binary_model(PHOTOS, observations=50_000)
    monkeypatch.setattr("domain.contents.MAX_BYTES", 6 << 20)
    assert preflight(archive(scene(model)), SCENE) == ""
    monkeypatch.setattr("domain.contents.MAX_BYTES", 1 << 20)
    assert preflight(archive(scene(model, photos=[f"other {name}" for name in PHOTOS])), SCENE) == ""


@dataclass(frozen=True)
class Hollow(Packed):
    """An entry of Deflate blocks of five bytes each, which unpack to nothing."""

    blocks: int = 0

    @property
    def data(self) -> bytes:
        return b"\0\0\0\xff\xff" * self.blocks


@pytest.fixture
def unpacked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of all chunks that unpacking returned."""
    sizes: list[int] = []
    inflate = PLAIN[Method.DEFLATE]

    def counting(packed: PackedBytes) -> Iterator[bytes]:
        for chunk in inflate(packed):
            sizes.append(len(chunk))
            yield chunk

    monkeypatch.setitem(PLAIN, Method.DEFLATE, counting)
    return sizes


@pytest.mark.parametrize(("name", "step"), [("sparse/0/images.bin", SCENE), ("a.MP4", FULL)])
def test_blocks_that_unpack_to_nothing_are_not_read_to_their_end(
    name: str, step: PipelineStep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "MAX_BYTES", 1 << 20)
    files = scene(binary_model(PHOTOS)) if step is SCENE else {}
    entries = [Packed(path.encode(), body) for path, body in files.items() if path != name]
    body = archive_of([*entries, Hollow(name.encode(), b"film", blocks=1_600_000)])
    s3 = SparseS3(len(body), body)
    assert refusal_of(ranged(s3), s3.size, step) == ""
    assert s3.fetched < 3 << 20 < s3.size


def test_all_models_together_are_unpacked_so_far(unpacked: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "MAX_BYTES", 2 << 20)
    remarks = (b"# " + bytes(998) + b"\n") * 1000
    files = scene(text_model(PHOTOS))
    for number in range(6):
        files |= scene({**text_model(PHOTOS), "images.txt": remarks}, f"sparse/{number}")
    assert preflight(archive(files), SCENE) == ""
    assert sum(unpacked) < 4 << 20


@pytest.mark.parametrize("name", ["cameras.txt", "images.txt", "points3D.txt"])
def test_lines_are_counted_whatever_they_hold(name: str, unpacked: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "MAX_LINES", 10_000)
    assert preflight(archive(scene({**text_model(PHOTOS), name: b"\n" * (8 << 20)})), SCENE) == ""
    assert sum(unpacked) < 4 << 20


@pytest.mark.parametrize("between", [b"", b"\n", b"\n# a remark\n\n"])
def test_empty_lines_between_photos_are_ignored_as_colmap_does(between: bytes) -> None:
    photos = b"".join(
        b"%s%d 1 0 0 0 0 0 %d 1 %s\n%s\n" % (between, number, number, name.encode(), b"" if number % 2 else b"1 2 -1")
        for number, name in enumerate(PHOTOS, start=1)
    )
    assert [image.name for image in text_images(lines_of([b"# remark\n" + photos]))] == PHOTOS


def test_no_model_is_looked_at_where_they_are_too_many() -> None:
    model = dict.fromkeys(binary_model([]), bytes(8))
    files = scene(binary_model(PHOTOS, camera=7))
    for number in range(contents.MAX_MODELS):
        files |= {f"sparse/{number + 1}/{name}": body for name, body in model.items()}
    assert preflight(archive(files), SCENE) == ""
    del files[f"sparse/{contents.MAX_MODELS}/images.bin"]
    assert "camera 1 is of model 7" in preflight(archive(files), SCENE)


class CountedFiles(dict[PurePosixPath, Entry]):
    """Counts how often all files are iterated over."""

    rounds = 0

    def __iter__(self) -> Iterator[PurePosixPath]:
        self.rounds += 1
        return super().__iter__()

    def items(self):  # type: ignore[no-untyped-def]
        self.rounds += 1
        return super().items()


def test_the_files_are_gone_through_once_for_all_models() -> None:
    files: dict[str, bytes] = {}
    for number in range(30):
        files |= scene(binary_model(PHOTOS), f"sparse/{number}")
    stream = uploaded(archive(files))
    entries = CountedFiles({entry.path: entry for entry in read_entries(stream)})
    found = scene_of(entries.keys())
    assert found is not None
    contents.check_model(stream, entries, found)
    assert entries.rounds <= 3


@pytest.mark.parametrize(
    ("line", "name"),
    [("1 PINHOLE 64 48 " + "١ " * 3000, "cameras.txt"), ("1 1 0 0 0 0 0 0 1 " + "a/" * 3000 + "a.jpg", "images.txt")],
)
def test_a_line_of_many_values_is_not_taken_apart(line: str, name: str) -> None:
    model = {**text_model(PHOTOS), name: line.encode() + b"\n"}
    assert "a line is too long" in preflight(archive(scene(model)), SCENE)


def moved(body: bytes, by: int) -> bytes:
    """The archive, with an end record that places its directory `by` bytes away from where it is."""
    there = struct.unpack_from("<L", body, len(body) - 6)[0]
    return body[:-6] + struct.pack("<L", (there + by) % 2**32) + body[-2:]


@each_method
def test_an_entry_before_the_archive_is_damaged(method: int) -> None:
    """A directory that is said to begin later moves all entries forward, the first to before the start."""
    body = archive(scene(binary_model(PHOTOS)), method)
    assert "sparse/0/cameras.bin is damaged" in preflight(moved(body, 50), SCENE)
    body = archive({"a.MP4": film_bytes()}, method)
    assert "a.MP4: its data in the archive is damaged" in preflight(moved(body, 50), FULL)


@settings(deadline=None, max_examples=150)
@given(
    film=st.booleans(),
    method=st.sampled_from([Method.STORED, Method.DEFLATE]),
    by=st.integers(-300, 300),
    offset=st.none() | st.integers(0, 2**32 - 1),
)
def test_wherever_entries_are_said_to_lie_the_archive_is_taken_or_refused_by_a_code(
    tmp_path_factory: pytest.TempPathFactory, film: bool, method: int, by: int, offset: int | None
) -> None:
    """As an object and as a file on a disk, which raise different exceptions for invalid positions."""
    files = {"a.MP4": film_bytes()} if film else scene(binary_model(PHOTOS))
    body = bytearray(archive(files, method))
    if offset is not None:
        struct.pack_into("<L", body, body.index(b"PK\1\2") + 42, offset)
    wrong, step = moved(bytes(body), by), FULL if film else SCENE
    path: Path = tmp_path_factory.getbasetemp() / "wrong.zip"
    path.write_bytes(wrong)
    with path.open("rb") as stream:
        on_disk = refusal_of(stream, len(wrong), step)
    assert preflight(wrong, step) == on_disk
    assert on_disk.partition(":")[0] in ("", "INVALID_SCENE", "UNREADABLE_FILM", "NOT_A_ZIP")


CARD = {"DJI_0001.SRT": b"1\n"}


@each_method
@pytest.mark.parametrize(
    ("film", "code"),
    [
        (lambda: film_bytes(index_first=True), None),
        (lambda: marked_spherical(film_bytes(index_first=True)), ErrorCode.PANORAMA),
        (lambda: film_bytes()[:-4000], ErrorCode.UNREADABLE_FILM),
        (lambda: b"no film" * 400, ErrorCode.UNREADABLE_FILM),
    ],
)
def test_a_film_in_an_archive_is_refused_by_its_header(
    film: Callable[[], bytes], code: ErrorCode | None, method: int
) -> None:
    refusal = preflight(archive({**CARD, "DCIM/DJI_0001.MP4": film()}, method), FULL)
    assert refusal.partition(":")[0] == (code or "")
    assert not code or "DCIM/DJI_0001.MP4: " in refusal


def test_one_good_film_is_enough() -> None:
    films = {"a.MP4": b"no film" * 400, "b.MP4": film_bytes(), "c.MP4": b"no film either" * 400}
    assert preflight(archive(films), FULL) == ""


def test_too_many_films_are_refused() -> None:
    films = dict.fromkeys((f"{number}.MP4" for number in range(MAX_FILMS + 1)), b"film")
    assert preflight(archive(films), FULL).startswith("UNSUITABLE_FILM: ")


def test_an_index_behind_what_is_read_of_a_packed_film_is_left_to_the_container(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    film = marked_spherical(film_bytes())
    film += struct.pack(">I4s", 8 + (2 << 20), b"free") + bytes(2 << 20)  # more than the first read
    monkeypatch.setattr("domain.contents.MAX_FILM_HEADER_BYTES", 1000)
    assert preflight(archive({"a.MP4": film}), FULL) == ""
    assert preflight(archive({"a.MP4": film}, Method.STORED), FULL).startswith("PANORAMA: ")


def test_photos_beside_films_come_first() -> None:
    files = {f"{number}.jpg": b"x" for number in range(5)} | {"a.MP4": b"no film" * 400}
    assert preflight(archive(files), FULL) == ""


@each_method
@pytest.mark.parametrize("body", NO_SPLATS.values(), ids=NO_SPLATS)
def test_a_ply_that_is_no_splat_is_refused_by_its_name(body: bytes, method: int) -> None:
    found = preflight(archive({"out/scene.ply": body, "notes.txt": b"x"}, method), PipelineStep.COMPRESSION)
    assert found.startswith(ErrorCode.INVALID_SPLAT)
    assert "(scene.ply " in found


@each_method
@pytest.mark.parametrize("body", SPLATS.values(), ids=SPLATS)
def test_a_splat_passes_by_its_header(body: bytes, method: int) -> None:
    assert preflight(archive({"scene.ply": body}, method), PipelineStep.COMPRESSION) == ""


def test_a_splat_that_is_damaged_in_the_archive_is_refused() -> None:
    body = bytearray(archive({"scene.ply": ply_of(count=4000)}))
    body[40:60] = bytes(20)
    assert "scene.ply is damaged" in preflight(bytes(body), PipelineStep.COMPRESSION)


@pytest.mark.parametrize("body", [b"NGSP\4\0\0\0", b"\x1f\x8b\x08", b"x"], ids=["SPZ 4", "SPZ 3", "anything"])
def test_what_does_not_begin_as_a_ply_is_left_to_the_compressor(body: bytes) -> None:
    assert preflight(archive({"scene.ply": body}), PipelineStep.COMPRESSION) == ""


@pytest.mark.parametrize("method", [Method.LZMA, Method.ZSTANDARD])
def test_a_splat_that_takes_another_library_to_unpack_is_left_to_the_compressor(method: int) -> None:
    assert preflight(archive({"scene.ply": NO_SPLATS["a mesh"]}, method), PipelineStep.COMPRESSION) == ""


def test_of_a_large_splat_no_more_than_its_header_is_read() -> None:
    body = archive({"scene.ply": ply_of(count=300_000)}, Method.STORED)
    s3 = SparseS3(len(body), body)
    assert refusal_of(ranged(s3), len(body), PipelineStep.COMPRESSION) == ""
    assert s3.fetched <= 3 << 20 < len(body)


def test_a_mesh_on_its_own_is_refused() -> None:
    for name, body in NO_SPLATS.items():
        with pytest.raises(RejectedUpload, match=r"tree\.ply") as refused:
            check_bare_splat(uploaded(body), "flights/tree.ply", len(body))
        assert refused.value.error.code is ErrorCode.INVALID_SPLAT, name
    for body in SPLATS.values():
        check_bare_splat(uploaded(body), "tree.ply", len(body))
