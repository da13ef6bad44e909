"""Make small pictures of the photos, in which a point can be marked on the page.

The page's side is containers/compressor/viewer/src/measure/thumbnails.mjs.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from compressor.deliver.photos import Thumbnails
from splat.files import below
from stage.pictures import TooManyPixelsError, open_picture

SIDES = (480, 320, 240, 160)  # pixels of a picture's longer side: the more photos, the smaller
MAX_BYTES = 1_000_000  # for all pictures: in base64, a third of the size of a page without them
MAX_BYTES_OF_SMALLEST = 3_000_000  # for the smallest size, which suffices for 500 photos; larger flights have none
_QUALITY = 70
_TRIED = 8  # photos from which the total of a size is estimated before all are made


def thumbnails_of(folder: Path, names: Sequence[str]) -> Thumbnails:
    """Small pictures of the photos `names` in `folder`, in the largest size whose total is within bounds; none if no
    size is small enough. A photo that is missing or cannot be read has no picture.
    """
    for side in SIDES:
        bound = MAX_BYTES_OF_SMALLEST if side == SIDES[-1] else MAX_BYTES
        tried = names[:: max(1, len(names) // _TRIED)]
        if sum(len(_jpeg(folder, name, side)) for name in tried) * len(names) > bound * len(tried):
            continue
        made = [_jpeg(folder, name, side) for name in names]
        if sum(map(len, made)) <= bound:
            return Thumbnails(b"".join(made), [len(each) for each in made]) if any(made) else Thumbnails()
    return Thumbnails()


def _jpeg(folder: Path, name: str, side: int) -> bytes:
    try:
        with open_picture(below(folder, name)) as image:
            image.draft("RGB", (side, side))  # decodes a JPEG at a fraction of its size
            picture = image.convert("RGB")
    except (OSError, ValueError, SyntaxError, TooManyPixelsError):
        return b""
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    picture.info.clear()  # without the photo's metadata
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=_QUALITY, optimize=True)
    return out.getvalue()
