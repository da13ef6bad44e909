"""A yard with a box on it, seen in four photos, and its delivered page, in which tests measure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from compressor.deliver.photos import Photos, photos_of
from splat.camera import Camera, View, look_at
from tests.support.browser import PHONE, look
from tests.support.slabs import BOX

WIDTH, HEIGHT, FIELD_OF_VIEW = 960, 600, 50.0
UP = np.array([0.0, 0.0, 1.0])
TARGET = np.array([0.5, 0.33, 0.3])  # beside the box, which stands clear of the panel
GSD = 0.004
EASTING, NORTHING, LEVEL = 464_500.0, 5_245_400.0, 512.0
PLACE = np.array([-0.5, -0.9, 0.0])  # on the yard, south of the box
PHOTO = (900, 600)
EYES = {"south.jpg": (-0.5, -3, 2), "above.jpg": (0, -0.5, 4), "east.jpg": (2.5, -2, 1.5), "north.jpg": (-0.5, 3, 0.6)}


def cameras() -> dict[str, Camera]:
    """Four cameras; the box hides the place from the last."""
    return {
        name: look_at(eye, (*PLACE[:2], 0.1), (0.01, 0, 1), width=PHOTO[0], height=PHOTO[1])
        for name, eye in EYES.items()
    }


def photos() -> Photos:
    """Photos by a lens without distortion, so that each photo matches the page's camera."""
    views = [View(name, "train", camera) for name, camera in cameras().items()]
    rows = [{"name": name, "original": f"DCIM/{name.upper()}"} for name in EYES]
    lens = views[0].camera
    parameters = {name: getattr(lens, name) for name in ("fx", "fy", "cx", "cy")}
    figures = [{"kind": "PINHOLE", "width": lens.width, "height": lens.height, "parameters": parameters}]
    return photos_of(views, rows, {"cameras": figures})


def seen(name: str) -> Image.Image:
    """A photo: grey, and white where it shows the place."""
    x, y = cameras()[name].project(PLACE[None])[0][0]
    rows, columns = np.mgrid[: PHOTO[1], : PHOTO[0]] + 0.5
    spot = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 5.0**2))
    return Image.fromarray(np.rint(60 + 190 * spot).astype(np.uint8)).convert("RGB")


def eye() -> NDArray[np.float64]:
    return np.array([2.1, -3.2, 2.6])


def camera() -> Camera:
    return look_at(eye(), TARGET, UP, width=WIDTH, height=HEIGHT, field_of_view=FIELD_OF_VIEW)


def pixel(point: NDArray[np.float64]) -> tuple[float, float]:
    (found,), _ = camera().project(point[None])
    return float(found[0]), float(found[1])


def figures(page: Any) -> str:
    return str(page.inner_text("[data-part=figures]"))


def wait_for_picks(page: Any, count: int) -> None:
    page.wait_for_function(f"spaceport.measuring?.picks.length === {count}", timeout=60_000)


def look_on_a_phone(page: Any, name: str, folder: Path) -> None:
    page.set_viewport_size(PHONE)
    page.wait_for_timeout(1000)
    look(page, name, folder)
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})


def corners() -> list[NDArray[np.float64]]:
    """Corners of the box's top, a little inside its edges."""
    x, y, height = BOX
    return [np.array([a * (x - 0.12), b * (y - 0.12), height]) for a, b in ((1, -1), (-1, -1), (-1, 1), (1, 1))]
