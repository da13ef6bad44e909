"""Thermal pictures, spectral bands, masks, previews and panoramas beside photos, recognised by their contents."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from contract.shots import Kind
from sfm.content import by_size, is_grey
from sfm.ingest import Ingested, ingest
from sfm.masks import mask_of, read_mask
from sfm.stage import reconstruct_scene
from stage.contract import run_stage
from tests.support.corpus import encoded, unpacked
from tests.unit.sfm.test_sfm_ingest import dng, picture

XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description drone-dji:{0}="{1}"/></x:xmpmeta>'


def ingested(folder: Path, files: dict[str, bytes]) -> Ingested:
    return ingest(unpacked(folder / "source", files), [], folder / "photos", 2, lambda _share: None)


def colour(count: int = 6, width: int = 480, height: int = 360) -> dict[str, bytes]:
    return {f"DJI_{n:04d}.JPG": encoded(picture(width, height, seed=n)) for n in range(1, count + 1)}


def kinds(result: Ingested) -> dict[str, Kind]:
    return {image.original: image.shot.kind for image in result.second_images}


def grey(seed: int) -> Image.Image:
    return picture(seed=seed).convert("L")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (encoded(picture(seed=90), xmp=XMP.format("ImageSource", "InfraredCamera").encode()), Kind.THERMAL),
        (encoded(grey(90), "TIFF", tiffinfo={700: XMP.format("BandName", "NIR").encode()}), Kind.BAND),
        (
            encoded(picture(480, 240, seed=90), xmp=b'<r:D GPano:ProjectionType="equirectangular"/>'),
            Kind.PANORAMA,
        ),
    ],
)  # fmt: skip
def test_a_file_that_says_what_it_is_is_believed(tmp_path: Path, data: bytes, kind: Kind) -> None:
    result = ingested(tmp_path, colour() | {"DJI_0090.JPG": data})
    assert kinds(result) == {"DJI_0090.JPG": kind}
    assert [photo.original for photo in result.photos] == sorted(colour())
    assert sorted(path.name for path in (tmp_path / "photos").iterdir()) == [photo.name for photo in result.photos]


def in_lab(image: Image.Image) -> Image.Image:
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    found = ImageCms.profileToProfile(image, srgb, lab, outputMode="LAB")
    assert found is not None
    assert found.mode == "LAB"
    return found


def test_a_picture_in_lab_is_in_colour_unless_it_shows_none() -> None:
    assert not is_grey(in_lab(picture()))
    assert is_grey(in_lab(grey(0).convert("RGB")))


def test_grey_pictures_of_a_second_camera_are_bands_and_a_single_one_is_a_photo(tmp_path: Path) -> None:
    greys = {f"band_{n}.tif": encoded(grey(n + 50), "TIFF") for n in range(5)}
    for name in ("many", "one"):
        (tmp_path / name).mkdir()
    assert kinds(ingested(tmp_path / "many", colour() | greys)) == dict.fromkeys(greys, Kind.BAND)
    single = {"old.tif": greys["band_0.tif"]}
    assert kinds(ingested(tmp_path / "one", colour() | single)) == {}


def test_a_grey_picture_of_the_time_of_a_colour_photo_is_a_band(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[36867] = "2026:05:01 12:00:00"
    files = colour() | {"x.jpg": encoded(picture(seed=70), exif=exif), "y.jpg": encoded(grey(71), exif=exif)}
    assert kinds(ingested(tmp_path, files)) == {"y.jpg": Kind.BAND}


def test_much_smaller_pictures_are_thermal_ones_or_previews() -> None:
    photos = dict.fromkeys("abcdef", (4000, 3000))
    assert {key: shot.kind for key, shot in by_size({**photos, "t": (640, 512), "p": (160, 120)}).items()} == {
        "t": Kind.THERMAL,
        "p": Kind.PREVIEW,
    }
    assert by_size({**photos, "half": (2000, 1500), "crop": (4000, 2250)}) == {}
    assert by_size(dict.fromkeys("abcdef", (640, 512))) == {}  # a purely thermal flight
    halves = {**dict.fromkeys("tuvwxyz", (640, 512)), **photos}
    assert set(by_size(halves)) == set("tuvwxyz")


def test_a_raw_file_counts_where_the_camera_developed_none(tmp_path: Path) -> None:
    result = ingested(
        tmp_path, colour() | {"DJI_0001.DNG": dng(picture(seed=1)), "DJI_0099.DNG": dng(picture(seed=99))}
    )
    assert {image.original: image.shot.reason for image in result.second_images} == {
        "DJI_0001.DNG": "same shot as DJI_0001.JPG"
    }
    assert "DJI_0099.DNG" in {photo.original for photo in result.photos}


def half_black(size: tuple[int, int]) -> Image.Image:
    """A picture whose left half is black."""
    shown = np.full(size[::-1], 255, np.uint8)
    shown[:, : size[0] // 2] = 0
    return Image.fromarray(shown)


def test_masks_are_stored_in_their_photos_size_and_the_others_named(tmp_path: Path) -> None:
    files = colour() | {
        "DJI_0001_mask.JPG": encoded(half_black((480, 360)).convert("RGB")),
        "masks/DJI_0002.png": encoded(half_black((240, 180)), "PNG"),
        "DJI_0003_mask.png": encoded(half_black((480, 360)).convert("1"), "PNG"),
        "DJI_0004_mask.png": encoded(half_black((300, 300)), "PNG"),  # of another aspect ratio
        "DJI_0099_mask.png": encoded(half_black((480, 360)), "PNG"),  # of a photo that does not exist
        "DJI_0005_mask.png": b"no picture",
    }
    result = ingested(tmp_path, files)
    assert set(kinds(result)) == set(files) - set(colour())
    assert sorted(result.unused_masks) == ["DJI_0004_mask.png", "DJI_0005_mask.png", "DJI_0099_mask.png"]
    for photo in result.photos[:3]:
        mask = read_mask(photo.path)
        assert mask is not None
        assert mask.shape == (360, 480)
        assert (mask[:, :235].max(), mask[:, 245:].min()) == (0, 255)
    assert [mask_of(photo.path).exists() for photo in result.photos[3:]] == [False, False, False]


@pytest.mark.parametrize("white", [1, 255, 65535])
def test_a_mask_is_read_by_its_own_range(tmp_path: Path, white: int) -> None:
    mask = np.zeros((360, 480), np.uint16 if white > 255 else np.uint8)
    mask[:, 240:] = white
    files = {"a.jpg": encoded(picture(480, 360)), "a_mask.png": encoded(Image.fromarray(mask), "PNG")}
    (photo,) = ingested(tmp_path, files).photos
    stored = read_mask(photo.path)
    assert stored is not None
    assert (stored == np.where(mask, 255, 0)).all()


@pytest.mark.parametrize("drawn", ["as stored", "upright"])
def test_the_mask_of_a_turned_photo_is_turned_with_it(tmp_path: Path, drawn: str) -> None:
    exif = Image.Exif()
    exif[274] = 6
    upright = half_black((360, 480))
    mask = upright.transpose(Image.Transpose.ROTATE_90) if drawn == "as stored" else upright
    files = {"a.jpg": encoded(picture(480, 360), exif=exif), "a_mask.png": encoded(mask, "PNG")}
    (photo,) = ingested(tmp_path, files).photos
    stored = read_mask(photo.path)
    assert stored is not None
    assert (stored == np.asarray(upright)).all()


@pytest.fixture(scope="module")
def scene(flight: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run: a flight with a thermal picture more than photos, masks, and the other files of a memory card."""
    root = tmp_path_factory.mktemp("ml")
    names = [f"DJI_2026050112300{n}_000{n}" for n in range(len(flight.photos))]
    upload = root / "processing" / "input" / "upload"
    upload.mkdir(parents=True)
    with zipfile.ZipFile(upload / "photos.zip", "w") as archive:
        for name, data in list(zip(names, flight.photos.values(), strict=True))[1:]:
            archive.writestr(f"{name}_V.JPG", data)
            archive.writestr(f"{name}_V_mask.png", encoded(half_black((640, 480)), "PNG"))
        for seed, name in enumerate(names):
            archive.writestr(f"{name}_T.JPG", encoded(picture(320, 256, seed)))
        for side in ("DJI_0001.SRT", "DJI_Timestamp.MRK", "base.RINEX", "rover.NAV", "base.24o.gz", "PPKRAW.BIN"):
            archive.writestr(side, b"0")
        archive.writestr("yesterday.zip", b"PK")
    assert run_stage("sfm", lambda folders: folders.processing_output, reconstruct_scene, {"ML_ROOT": str(root)}) == 0
    return root / "processing" / "output"


