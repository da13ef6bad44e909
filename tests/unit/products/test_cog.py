"""Cloud-optimised GeoTIFFs: the layout, to the byte, read by other software."""

from __future__ import annotations

import struct
import zlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from products import cog
from products.cog import Georeference, TooLargeError, write_heights, write_picture

PLACE = Georeference(464_555.5, 5_245_411.25, 0.05, 32632, "WGS 84 / UTM zone 32N", 5783)
HEIGHT, WIDTH = 1300, 1100


def opened(path: Path) -> Any:
    """The file's directories, read by other software."""
    return tifffile.TiffFile(path)


def faults(path: Path) -> list[str]:
    """The file's violations of the rules for cloud-optimised files: those of GDAL's validator in strict mode."""
    found = []
    with opened(path) as tiff:
        pages = list(tiff.pages)
        sizes = [page.shape[:2] for page in pages if not page.tags["NewSubfileType"].value & 4]
        if max(sizes[0]) > 512 and len(sizes) < 2:
            found.append("no overviews")
        if any(b >= a for a, b in pairwise(sizes)):
            found.append("overviews do not shrink")
        if max(sizes[-1]) > 512:
            found.append("the last overview is larger than a tile")
        if not all(page.is_tiled for page in pages):
            found.append("a picture is in strips")
        ends = [page.offset for page in pages]
        if ends != sorted(ends) or ends[0] != 8:
            found.append("directories are not at the beginning, in order")
        first_data = min(min(page.dataoffsets) for page in pages)
        if max(ends) > first_data:
            found.append("a directory lies behind data")
        data = [min(page.dataoffsets) for page in pages]
        if data != sorted(data, reverse=True):
            found.append("overviews do not come before what they are of")
        for page in pages:
            if list(page.dataoffsets) != sorted(page.dataoffsets):
                found.append("tiles are not in order")
    return found


def pixels(path: Path, number: int) -> np.ndarray:
    """The picture of a directory, decoded by libtiff."""
    with Image.open(path) as image:
        image.seek(number)
        return np.array(image)


def mask_of(path: Path, number: int) -> np.ndarray:
    """The mask of a directory, which Pillow cannot read."""
    content = path.read_bytes()
    with opened(path) as tiff:
        page = tiff.pages[number]
        assert page.tags["PhotometricInterpretation"].value == 4
        across, (height, width) = -(-page.shape[1] // 512), page.shape
        out = np.zeros((-(-height // 512) * 512, across * 512), bool)
        for index, (offset, count) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
            bits = np.unpackbits(np.frombuffer(zlib.decompress(content[offset : offset + count]), np.uint8))
            top, left = index // across * 512, index % across * 512
            out[top : top + 512, left : left + 512] = bits.reshape(512, 512)
    return out[:height, :width]


@pytest.fixture
def picture() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    rgb = np.stack([x * 255 // WIDTH, y * 255 // HEIGHT, 128 + 0 * x], axis=-1).astype(np.uint8)
    return rgb, (x - 550) ** 2 + (y - 650) ** 2 < 500**2


def test_an_orthophoto_is_cloud_optimised_and_shows_the_map(
    tmp_path: Path, picture: tuple[np.ndarray, np.ndarray]
) -> None:
    rgb, valid = picture
    path = tmp_path / "ortho.tif"
    write_picture(path, rgb, valid, PLACE)
    assert faults(path) == []
    with opened(path) as tiff:
        pages = list(tiff.pages)
        assert [page.shape[:2] for page in pages] == [
            (1300, 1100), (1300, 1100), (650, 550), (650, 550), (325, 275), (325, 275)
        ]  # fmt: skip
        tags = pages[0].geotiff_tags
    found, half, mask, half_mask = pixels(path, 0), pixels(path, 2), mask_of(path, 1), mask_of(path, 3)
    assert np.abs(found.astype(int) - rgb)[valid].mean() < 2
    np.testing.assert_array_equal(mask, valid)
    np.testing.assert_array_equal(half_mask, valid.reshape(650, 2, 550, 2).any(axis=(1, 3)))
    inside = valid.reshape(650, 2, 550, 2).all(axis=(1, 3))
    assert np.abs(half.astype(float) - rgb.reshape(650, 2, 550, 2, 3).mean(axis=(1, 3)))[inside].mean() < 2
    assert tags["ModelPixelScale"] == pytest.approx([0.05, 0.05, 0])
    assert tags["ModelTiepoint"] == pytest.approx([0, 0, 0, 464_555.5, 5_245_411.25, 0])
    assert int(tags["ProjectedCSTypeGeoKey"]) == 32632


def test_heights_come_back_to_half_a_step_and_nodata_is_said(tmp_path: Path) -> None:
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    heights = (500 + 3 * np.sin(x / 70) + y / 300).astype(np.float32)
    heights[200:300, :400] = np.nan
    path = tmp_path / "surface.tif"
    write_heights(path, heights, PLACE, 0.005)
    assert faults(path) == []
    with opened(path) as tiff:
        assert tiff.pages[0].tags["GDAL_NODATA"].value.strip("\0") == "-9999"
        assert int(tiff.pages[0].geotiff_tags["VerticalCSTypeGeoKey"]) == 5783
    found, half = pixels(path, 0), pixels(path, 1)
    known = np.isfinite(heights)
    np.testing.assert_array_equal(found == -9999, ~known)
    assert np.abs(found - heights)[known].max() <= 0.0026
    assert (half == -9999).sum() == 50 * 200
    assert half[400, 300] == pytest.approx(heights[800:802, 600:602].mean(), abs=0.005)


def test_a_small_map_needs_no_overview(tmp_path: Path) -> None:
    write_heights(tmp_path / "a.tif", np.full((3, 5), 1.0, np.float32), PLACE, 0.01)
    assert faults(tmp_path / "a.tif") == []
    with opened(tmp_path / "a.tif") as tiff:
        assert len(tiff.pages) == 1
    np.testing.assert_array_equal(pixels(tmp_path / "a.tif", 0), np.ones((3, 5), np.float32))


def test_a_system_without_a_code_is_user_defined(tmp_path: Path) -> None:
    place = Georeference(0.0, 0.0, 1.0, None, "a surveyor's own")
    write_heights(tmp_path / "a.tif", np.zeros((2, 2), np.float32), place, 0.01)
    with opened(tmp_path / "a.tif") as tiff:
        tags: dict[str, Any] = tiff.pages[0].geotiff_tags
    assert int(tags["ProjectedCSTypeGeoKey"]) == 32767
    assert tags["GTCitationGeoKey"] == "a surveyor's own"


def test_a_file_that_no_tiff_can_be_is_refused_before_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cog, "MAX_BYTES", 1000)
    with pytest.raises(TooLargeError, match=r"a\.tif"):
        write_heights(tmp_path / "a.tif", np.random.default_rng(0).random((99, 99), np.float32), PLACE, 1e-6)
    assert list(tmp_path.iterdir()) == []


def test_the_header_is_that_of_a_little_endian_tiff(tmp_path: Path) -> None:
    write_heights(tmp_path / "a.tif", np.zeros((2, 2), np.float32), PLACE, 0.01)
    assert struct.unpack("<2sHI", (tmp_path / "a.tif").read_bytes()[:8]) == (b"II", 42, 8)
