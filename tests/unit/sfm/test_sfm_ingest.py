"""Photos in every format and condition that a customer may send."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION

from contract.codes import ErrorCode
from sfm.ingest import ingest, natural_key
from sfm.photos import Photo, SkippedPhoto
from stage.archive import UnpackedFile
from stage.errors import StageError
from tests.support.corpus import PANORAMA, encoded, unpacked


def picture(width: int = 240, height: int = 180, seed: int = 0) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 255, (height // 20, width // 20, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def dng(image: Image.Image, xmp: bytes = b"") -> bytes:
    """An uncompressed 16-bit DNG of an RGGB sensor (Adobe DNG Specification 1.4), as large as LibRaw accepts."""
    pixels = np.asarray(image, np.uint16) * 128
    mosaic = pixels[..., 1].copy()
    mosaic[0::2, 0::2], mosaic[1::2, 1::2] = pixels[0::2, 0::2, 0], pixels[1::2, 1::2, 2]
    raw = mosaic.astype("<u2").tobytes()
    rational = struct.Struct("<2I").pack
    matrix = b"".join(struct.pack("<2i", value, 1000) for value in (1000, 0, 0, 0, 1000, 0, 0, 0, 1000))
    tags = [
        (254, 4, struct.pack("<I", 0)), (256, 4, struct.pack("<I", image.width)),
        (257, 4, struct.pack("<I", image.height)), (258, 3, struct.pack("<H", 16)), (259, 3, struct.pack("<H", 1)),
        (262, 3, struct.pack("<H", 32803)), (271, 2, b"DJI\0"), (272, 2, b"FC6310\0"),
        (273, 4, b"RAW!"), (274, 3, struct.pack("<H", 1)), (277, 3, struct.pack("<H", 1)),
        (278, 4, struct.pack("<I", image.height)), (279, 4, struct.pack("<I", len(raw))),
        *([(700, 1, xmp)] if xmp else []),
        (33421, 3, struct.pack("<2H", 2, 2)), (33422, 1, bytes([0, 1, 1, 2])), (34665, 4, b"EXIF"),
        (50706, 1, bytes([1, 4, 0, 0])), (50708, 2, b"DJI FC6310\0"), (50717, 4, struct.pack("<I", 128 * 255)),
        (50721, 10, matrix), (50728, 5, rational(1, 1) * 3), (50778, 3, struct.pack("<H", 21)),
    ]  # fmt: skip
    sizes = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 10: 8}
    place = 8 + 2 + 12 * len(tags) + 4
    exif_at = place + sum(len(value) + len(value) % 2 for _, _, value in tags if len(value) > 4)
    focal = struct.pack("<HHHIII", 1, 37386, 5, 1, exif_at + 18, 0) + rational(88, 10)
    links = {b"RAW!": struct.pack("<I", exif_at + len(focal)), b"EXIF": struct.pack("<I", exif_at)}
    entries, extra = b"", b""
    for tag, kind, value in tags:
        entries += struct.pack("<HHI", tag, kind, len(value) // sizes[kind])
        if len(value) > 4:
            entries += struct.pack("<I", place + len(extra))
            extra += value + b"\0" * (len(value) % 2)
        else:
            entries += links.get(value, value).ljust(4, b"\0")
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + extra + focal + raw


def run(
    tmp_path: Path, files: dict[str, bytes], damaged: tuple[str, ...] = ()
) -> tuple[list[Photo], list[SkippedPhoto]]:
    shares: list[float] = []
    result = ingest(unpacked(tmp_path / "source", files), damaged, tmp_path / "photos", 2, shares.append)
    count = len(files) + len(damaged)
    assert shares == [done / count for done in range(1, count + 1)]
    seconds = [SkippedPhoto(image.name, image.original, image.shot.reason) for image in result.second_images]
    return result.photos, sorted(result.skipped + seconds, key=lambda photo: photo.name)


def test_a_good_jpeg_is_moved_unchanged_and_named_by_number(tmp_path: Path) -> None:
    data = encoded(picture(), quality=90)
    photos, skipped = run(tmp_path, {"b/DJI_10.JPG": encoded(picture(seed=1)), "b/DJI_9.JPG": data})
    assert [(p.name, p.original) for p in photos] == [("000001.jpg", "b/DJI_9.JPG"), ("000002.jpg", "b/DJI_10.JPG")]
    assert photos[0].path == tmp_path / "photos" / "000001.jpg"
    assert photos[0].path.read_bytes() == data
    assert (photos[0].width, photos[0].height) == (240, 180)
    assert skipped == []


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "HEIF"])
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


def with_tag(tiff: bytes, tag: int, value: int) -> bytes:
    """The TIFF with another value of a tag that holds a SHORT."""
    changed, count = re.subn(
        re.escape(struct.pack("<HHI", tag, 3, 1)) + b"..", struct.pack("<HHIH", tag, 3, 1, value), tiff, flags=re.DOTALL
    )
    assert count == 1
    return changed


def test_sixteen_bits_whose_zero_is_white_are_not_read_as_a_negative(tmp_path: Path) -> None:
    grey = np.asarray(picture().convert("L"), np.uint16) * 200 + 100
    body = with_tag(encoded(Image.fromarray(65535 - grey), "TIFF"), PHOTOMETRIC_INTERPRETATION, 0)
    (photo,), _ = run(tmp_path, {"a.tif": body})
    with Image.open(photo.path) as result:
        shown = np.asarray(result.convert("L"), float).ravel()
    assert np.corrcoef(shown, grey.ravel())[0, 1] > 0.99


def test_a_tiff_that_cannot_be_read_is_named_with_what_to_do(tmp_path: Path) -> None:
    floats = encoded(Image.fromarray(np.asarray(picture().convert("L"), np.float32)), "TIFF")
    photos, (skipped,) = run(tmp_path, {"a.tif": with_tag(floats, BITSPERSAMPLE, 64), "b.tif": floats})
    assert [photo.original for photo in photos] == ["b.tif"]
    assert skipped.reason.endswith("of an unsupported kind: export it as RGB with 8 bits per channel")


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


def test_a_dng_is_developed_with_its_tags(tmp_path: Path) -> None:
    (photo,), _ = run(tmp_path, {"raw/DJI_1.DNG": dng(picture())})
    with Image.open(photo.path) as image:
        assert (image.format, image.size) == ("JPEG", (photo.width, photo.height))
        shown = np.asarray(image.convert("L"), float).ravel()
    truth = np.asarray(picture().convert("L"), float).ravel()
    assert np.corrcoef(shown, truth)[0, 1] > 0.8
    assert (photo.metadata.make, photo.metadata.model) == ("DJI", "FC6310")
    assert photo.metadata.focal == pytest.approx(8.8 / np.hypot(13.2, 8.8) * np.hypot(photo.width, photo.height))


def test_the_xmp_of_a_dng_is_read(tmp_path: Path) -> None:
    packet = b'<x:xmpmeta drone-dji:GimbalPitchDegree="-60.0" drone-dji:GimbalRollDegree="0" />'
    (photo,), _ = run(tmp_path, {"DJI_1.DNG": dng(picture(), packet)})
    assert photo.metadata.gimbal is not None
    assert photo.metadata.gimbal.pitch == -60.0


def test_a_cut_dng_is_named(tmp_path: Path) -> None:
    whole = dng(picture())
    photos, (skipped,) = run(tmp_path, {"a.dng": whole[: len(whole) // 2], "b.jpg": encoded(picture())})
    assert len(photos) == 1
    assert "cut off" in skipped.reason


def test_the_same_shot_as_raw_and_jpeg_or_with_other_metadata_counts_once(tmp_path: Path) -> None:
    data = encoded(picture(), "PNG")
    files = {"a/DJI_1.JPG": encoded(picture(seed=1)), "a/DJI_1.DNG": dng(picture(seed=1)), "x.png": data}
    photos, skipped = run(tmp_path, files | {"y.tif": encoded(picture(), "TIFF")})
    assert [photo.original for photo in photos] == ["a/DJI_1.JPG", "x.png"]
    assert {s.original: s.reason for s in skipped} == {
        "a/DJI_1.DNG": "same shot as a/DJI_1.JPG",
        "y.tif": "same photo as x.png",
    }


def test_more_pixels_than_memory_allows_are_refused_before_decoding(tmp_path: Path) -> None:
    huge = bytearray(encoded(Image.new("L", (64, 64)), "PNG"))
    huge[16:24] = (40_000).to_bytes(4, "big") * 2
    huge[29:33] = zlib.crc32(huge[12:29]).to_bytes(4, "big")
    _, (skipped,) = run(tmp_path, {"huge.png": bytes(huge)})
    assert "too many" in skipped.reason


def test_a_side_longer_than_a_jpeg_may_have_is_refused(tmp_path: Path) -> None:
    strip = encoded(Image.effect_noise((65_600, 8), 90), "PNG")
    _, (skipped,) = run(tmp_path, {"line scan.png": strip})
    assert skipped.reason == "has 65600 × 8 pixels are too many"


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


@pytest.mark.parametrize("kind", ["EPS", "GIF", "BMP", "ICO", "PPM", "TGA", "PDF", "DDS"])
def test_formats_are_told_by_content_against_a_list(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow knows forty, and starts Ghostscript for one of them, whatever a file's name is."""
    monkeypatch.setattr("subprocess.check_call", lambda *_, **__: pytest.fail("Ghostscript was started"))
    photos, skipped = run(tmp_path, {"a.jpg": encoded(picture(), kind)})
    assert photos == []
    assert [row.reason for row in skipped] == ["is not a photo, or its beginning is damaged"]


def test_progress_may_stop_the_work(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(picture()))

    def stop(_share: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        ingest([UnpackedFile("a.jpg", path)], [], tmp_path / "photos", 1, stop)


def test_numbers_in_names_sort_by_value() -> None:
    assert sorted(["DJI_10", "DJI_9", "a2b", "a10b", "A"], key=natural_key) == ["A", "DJI_9", "DJI_10", "a2b", "a10b"]


def test_photos_of_a_360_camera_are_refused_by_their_own_code(tmp_path: Path) -> None:
    files = {f"{k}.jpg": encoded(picture(480, 240, seed=k), xmp=PANORAMA) for k in range(6)}
    with pytest.raises(StageError) as caught:
        run(tmp_path, files)
    assert caught.value.code is ErrorCode.PANORAMA


def test_a_panorama_among_photos_is_left_out(tmp_path: Path) -> None:
    files = {f"{k}.jpg": encoded(picture(seed=k)) for k in range(6)}
    photos, skipped = run(tmp_path, {**files, "round.jpg": encoded(picture(480, 240, seed=9), xmp=PANORAMA)})
    assert len(photos) == 6
    assert [photo.original for photo in skipped] == ["round.jpg"]
