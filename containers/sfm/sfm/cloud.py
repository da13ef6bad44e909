"""Write cloud.json and thumbnails.jpg: cameras, sparse points and photos, small enough to show during training."""

from __future__ import annotations

import base64
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Vector = NDArray[np.float64]

MAX_POINTS = 20_000
MAX_THUMBNAILS = 60
THUMBNAIL = (160, 120)  # pixels; a cell of the sheet, the photo fitted into it
COLUMNS = 10
LOST = "#ff5a5a"
FRAME = 5  # pixels
_QUALITY = 80


def cloud_json(
    names: Sequence[str], centres: Vector, forward: Vector, points: Vector, colors: Vector, metric: bool
) -> dict[str, Any]:
    """Cameras (N, 3) with their viewing directions (N, 3), and at most 20,000 of the points (M, 3), evenly chosen.

    `positions`: base64 of little-endian float32 (M, 3); `colors`: base64 of bytes (M, 3). Metres, east-north-up,
    where `metric`; else the model's units. Positions are about `centre`, so that float32 loses nothing.
    """
    centre = np.median(centres, axis=0)
    chosen = np.linspace(0, len(points) - 1, min(len(points), MAX_POINTS)).round().astype(int)
    return {
        "version": 1,
        "metric": metric,
        "centre": [round(float(value), 4) for value in centre],
        "cameras": [
            {"name": name, "position": np.round(at - centre, 3).tolist(), "forward": np.round(towards, 4).tolist()}
            for name, at, towards in zip(names, centres, forward, strict=True)
        ],
        "points": {
            "count": len(chosen),
            "positions": _base64((points[chosen] - centre).astype("<f4")),
            "colors": _base64(np.clip(colors[chosen], 0, 255).astype(np.uint8)),
        },
    }


def write_thumbnails(path: Path, photos: Sequence[Path], lost: Collection[Path] = ()) -> None:
    """A contact sheet of at most 60 photos, evenly chosen, ten to a row; the `lost` ones framed in red."""
    chosen = [photos[i] for i in np.linspace(0, len(photos) - 1, min(len(photos), MAX_THUMBNAILS)).round().astype(int)]
    width, height = THUMBNAIL
    columns = min(COLUMNS, len(chosen))
    sheet = Image.new("RGB", (columns * width, -(-len(chosen) // columns) * height), "black")
    for index, source in enumerate(chosen):
        with Image.open(source) as photo:
            photo.draft("RGB", (2 * width, 2 * height))  # JPEG decodes a large photo at an eighth of the work
            cell = photo.convert("RGB")
        cell.thumbnail(THUMBNAIL)
        row, column = divmod(index, columns)
        if source in lost:
            ImageDraw.Draw(cell).rectangle((0, 0, cell.width - 1, cell.height - 1), outline=LOST, width=FRAME)
        sheet.paste(cell, (column * width + (width - cell.width) // 2, row * height + (height - cell.height) // 2))
    sheet.save(path, "JPEG", quality=_QUALITY, optimize=True)


def _base64(values: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")
