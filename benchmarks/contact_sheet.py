"""Write pictures side by side into one JPEG, small enough to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WIDTH = 400  # pixels of a picture
_QUALITY = 88


def save_sheet(path: Path, rows: Sequence[Sequence[NDArray[np.float32]]]) -> None:
    """Each picture (height, width, 3), 0..1, WIDTH pixels wide; rows may be of different lengths."""
    small = [[shrunk(picture) for picture in row] for row in rows if row]
    heights = [max(picture.height for picture in row) for row in small]
    sheet = Image.new("RGB", (WIDTH * max(map(len, small)), sum(heights)))
    for y, row in enumerate(small):
        for x, picture in enumerate(row):
            sheet.paste(picture, (x * WIDTH, sum(heights[:y])))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, quality=_QUALITY)


def shrunk(picture: NDArray[np.float32]) -> Image.Image:
    height, width = picture.shape[:2]
    image = Image.fromarray((picture.clip(0, 1) * 255 + 0.5).astype(np.uint8))
    return image.resize((WIDTH, round(height * WIDTH / width)), Image.Resampling.BOX)
