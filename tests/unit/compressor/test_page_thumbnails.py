"""The photos' thumbnails in the page: within bounds, in the photos' order, and without their metadata."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compressor import thumbnails
from compressor.deliver.photos import Thumbnails
from compressor.thumbnails import SIDES, thumbnails_of

SIZE = (1200, 900)


def photo(path: Path, seed: int, size: tuple[int, int] = SIZE) -> str:
    """A picture whose colour identifies it, with a position in its metadata."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 60, (size[1], size[0], 3), np.uint8)
    pixels[..., seed % 3] += 150
    exif = Image.Exif()
    exif[0x010E] = "Lindenweg 5"
    Image.fromarray(pixels).save(path, "JPEG", exif=exif, comment=b"Lindenweg 5")
    return path.name


def pictures(found: Thumbnails) -> list[Image.Image]:
    ends = np.cumsum(found.sizes)
    return [
        Image.open(io.BytesIO(found.jpegs[end - size : end]))
        for end, size in zip(ends, found.sizes, strict=True)
        if size
    ]


def test_a_few_photos_have_the_largest_size_in_their_order(tmp_path: Path) -> None:
    names = [photo(tmp_path / f"{i:06d}.jpg", i) for i in range(3)]
    found = thumbnails_of(tmp_path, names)
    assert sum(found.sizes) == len(found.jpegs)
    for number, picture in enumerate(pictures(found)):
        assert picture.size == (SIDES[0], SIDES[0] * 3 // 4)
        assert int(np.asarray(picture).mean(axis=(0, 1)).argmax()) == number


def test_nothing_that_a_photo_says_of_itself_is_passed_on(tmp_path: Path) -> None:
    found = thumbnails_of(tmp_path, [photo(tmp_path / "1.jpg", 1)])
    assert b"Lindenweg" in (tmp_path / "1.jpg").read_bytes()
    assert b"Lindenweg" not in found.jpegs
    assert b"Exif" not in found.jpegs


def test_more_photos_are_smaller_and_too_many_have_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [photo(tmp_path / f"{i:06d}.jpg", i) for i in range(20)]
    sides = set()
    for bound in (600_000, 200_000, 90_000, 1000):
        monkeypatch.setattr(thumbnails, "MAX_BYTES", bound)
        monkeypatch.setattr(thumbnails, "MAX_BYTES_OF_SMALLEST", bound)
        found = thumbnails_of(tmp_path, names)
        assert len(found.jpegs) <= bound
        sides.add(pictures(found)[0].width if found.sizes else None)
    assert None in sides
    assert len(sides) > 2


def test_the_bound_holds_whatever_the_first_photos_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thumbnails' size is chosen from a few photos."""
    for i in range(17):
        Image.new("RGB", SIZE, (90, 90, 90)).save(tmp_path / f"{i:06d}.jpg")
    for i in range(1, 17, 2):  # photos that are not among those few
        photo(tmp_path / f"{i:06d}.jpg", i)
    monkeypatch.setattr(thumbnails, "MAX_BYTES", 120_000)
    found = thumbnails_of(tmp_path, [f"{i:06d}.jpg" for i in range(17)])
    assert 0 < len(found.jpegs) <= 120_000


def test_a_photo_that_is_not_there_or_none_has_no_picture_and_the_others_have(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    names = ["missing.jpg", "broken.jpg", photo(tmp_path / "2.jpg", 2), "../2.jpg"]
    found = thumbnails_of(tmp_path, names)
    assert [size > 0 for size in found.sizes] == [False, False, True, False]
    assert thumbnails_of(tmp_path / "nowhere", names) == Thumbnails()
    assert thumbnails_of(tmp_path, []) == Thumbnails()
