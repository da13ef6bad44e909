"""Photos in every format and state a customer may send."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfm.ingest import ingest, natural_key
from sfm.photos import Photo, SkippedPhoto
from stage.archive import UnpackedFile


def picture(width: int = 240, height: int = 180, seed: int = 0) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 255, (height // 20, width // 20, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def run(
    tmp_path: Path, files: dict[str, bytes], damaged: tuple[str, ...] = ()
) -> tuple[list[Photo], list[SkippedPhoto]]:
    source = tmp_path / "source"
    source.mkdir()
    unpacked = []
    for index, (name, data) in enumerate(files.items()):
        path = source / f"{index}.bin"
        path.write_bytes(data)
        unpacked.append(UnpackedFile(name, path))
    done: list[int] = []
    result = ingest(unpacked, damaged, tmp_path / "photos", 2, done.append)
    assert done == list(range(1, len(files) + len(damaged) + 1))
    return result


def test_a_good_jpeg_is_moved_unchanged_and_named_by_number(tmp_path: Path) -> None:
    data = encoded(picture(), quality=90)
    photos, skipped = run(tmp_path, {"b/DJI_10.JPG": encoded(picture(seed=1)), "b/DJI_9.JPG": data})
    assert [(p.name, p.original) for p in photos] == [("000001.jpg", "b/DJI_9.JPG"), ("000002.jpg", "b/DJI_10.JPG")]
    assert photos[0].path == tmp_path / "photos" / "000001.jpg"
    assert photos[0].path.read_bytes() == data
    assert (photos[0].width, photos[0].height) == (240, 180)
    assert skipped == []


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_other_formats_become_rgb_jpegs(tmp_path: Path, kind: str) -> None:
    (photo,), _ = run(tmp_path, {"a": encoded(picture(), kind)})
    with Image.open(photo.path) as image:
        assert (image.format, image.mode) == ("JPEG", "RGB")
        difference = np.abs(np.asarray(image, float) - np.asarray(picture(), float))
    assert difference.mean() < 4


@pytest.mark.parametrize("mode", ["L", "CMYK", "P", "RGBA", "I;16"])
def test_other_modes_become_rgb_with_the_same_picture(tmp_path: Path, mode: str) -> None:
    if mode == "I;16":
        image = Image.fromarray((np.asarray(picture().convert("L"), np.uint16) * 200 + 100).astype(np.uint16))
    else:
        image = picture().convert(mode)
    (photo,), _ = run(tmp_path, {"a": encoded(image, "TIFF" if mode in ("CMYK", "I;16") else "PNG")})
    with Image.open(photo.path) as result:
        assert result.mode == "RGB"
        grey = np.asarray(result.convert("L"), float).ravel()
    assert np.corrcoef(grey, np.asarray(picture().convert("L"), float).ravel())[0, 1] > 0.94


@pytest.mark.parametrize("orientation", range(2, 9))
def test_photos_are_turned_upright(tmp_path: Path, orientation: int) -> None:
    stored = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    exif = Image.Exif()
    exif[274] = orientation
    data = encoded(picture().transpose(stored[orientation]), quality=95, exif=exif)
    (photo,), _ = run(tmp_path, {"a.jpg": data})
    assert (photo.width, photo.height) == (240, 180)
    with Image.open(photo.path) as image:
        assert image.getexif().get(274, 1) == 1
        assert np.abs(np.asarray(image, float) - np.asarray(picture(), float)).mean() < 4


def test_an_orientation_that_does_not_exist_is_ignored(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 77
    (photo,), _ = run(tmp_path, {"a.jpg": encoded(picture(), exif=exif)})
    assert (photo.width, photo.height) == (240, 180)


def test_what_cannot_be_used_is_named_with_the_reason(tmp_path: Path) -> None:
    good = encoded(picture())
    files = {
        "good.jpg": good,
        "same.jpg": good,
        "cut.jpg": good[: len(good) * 2 // 3],
        "empty.jpg": b"",
        "text.jpg": b"this is no photo" * 100,
        "dot.png": encoded(Image.new("RGB", (1, 1)), "PNG"),
        "black.jpg": encoded(Image.new("RGB", (400, 300))),
    }
    photos, skipped = run(tmp_path, files, damaged=("torn.jpg",))
    assert [photo.original for photo in photos] == ["good.jpg"]
    reasons = {photo.original: photo.reason for photo in skipped}
    assert set(reasons) == {*files, "torn.jpg"} - {"good.jpg"}
    assert reasons["same.jpg"] == "same photo as good.jpg"
    assert "cut off" in reasons["cut.jpg"]
    assert "not a photo" in reasons["empty.jpg"]
    assert "not a photo" in reasons["text.jpg"]
    assert "1 × 1" in reasons["dot.png"]
    assert "flat colour" in reasons["black.jpg"]
    assert "damaged" in reasons["torn.jpg"]
    assert str(tmp_path) not in " ".join(reasons.values())
    assert sorted(path.name for path in (tmp_path / "photos").iterdir()) == [photos[0].name]


def test_progress_may_stop_the_work(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(picture()))

    def stop(_done: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        ingest([UnpackedFile("a.jpg", path)], [], tmp_path / "photos", 1, stop)


def test_numbers_in_names_sort_by_value() -> None:
    assert sorted(["DJI_10", "DJI_9", "a2b", "a10b", "A"], key=natural_key) == ["A", "DJI_9", "DJI_10", "a2b", "a10b"]
