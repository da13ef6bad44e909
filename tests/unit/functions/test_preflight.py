"""The preflight of an upload, from its central directory alone."""

from __future__ import annotations

import io
import re
import stat
import struct
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.archive import LIMITS
from contract.codes import ErrorCode
from contract.counts import MAX_PHOTOS, MIN_PHOTOS
from contract.stages import PipelineStep
from domain.errors import RejectedUpload
from domain.preflight import check_entries, read_entries
from tests.support.archives import ENCRYPTED, MS_DOS, TWO_PHOTOS, UTF8, Listed, directory_of, photos, zip_of
from tests.support.calls import calls_of

SCENE = ["sparse/0/cameras.bin", "sparse/0/images.bin", "sparse/0/points3D.bin"]
IMAGES = photos(5, "images/{:06d}.jpg")
FIVE = [Listed(name) for name in photos(5)]
GIB = 1024**3


def check(archive: bytes, step: PipelineStep = PipelineStep.FULL) -> int:
    return check_entries(read_entries(io.BytesIO(archive)), len(archive), step)


def rejection(archive: bytes, step: PipelineStep = PipelineStep.FULL) -> tuple[ErrorCode, str]:
    with pytest.raises(RejectedUpload) as caught:
        check(archive, step)
    return caught.value.error.code, caught.value.error.message


def code(archive: bytes, step: PipelineStep = PipelineStep.FULL) -> ErrorCode:
    return rejection(archive, step)[0]


def listed(*extra: Listed) -> bytes:
    """Five valid photos and `extra`."""
    return directory_of([*FIVE, *extra])


def test_the_photos_are_counted() -> None:
    assert check(zip_of(photos(18))) == 18


@pytest.mark.parametrize(
    "body", [b"Rar!\x1a\x07\x00" + b"x" * 100, b"%PDF-1.7", b"x", b"\xff\xd8\xff" + b"\0" * 70_000]
)
def test_a_file_that_is_no_zip_is_refused(body: bytes) -> None:
    assert code(body) is ErrorCode.NOT_A_ZIP


@pytest.mark.parametrize(
    "pattern",
    ["DJI_{:04d}.JPG", "DJI_{:04d}_MS_NIR.TIF", "a/b/c/d/{}_mask.png", "{}/DJI_0001_T.JPG", "a_" * 100 + "{}_T.tif"],
)
def test_each_of_many_names_takes_little_work(pattern: str) -> None:
    """A ZIP may list 50,000, which took 14 CPU seconds; the function has a minute on half a core."""

    def work(count: int) -> int:
        archive = directory_of([Listed(pattern.format(number)) for number in range(count)])
        return calls_of(lambda: check_quietly(archive))

    few, many = work(250), work(500)
    assert many - few < 1.1 * few
    assert (many - few) / 250 < 220


def check_quietly(archive: bytes) -> None:
    with suppress(RejectedUpload):
        check(archive)


