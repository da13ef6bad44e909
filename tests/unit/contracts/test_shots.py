"""Names that cameras and tools give to second images of a shot are recognised, and photos are not taken for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.counts import MIN_PHOTOS
from contract.shots import Kind, by_name, described, photos_of, second_images
from tests.support.calls import calls_of

NUMBERS = range(1, 8)


def flight(*patterns: str) -> list[str]:
    return [pattern.format(number) for number in NUMBERS for pattern in patterns]


def kinds(names: Sequence[str]) -> dict[str, Kind]:
    return {str(path): shot.kind for path, shot in by_name(map(PurePosixPath, names)).items()}


# the photos of an upload, the other files, and the kind of these
UPLOADS = {
    "Mavic 3T": (("DJI_2026050112300{0}_000{0}_V.JPG",), {"DJI_2026050112300{0}_000{0}_T.JPG": Kind.THERMAL}),
    "Mavic 3T with waypoints": (
        ("DJI_2026050112300{0}_000{0}_W_Waypoint{0}.JPG",),
        {"DJI_2026050112300{0}_000{0}_T_Waypoint{0}.JPG": Kind.THERMAL},
    ),
    "H20T": (
        ("DJI_2026050112300{0}_000{0}_W.JPG",),
        {
            "DJI_2026050112300{0}_000{0}_Z.JPG": Kind.ZOOM,
            "DJI_2026050112309{0}_000{0}_T.JPG": Kind.THERMAL,  # the lenses' clocks differ
        },
    ),
    "H20T of older firmware": (
        ("DJI_2026050112300{0}_000{0}_WIDE.JPG",),
        {
            "DJI_2026050112300{0}_000{0}_ZOOM.JPG": Kind.ZOOM,
            "DJI_2026050112300{0}_000{0}_THRM.JPG": Kind.THERMAL,
        },
    ),
    "XT2, which counts the lenses' pictures on": (("DJI_00{0}1.jpg",), {"DJI_00{0}2_R.JPG": Kind.THERMAL}),
    "Mavic 2 Enterprise": (("DJI_00{0}1_W.JPG",), {"DJI_00{0}2_T.JPG": Kind.THERMAL}),
    "Autel": (("MAX_000{0}.JPG",), {"IRX_000{0}.JPG": Kind.THERMAL}),
    "tagged by a tool": (("pic{0}.jpg",), {"pic{0}_IR.jpg": Kind.THERMAL}),
    "thermal in a folder": (("rgb/a{0}.jpg",), {"Thermal/b{0}.jpg": Kind.THERMAL}),
    "Mavic 3M": (
        ("DJI_20260501120{0}_000{0}_D.JPG",),
        {f"DJI_20260501120{{0}}_000{{0}}_MS_{band}.TIF": Kind.BAND for band in ("G", "R", "RE", "NIR")},
    ),
    "Phantom 4 Multispectral": (
        ("DJI_00{0}0.JPG",),
        {f"DJI_00{{0}}{band}.TIF": Kind.BAND for band in range(1, 6)},
    ),
    "Sequoia": (
        ("IMG_170101_00{0}_RGB.JPG",),
        {f"IMG_170101_00{{0}}_{band}.TIF": Kind.BAND for band in ("GRE", "RED", "REG", "NIR")},
    ),
    "RedEdge": (
        ("IMG_000{0}_2.tif",),
        {f"IMG_000{{0}}_{band}.tif": Kind.BAND for band in (1, 3, 4, 5)},
    ),
    "OpenDroneMap's masks": (("a{0}.JPG",), {"a{0}_mask.JPG": Kind.MASK}),
    "COLMAP's masks": (("images/a{0}.jpg",), {"masks/a{0}.jpg.png": Kind.MASK}),
    "Metashape's masks": (("p/a{0}.jpg",), {"p/masks/a{0}_mask.png": Kind.MASK}),
    "masks with a dot": (("a{0}.jpg",), {"a{0}.JPG.mask.png": Kind.MASK}),
    "previews": (
        ("DCIM/100MEDIA/DJI_000{0}.JPG",),
        {"MISC/THM/100/DJI_000{0}.JPG": Kind.PREVIEW, "DCIM/100MEDIA/DJI_000{0}_thumb.jpg": Kind.PREVIEW},
    ),
    "raw twins": (("a{0}.JPG",), {"a{0}.DNG": Kind.TWIN, "RAW/a{0}.dng": Kind.TWIN, "a{0}.tif": Kind.TWIN}),
    "panoramas": (("DJI_000{0}.JPG",), {"PANO_000{0}.JPG": Kind.PANORAMA, "DJI_000{0}_PANO.jpg": Kind.PANORAMA}),
}


@pytest.mark.parametrize("upload", UPLOADS)
def test_second_images_are_told_by_the_names_that_cameras_give(upload: str) -> None:
    patterns, beside = UPLOADS[upload]
    shots = by_name(map(PurePosixPath, flight(*patterns, *beside)))
    assert [str(path) for path in photos_of(shots)] == flight(*patterns)
    found = {str(path): shot.kind for path, shot in second_images(shots).items()}
    assert found == {pattern.format(number): kind for pattern, kind in beside.items() for number in NUMBERS}


@pytest.mark.parametrize("upload", UPLOADS)
def test_what_a_picture_is_does_not_depend_on_the_order_of_the_archive(upload: str) -> None:
    names = flight(*UPLOADS[upload][0], *UPLOADS[upload][1])
    assert kinds(names) == kinds(names[::-1])


@pytest.mark.parametrize(
    "pattern",
    [
        "DJI_000{0}.JPG", "DJI_20260501120{0}_000{0}_V.JPG", "DJI_20260501120{0}_000{0}_Z.JPG", "IMG_000{0}.HEIC",
        "2024_{0}.tif", "house_{0}.png", "day_001_{0}.tif", "GOPR000{0}.JPG", "carnival_mask_{0}.jpg", "a{0}.dng",
        "masks/{0}.jpg", "thumbs/{0}.jpg", "{0}_T.jpg", "PANO_{0}.jpg", "{0}_mask.jpg", "DJI_001{0}.TIF",
        "tile_{0}_R.tif",
    ],
)  # fmt: skip
def test_an_upload_of_photos_alone_is_one_of_photos(pattern: str) -> None:
    shots = by_name(map(PurePosixPath, flight(pattern)))
    assert len(photos_of(shots)) == len(NUMBERS)


def test_one_thermal_picture_more_than_visible_ones_does_not_make_a_thermal_scene() -> None:
    names = flight("DJI_2026050112300{0}_000{0}_V.JPG")[1:] + flight("DJI_2026050112300{0}_000{0}_T.JPG")
    shots = by_name(map(PurePosixPath, names))
    assert {path.stem[-1] for path in photos_of(shots)} == {"V"}
    assert described(second_images(shots).values()) == "7 thermal pictures"


def test_thermal_pictures_alone_make_a_thermal_scene() -> None:
    few = flight("DJI_2026050112300{0}_000{0}_V.JPG")[: MIN_PHOTOS - 1]
    shots = by_name(map(PurePosixPath, few + flight("DJI_2026050112300{0}_000{0}_T.JPG")))
    assert {path.stem[-1] for path in photos_of(shots)} == {"T"}
    assert "too few" in second_images(shots)[PurePosixPath(few[0])].reason


def test_without_colour_one_band_makes_the_scene() -> None:
    names = flight(*(f"IMG_000{{0}}_{band}.tif" for band in range(1, 7)))
    assert {path.stem[-1] for path in photos_of(by_name(map(PurePosixPath, names)))} == {"2"}  # green


def test_a_mask_belongs_to_the_photo_nearest_to_it() -> None:
    names = ["a/images/1.jpg", "a/masks/1.png", "b/images/1.jpg", "b/masks/1.png", "b/masks/9.png"]
    of = {str(path): shot.of for path, shot in by_name(map(PurePosixPath, names)).items() if shot.kind is Kind.MASK}
    assert of == {
        "a/masks/1.png": PurePosixPath("a/images/1.jpg"),
        "b/masks/1.png": PurePosixPath("b/images/1.jpg"),
        "b/masks/9.png": None,
    }


def test_a_mask_of_no_folder_near_it_belongs_to_the_only_photo_of_its_name() -> None:
    names = ["a/x/1.jpg", "b/2.jpg", "b/c/2.jpg", "masks/1.png", "masks/2.png"]
    of = {str(path): shot.of for path, shot in by_name(map(PurePosixPath, names)).items() if shot.kind is Kind.MASK}
    assert of == {"masks/1.png": PurePosixPath("a/x/1.jpg"), "masks/2.png": PurePosixPath("b/2.jpg")}


def test_folders_that_hold_the_same_names_are_not_searched_for_each_other() -> None:
    """Masks of photos with equal names: for each, only its own folders are searched."""

    def paths(count: int) -> list[PurePosixPath]:
        names = ("photo.jpg", "masks/photo_mask.jpg")
        return [PurePosixPath(f"{number}/{name}") for number in range(count) for name in names]

    shots = by_name(paths(500))
    assert sum(shot.kind is Kind.MASK for shot in shots.values()) == 500
    few, many = paths(250), paths(500)
    assert calls_of(lambda: by_name(many)) < 2.1 * calls_of(lambda: by_name(few))


words = st.sampled_from(
    ["DJI_0001", "DJI_0010", "DJI_20260501123000_0001", "IMG_0001", "a", "MAX_1", "IRX_1", "PANO_1"]
)
tags = st.sampled_from(["", "_T", "_V", "_Z", "_W", "_MS_G", "_MS_NIR", "_1", "_2", "_mask", "_thumb", ".mask", "_RED"])
folders = st.sampled_from(["", "x/", "masks/", "x/masks/", "thumbs/", "thermal/", "RAW/"])
suffixes = st.sampled_from([".JPG", ".jpg", ".tif", ".png", ".dng", ".HEIC"])
uploads = st.lists(st.tuples(folders, words, tags, suffixes).map("".join), unique=True)


@given(uploads)
def test_every_picture_is_a_photo_or_a_second_image_with_a_reason(names: list[str]) -> None:
    shots = by_name(map(PurePosixPath, names))
    photos, others = photos_of(shots), second_images(shots)
    assert sorted([*map(str, photos), *map(str, others)]) == sorted(names)
    assert all(shot.reason for shot in others.values())
    assert bool(photos) or all(shot.kind in (Kind.MASK, Kind.PREVIEW, Kind.TWIN) for shot in others.values())
    assert all(shot.of in shots and shots[shot.of].of is None for shot in others.values() if shot.of is not None)


@given(uploads)
def test_the_photos_of_a_scene_are_of_one_kind(names: list[str]) -> None:
    shots = by_name(map(PurePosixPath, names))
    assert len({(shots[photo].kind, shots[photo].band) for photo in photos_of(shots)}) <= 1
