"""Small films whose frames are all known: a window that moves across a picture with rich texture."""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from numpy.typing import NDArray

from contract.films import SPHERICAL_UUID
from sample.film import Take, write_film

WIDTH = 480
PIXELS_PER_SECOND = 96.0  # the window's speed to the right
TURNED = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)  # a quarter turn clockwise, when shown


def wallpaper(seed: int = 5, height: int = 320, width: int = 2400) -> NDArray[np.uint8]:
    """A picture with detail at all scales."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    for cell in (4, 12, 40):
        noise = rng.uniform(0, 1, (height // cell + 1, width // cell + 1, 3)).astype(np.float32)
        total += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip((total / 3 - 0.5) * 1.6 + 0.5, 0, 1) * 255, dtype=np.uint8)


class Pan:
    """Frames of a film of a wallpaper. `speed`: pixels per second; frames at the times `blurred` (seconds) are out of
    focus."""

    def __init__(self, take: Take, speed: float = PIXELS_PER_SECOND, blurred: frozenset[float] = frozenset()) -> None:
        self.take, self.speed, self.blurred = take, speed, blurred
        self._paper = wallpaper()

    def __call__(self, seconds: float) -> NDArray[np.uint8]:
        left = round(self.speed * seconds)
        pixels = self._paper[: self.take.height, left : left + self.take.width]
        return np.asarray(cv2.GaussianBlur(pixels, (0, 0), 6) if seconds in self.blurred else pixels, dtype=np.uint8)


def small_film(path: Path, seconds: float = 4.0, rate: float = 10.0, **coding: str | bool) -> Take:
    """Writes a pan to `path`; `coding` as in `sample.film.write_film`."""
    take = Take.steady(WIDTH, seconds, rate)
    write_film(path, take, Pan(take), **coding)  # type: ignore[arg-type]
    return take


@cache
def film_bytes(**coding: str | bool) -> bytes:
    """A film of four seconds at ten frames per second; `coding` as in `small_film`."""
    with TemporaryDirectory() as folder:
        small_film(Path(folder) / "film.mp4", **coding)  # type: ignore[arg-type]
        return (Path(folder) / "film.mp4").read_bytes()


def turn(film: bytes) -> bytes:
    """The film, marked as filmed upright: players must turn its picture by 90°."""
    matrix = film.index(b"tkhd") + 44
    return film[:matrix] + TURNED + film[matrix + 36 :]


def marked_spherical(film: bytes) -> bytes:
    """The film with the mark of 360° cameras (spatial-media, version 1) in its track."""
    mark = b"uuid" + SPHERICAL_UUID + b"<GSpherical:Spherical>true"
    box = struct.pack(">I", len(mark) + 4) + mark
    grown = film
    end = None
    for kind in (b"moov", b"trak"):
        start = grown.index(kind) - 4
        size = struct.unpack(">I", grown[start : start + 4])[0]
        end = start + size if kind == b"trak" else end
        grown = grown[:start] + struct.pack(">I", size + len(box)) + grown[start + 4 :]
    assert end is not None
    return grown[:end] + box + grown[end:]
