"""Small uploads of every kind that pilots, cameras and tools make, generated from scratch."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from stage.archive import UnpackedFile

PHOTOS = 6
PANORAMA = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><d GPano:ProjectionType="equirectangular"/></x:xmpmeta>'


def picture(seed: int, size: tuple[int, int] = (320, 240), grey: bool = False) -> Image.Image:
    """Blocks of random colours, a different picture for each seed."""
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


def unpacked(folder: Path, files: Mapping[str, bytes]) -> list[UnpackedFile]:
    """Writes the files to `folder`, which is created, as unpacking does."""
    folder.mkdir()
    found = []
    for index, (name, body) in enumerate(files.items()):
        path = folder / f"{index}{Path(name).suffix}"
        path.write_bytes(body)
        found.append(UnpackedFile(name, path))
    return found