def test_the_visible_scene_is_made_of_its_own_photos_and_counted_by_them(scene: Path) -> None:
    result = json.loads((scene / "result.json").read_text())
    assert {name: result["counts"][name] for name in ("photos", "usable", "registered")} == {
        "photos": 7,
        "usable": 7,
        "registered": 7,
    }
    warnings = {warning["code"]: warning for warning in result["warnings"]}
    assert set(warnings) == {"SECOND_IMAGES", "NESTED_ARCHIVES"}
    assert "8 thermal pictures, 7 masks" in warnings["SECOND_IMAGES"]["message"]
    assert warnings["NESTED_ARCHIVES"]["names"] == ["yesterday.zip"]
    rows = json.loads((scene / "photos.json").read_text())
    assert {row.get("kind", "photo") for row in rows if row["registered"]} == {"photo"}
    assert sum(row.get("kind") == "thermal" for row in rows) == 8


def test_masks_hide_features_and_go_on_to_training(scene: Path) -> None:
    photos = sorted((scene / "images").iterdir())
    assert [f"{photo.name}.png" for photo in photos] == sorted(path.name for path in (scene / "masks").iterdir())
    with Image.open(photos[0]) as photo, Image.open(scene / "masks" / f"{photos[0].name}.png") as mask:
        assert mask.size == photo.size
        shown = np.asarray(mask)
    middle = shown.shape[1] // 2
    assert (shown[:, : middle - 10].max(), shown[:, middle + 10 :].min()) == (0, 255)


def test_the_sparse_points_are_seen_where_the_masks_are_white(scene: Path) -> None:
    import pycolmap

    model = pycolmap.Reconstruction(scene / "sparse" / "0")
    for image in model.images.values():
        width = model.camera(image.camera_id).width
        assert min(point.xy[0] for point in image.points2D) > width / 2 - 5
