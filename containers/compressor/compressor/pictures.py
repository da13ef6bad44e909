"""What a customer sees before opening the viewer: a still picture and a short turn round the scene."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from compressor.framing import Framing
from compressor.quality import draw
from splat.gaussians import Gaussians

_PREVIEW_SIZE = (1280, 720)
_POSTER_QUALITY = 82
_ORBIT_SIZE = (480, 270)
_ORBIT_FRAMES = 36
_FRAME_MILLISECONDS = 110
_ORBIT_QUALITY = 60


def write_preview(path: Path, poster: Path, gaussians: Gaussians, framing: Framing) -> None:
    """A still picture, 1280 × 720, with the viewer page's first camera; `poster` is the same, small enough to mail."""
    picture = _to_image(draw(gaussians, framing.camera(0, *_PREVIEW_SIZE)))
    picture.save(path, "PNG", optimize=True)
    picture.save(poster, "JPEG", quality=_POSTER_QUALITY, optimize=True, progressive=True)


def write_orbit(path: Path, gaussians: Gaussians, framing: Framing, progress: Callable[[float], None]) -> None:
    """An endless animation, 480 × 270; `progress` gets the share of frames drawn, 0..1."""
    frames = []
    for number, turn in enumerate(framing.turns(_ORBIT_FRAMES)):
        frames.append(_to_image(draw(gaussians, framing.camera(turn, *_ORBIT_SIZE))))
        progress((number + 1) / _ORBIT_FRAMES)
    frames[0].save(
        path,
        "WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=_FRAME_MILLISECONDS,
        loop=0,
        quality=_ORBIT_QUALITY,
        method=4,
    )


def _to_image(picture: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Image.Image:
    return Image.fromarray(np.rint(picture * 255).astype(np.uint8))
