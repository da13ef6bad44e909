"""Draw the preview, poster and orbit, which a customer sees before opening the viewer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from compressor.framing import Framing
from splat.camera import Camera
from splat.gaussians import Gaussians
from splat.render import render_with_alpha
from splat.surroundings import Surroundings, background

_PREVIEW_SIZE = (1280, 720)
_POSTER_QUALITY = 82
_ORBIT_SIZE = (480, 270)
_ORBIT_FRAMES = 36
_FRAME_MILLISECONDS = 110
_ORBIT_QUALITY = 60
_INVENTED = 0.5  # share of ground and sky in a pixel above which it counts as invented


def draw_scenery(
    gaussians: Gaussians, camera: Camera, surroundings: Surroundings, *, antialiased: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The picture (height, width, 3), 0..1, as the page shows it, and which pixels (height, width) are invented.

    `antialiased`: whether the splat has that mark.
    """
    image, alpha = render_with_alpha(gaussians, camera, antialiased=antialiased)
    beyond = 1 - alpha
    return np.clip(image + beyond[..., None] * background(surroundings, camera), 0, 1), beyond > _INVENTED


def write_preview(
    path: Path, poster: Path, gaussians: Gaussians, framing: Framing, surroundings: Surroundings, *,
    antialiased: bool = False,
) -> float:  # fmt: skip
    """A still picture, 1280 × 720, with the viewer page's first camera; `poster` is the same, small enough to mail.

    Returns the share of its pixels that are invented, 0..1.
    """
    camera = framing.camera(0, *_PREVIEW_SIZE)
    picture, invented = draw_scenery(gaussians, camera, surroundings, antialiased=antialiased)
    image = _to_image(picture)
    image.save(path, "PNG", optimize=True)
    image.save(poster, "JPEG", quality=_POSTER_QUALITY, optimize=True, progressive=True)
    return float(np.mean(invented))


def write_orbit(
    path: Path, gaussians: Gaussians, framing: Framing, surroundings: Surroundings,
    progress: Callable[[float], None], *, antialiased: bool = False,
) -> None:  # fmt: skip
    """Write an endless animation, 480 × 270; `progress` receives the share of frames drawn, 0..1."""
    frames = []
    for number, turn in enumerate(framing.turns(_ORBIT_FRAMES)):
        camera = framing.camera(turn, *_ORBIT_SIZE)
        frames.append(_to_image(draw_scenery(gaussians, camera, surroundings, antialiased=antialiased)[0]))
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


def _to_image(picture: NDArray[np.float32]) -> Image.Image:
    return Image.fromarray(np.rint(picture * 255).astype(np.uint8))
