"""Small uploads of every kind that pilots, cameras and tools make, built from nothing."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from tests.support.films import small_film

PHOTOS = 6
PANORAMA = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><d GPano:ProjectionType="equirectangular"/></x:xmpmeta>'


def picture(seed: int, size: tuple[int, int] = (320, 240), grey: bool = False) -> Image.Image:
    """Blocks of random colours, another picture for each seed."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 255, (size[1] // 16, size[0] // 16, 3), dtype=np.uint8))
    large = coarse.resize(size, Image.Resampling.BICUBIC)
    return large.convert("L") if grey else large


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def photos(pattern: str = "DJI_{:04d}.JPG", count: int = PHOTOS, first: int = 0) -> dict[str, bytes]:
    return {pattern.format(k + 1): encoded(picture(first + k)) for k in range(count)}


def packed(files: Mapping[str, bytes], method: int = zipfile.ZIP_STORED, twice: str = "", claimed: int = 0) -> bytes:
    """A ZIP. `twice`: an entry that is written a second time; `claimed`: a method that all entries are said to have."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, body in files.items():
            archive.writestr(zipfile.ZipInfo(name), body, method)
    body = buffer.getvalue()
    if twice:
        body = _doubled(files, twice)
    if claimed:
        for mark, at in ((b"PK\1\2", 10), (b"PK\3\4", 8)):
            place = body.find(mark)
            while place >= 0:
                body = body[: place + at] + struct.pack("<H", claimed) + body[place + at + 2 :]
                place = body.find(mark, place + 4)
    return body


def without_utf8_flag(body: bytes) -> bytes:
    """As macOS writes names: UTF-8, and not said to be."""
    changed = bytearray(body)
    for mark, at in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        place = changed.find(mark)
        while place >= 0:
            flags = struct.unpack_from("<H", changed, place + at)[0]
            struct.pack_into("<H", changed, place + at, flags & ~0x800)
            place = changed.find(mark, place + 4)
    return bytes(changed)


def film(folder: Path, **coding: str | bool) -> bytes:
    """A film of four seconds, ten frames a second; `coding` as `small_film` has it."""
    path = folder / "film.mp4"
    small_film(path, 4.0, 10.0, **coding)
    return path.read_bytes()


def _doubled(files: Mapping[str, bytes], name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for entry, body in (*files.items(), ("_" * len(name), files[name])):
            archive.writestr(zipfile.ZipInfo(entry), body)
    return buffer.getvalue().replace(b"_" * len(name), name.encode())