def test_names_of_many_folders_are_bounded_all_together() -> None:
    """Each name may contain a hundred folders; reading all of them would take the function a minute."""
    deep = [Listed("a/" * 90 + f"{number}.txt") for number in range(LIMITS.parts // 91 + 1)]
    assert code(listed(*deep)) is ErrorCode.ARCHIVE_TOO_LARGE
    assert check(listed(*deep[: len(deep) // 2])) == 5


def test_a_zip_that_is_cut_off_is_no_zip() -> None:
    assert code(zip_of(photos(18))[:-30]) is ErrorCode.NOT_A_ZIP


def test_a_central_directory_with_a_damaged_record_is_no_zip() -> None:
    whole = zip_of(photos(18))
    third = [match.start() for match in re.finditer(b"PK\1\2", whole)][2]
    assert code(whole[:third] + b"XXXX" + whole[third + 4 :]) is ErrorCode.NOT_A_ZIP


def test_a_central_directory_said_to_begin_before_the_file_is_no_zip() -> None:
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 5000, 0, 0)
    assert code(b"x" * 100 + end) is ErrorCode.NOT_A_ZIP


def test_a_name_that_is_not_the_utf8_it_claims_is_told_as_that() -> None:
    assert code(directory_of(FIVE).replace(b"DJI_0003", b"DJI_\xff\xfe03")) is ErrorCode.UNSUPPORTED_ARCHIVE


def test_a_zip_of_a_later_format_than_can_be_read_is_no_zip() -> None:
    assert code(listed(Listed("new.jpg", needs_version=99))) is ErrorCode.NOT_A_ZIP


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_bytes_are_damaged_the_upload_is_taken_or_refused_with_a_code(data: st.DataObject) -> None:
    archive = bytearray(listed(Listed("large.jpg", size=5 * GIB, packed=5 * GIB)))
    for _ in range(data.draw(st.integers(1, 6))):
        archive[data.draw(st.integers(0, len(archive) - 1))] = data.draw(st.integers(0, 255))
    try:
        outcome: object = check(bytes(archive))
    except RejectedUpload as rejected:
        outcome = rejected.error.code
    assert outcome in [*ErrorCode, 5, 6]


def test_an_archive_without_entries_is_empty() -> None:
    assert code(zip_of([])) is ErrorCode.EMPTY_ARCHIVE


def test_an_archive_of_folders_alone_is_empty() -> None:
    assert code(zip_of(["photos/", "photos/day 1/"])) is ErrorCode.EMPTY_ARCHIVE


def test_a_password_is_refused_with_the_first_file_that_has_one() -> None:
    found, message = rejection(listed(Listed("secret.jpg", flags=UTF8 | ENCRYPTED)))
    assert found is ErrorCode.ENCRYPTED_ARCHIVE
    assert "secret.jpg" in message


@pytest.mark.parametrize(
    "name",
    [
        "../etc/passwd.jpg",
        "photos/../../a.jpg",
        "..\\a.jpg",
        "photos\\..\\..\\a.jpg",
        "/etc/a.jpg",
        "\\server\\a.jpg",
        "//server/a.jpg",
        "C:\\photos\\a.jpg",
        "c:/a.jpg",
        "D:",
        "a.jpg\0.txt",
        "\0",
        "..",
    ],
)
def test_a_name_that_points_outside_the_archive_is_refused(name: str) -> None:
    assert code(listed(Listed(name))) is ErrorCode.UNSAFE_ARCHIVE


@pytest.mark.parametrize("name", ["__MACOSX/../../a.jpg", "._/../../a.jpg"])
def test_a_side_file_gets_no_pass_for_an_unsafe_name(name: str) -> None:
    assert code(listed(Listed(name))) is ErrorCode.UNSAFE_ARCHIVE


@pytest.mark.parametrize("name", ["a..jpg", "photos/..a.jpg", "a/.../b.jpg", "a:b.jpg", "ab:/c.jpg", "./a.jpg"])
def test_dots_and_colons_within_a_name_are_harmless(name: str) -> None:
    assert check(listed(Listed(name))) >= 5


def test_a_symbolic_link_is_refused() -> None:
    found, message = rejection(listed(Listed("link.jpg", mode=stat.S_IFLNK | 0o777)))
    assert found is ErrorCode.UNSAFE_ARCHIVE
    assert "'link.jpg' is a link" in message


def test_what_looks_like_a_link_but_comes_from_dos_is_a_file() -> None:
    assert check(listed(Listed("six.jpg", system=MS_DOS, mode=stat.S_IFLNK | 0o777))) == 6


def test_backslashes_of_windows_tools_are_folders() -> None:
    assert check(zip_of(photos(6, "day.1\\{}.JPG"))) == 6


def test_a_bomb_is_refused_by_its_ratio() -> None:
    assert code(listed(Listed("bomb.jpg", size=GIB, packed=GIB // 1000))) is ErrorCode.ARCHIVE_TOO_LARGE


def test_small_files_that_pack_well_are_no_bomb() -> None:
    assert check(listed(Listed("flat.png", size=90 * 1024**2, packed=90_000))) == 6


def test_an_archive_that_unpacks_to_too_much_is_refused() -> None:
    half = LIMITS.bytes // 2
    archive = listed(*[Listed(f"{n}.tif", size=half, packed=half) for n in range(2)])
    assert code(archive) is ErrorCode.ARCHIVE_TOO_LARGE


def test_an_archive_of_too_many_files_is_refused_even_if_they_are_no_photos() -> None:
    notes = [Listed(f"{n}.txt", size=1, packed=1) for n in range(LIMITS.entries - 4)]
    assert code(directory_of([*FIVE, *notes])) is ErrorCode.ARCHIVE_TOO_LARGE


def test_a_zip64_directory_of_more_than_65535_entries_is_read() -> None:
    assert len(read_entries(io.BytesIO(directory_of([Listed(f"{n}") for n in range(70_000)])))) == 70_000


def test_a_zip64_photo_of_more_than_4_gib_keeps_its_size() -> None:
    entries = read_entries(io.BytesIO(listed(Listed("large.tif", size=5 * GIB, packed=4 * GIB))))
    assert (entries[-1].bytes, entries[-1].packed_bytes) == (5 * GIB, 4 * GIB)


def test_an_archive_without_photos_says_how_many_other_files_there_are() -> None:
    found, message = rejection(zip_of(["notes.txt", "flight.MRK"]))
    assert found is ErrorCode.NO_PHOTOS
    assert "2 other files" in message


@pytest.mark.parametrize("name", ["flights/day 1.zip", "inner.7z", "photos.tar.gz"])
def test_photos_in_an_archive_within_the_archive_are_not_there_and_it_is_named(name: str) -> None:
    found, message = rejection(zip_of(["notes.txt", name]))
    assert found is ErrorCode.NO_PHOTOS
    assert f"{name} in the ZIP: not opened" in message


@pytest.mark.parametrize(
    ("body", "kind"), [(b"Rar!\x1a\7\0", "a RAR archive"), (b"7z\xbc\xaf\x27\x1c", "a 7z archive")]
)
def test_other_archives_are_called_by_their_name(body: bytes, kind: str) -> None:
    assert f"it is {kind}" in rejection(body + b"x" * 100)[1]


def test_photos_in_formats_that_no_stage_reads_are_named() -> None:
    found, message = rejection(zip_of(["a.CR2", "b.nef", "c.cr2", "film.AVI", "notes.txt"]))
    assert found is ErrorCode.UNSUPPORTED_PHOTOS
    assert "found .avi, .cr2, .nef" in message


def test_raw_files_beside_readable_photos_do_no_harm() -> None:
    assert check(zip_of([*photos(5), *photos(5, "DJI_{:04d}.CR2")])) == 5


def test_too_few_photos_are_refused_with_both_numbers() -> None:
    found, message = rejection(TWO_PHOTOS)
    assert found is ErrorCode.TOO_FEW_PHOTOS
    assert "2 of at least 5" in message


def test_second_images_of_a_shot_are_not_counted() -> None:
    shots = [f"DJI_2026050112300{n}_000{n}_{lens}.JPG" for n in range(6) for lens in "VT"]
    assert check(zip_of([*shots, *(f"DJI_2026050112300{n}_000{n}_V_mask.png" for n in range(6))])) == 6


def test_too_few_photos_beside_second_images_say_what_was_not_counted() -> None:
    found, message = rejection(zip_of([*photos(3), *photos(3, "DJI_{:04d}_mask.JPG"), *photos(3, "DJI_{:04d}.DNG")]))
    assert found is ErrorCode.TOO_FEW_PHOTOS
    assert "3 of at least 5; not counted: 3 masks, 3 other files" in message


def test_the_fewest_photos_are_enough() -> None:
    assert check(zip_of(photos(MIN_PHOTOS))) == MIN_PHOTOS


def test_a_photo_of_no_bytes_does_not_count() -> None:
    assert code(zip_of({**dict.fromkeys(photos(4), b"x"), "five.jpg": b""})) is ErrorCode.TOO_FEW_PHOTOS


def test_the_most_photos_are_taken() -> None:
    assert check(directory_of([Listed(name) for name in photos(MAX_PHOTOS)])) == MAX_PHOTOS


def test_one_more_than_the_most_photos_is_refused() -> None:
    archive = directory_of([Listed(name) for name in photos(MAX_PHOTOS + 1)])
    assert code(archive) is ErrorCode.TOO_MANY_PHOTOS


@pytest.mark.parametrize(
    "name",
    ["__MACOSX/photos/._a.jpg", "photos/._a.jpg", ".hidden/a.jpg", "photos\\._a.jpg", "__MACOSX\\a.jpg", ".a.jpg"],
)
def test_what_operating_systems_leave_behind_is_no_photo(name: str) -> None:
    assert code(zip_of([*photos(4), name])) is ErrorCode.TOO_FEW_PHOTOS


def test_side_files_are_not_counted_as_other_files() -> None:
    side_files = ["photos/Thumbs.db", ".DS_Store", "__MACOSX/a"]
    assert "(1 other files)" in rejection(zip_of([*side_files, "notes.txt"]))[1]
    assert code(zip_of(side_files)) is ErrorCode.EMPTY_ARCHIVE


@pytest.mark.parametrize("suffix", ["jpg", "JPG", "Jpeg", "PNG", "tif", "TIFF", "webp", "HEIC", "heif", "DNG"])
def test_a_readable_suffix_counts_in_any_case(suffix: str) -> None:
    assert check(zip_of(photos(5, "{}." + suffix))) == 5


def test_equal_names_in_different_folders_are_different_photos() -> None:
    assert check(zip_of([f"{folder}/DJI_0001.JPG" for folder in ("a", "b", "c", "d", "e")])) == 5


def test_a_scene_for_training_needs_its_cameras_and_images() -> None:
    assert check(zip_of([*SCENE, *IMAGES]), PipelineStep.TRAINING) == 5


@pytest.mark.parametrize("folder", ["scene/", "deep/er/", "scene\\"])
def test_a_scene_may_lie_in_a_folder(folder: str) -> None:
    names = [name.replace("/", "\\") if "\\" in folder else name for name in (*SCENE, *IMAGES)]
    assert check(zip_of([folder + name for name in names]), PipelineStep.TRAINING) == 5


@pytest.mark.parametrize("missing", SCENE)
def test_a_scene_without_one_of_its_files_is_refused_by_its_name(missing: str) -> None:
    found, message = rejection(zip_of([name for name in SCENE if name != missing] + IMAGES), PipelineStep.TRAINING)
    assert found is ErrorCode.INVALID_SCENE
    assert f"missing {missing.rpartition('/')[2]})" in message


@pytest.mark.parametrize("folder", ["sparse", "sparse/1", "colmap/sparse/0"])
@pytest.mark.parametrize("suffix", ["bin", "txt"])
def test_the_layouts_of_other_tools_are_scenes(folder: str, suffix: str) -> None:
    model = [f"{folder}/{name}.{suffix}" for name in ("cameras", "images", "points3D")]
    photos_of_all_kinds = ["a.webp", "b.tif", "c.TIFF", "d.png", "sub/e.jpeg"]
    names = [*model, *(f"images/{name}" for name in photos_of_all_kinds), "masks/a.png"]
    assert check(zip_of(names), PipelineStep.TRAINING) == 5


def test_a_scene_without_its_images_is_refused() -> None:
    assert code(zip_of(SCENE), PipelineStep.TRAINING) is ErrorCode.NO_PHOTOS


@pytest.mark.parametrize("name", ["scene.ply", "output/point_cloud/iteration_30000/point_cloud.PLY"])
def test_a_zip_with_one_splat_can_be_compressed(name: str) -> None:
    assert check(zip_of([name, "cameras.json", "__MACOSX/._scene.ply"]), PipelineStep.COMPRESSION) == 0


@pytest.mark.parametrize("names", [["a.ply", "b.ply"], ["photo.jpg"]])
def test_a_zip_without_exactly_one_splat_is_refused_with_their_number(names: list[str]) -> None:
    found, message = rejection(zip_of(names), PipelineStep.COMPRESSION)
    assert found is ErrorCode.INVALID_SPLAT
    assert f"{sum(name.endswith('.ply') for name in names)} splats" in message


@pytest.mark.parametrize("step", PipelineStep)
def test_safety_is_checked_wherever_the_pipeline_starts(step: PipelineStep) -> None:
    names = [*photos(5), *SCENE, *IMAGES, "scene.ply", "../escape.txt"]
    assert code(zip_of(names), step) is ErrorCode.UNSAFE_ARCHIVE


@pytest.mark.parametrize("step", PipelineStep)
def test_a_file_that_is_no_zip_is_refused_wherever_the_pipeline_starts(step: PipelineStep) -> None:
    assert code(b"not a zip at all", step) is ErrorCode.NOT_A_ZIP


def test_of_a_trainings_output_folder_the_last_iteration_is_the_splat() -> None:
    names = [f"out/point_cloud/iteration_{count}/point_cloud.ply" for count in (7000, 30000)]
    assert check(zip_of([*names, "out/input.ply"]), PipelineStep.COMPRESSION) == 0
