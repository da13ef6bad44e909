"""Pictures for people: held-out photos beside their renders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from contract.files import whole

_GAP = 8  # pixels between pictures
_MAX_ROWS = 6
_MAX_WIDTH = 1000  # of one picture

Picture = NDArray[np.uint8]


def as_bytes(image: NDArray[np.float32]) -> Picture:
    """(height, width, 3) 0..1 to 0..255, rounded."""
    return (image.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def save_snapshot(path: Path, picture: Picture) -> None:
    """Save a picture small enough to be looked at over the net, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as partial:
        _fitted(picture).save(partial, "JPEG", quality=85)


def save_side_by_side(path: Path, pairs: Sequence[tuple[Picture, Picture]]) -> None:
    """Save pairs (photo, render) of equal size as rows of one picture, photo left; at most six, evenly chosen."""
    chosen = [pairs[i] for i in np.linspace(0, len(pairs) - 1, min(len(pairs), _MAX_ROWS)).round().astype(int)]
    rows = [[_fitted(picture) for picture in pair] for pair in chosen]
    width = max(left.width + _GAP + right.width for left, right in rows)
    height = sum(left.height + _GAP for left, _ in rows) - _GAP
    sheet = Image.new("RGB", (width, height), "white")
    top = 0
    for left, right in rows:
        sheet.paste(left, (0, top))
        sheet.paste(right, (left.width + _GAP, top))
        top += left.height + _GAP
    sheet.save(path)


def _fitted(picture: Picture) -> Image.Image:
    image = Image.fromarray(picture)
    image.thumbnail((_MAX_WIDTH, _MAX_WIDTH))
    return image
