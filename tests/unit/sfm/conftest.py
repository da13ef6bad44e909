"""A small drone flight with known poses: flat textured ground with raised blocks, drawn by homographies."""

from __future__ import annotations

import io
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

METRES_PER_TEXEL = 0.05
GROUND_METRES = 90.0
FOCAL, WIDTH, HEIGHT, ALTITUDE = 500.0, 640, 480, 40.0
ORIGIN = (46.84, -91.99, 150.0)
METRES_PER_DEGREE = (111_157.0, 76_290.0)  # of latitude and of longitude there


@dataclass(frozen=True)
class Flight:
    """JPEGs by name, true camera centres (N, 3) in ENU metres about ORIGIN, camera-from-world rotations (N, 3, 3)."""

    photos: dict[str, bytes]
    centres: np.ndarray
    rotations: np.ndarray


@pytest.fixture(scope="session")
def flight() -> Flight:
    """Eight nadir photos in two rows, flown there and back, with GPS positions accurate to centimetres."""
    return fly(7)


@pytest.fixture(scope="session")
def elsewhere() -> Flight:
    """The same flight over another place that looks different."""
    return fly(8)


def fly(seed: int) -> Flight:
    rng = np.random.default_rng(seed)
    blocks = [(0.0, texture(rng), (-GROUND_METRES / 2, GROUND_METRES / 2, GROUND_METRES))]
    for east, north, side, height in ((-14, 10, 9, 6), (6, 14, 7, 9), (12, -8, 10, 4), (-8, -12, 8, 8), (0, 0, 5, 11)):
        blocks.append((float(height), texture(rng), (east - side / 2, north + side / 2, float(side))))
    photos: dict[str, bytes] = {}
    centres, rotations = [], []
    for index in range(8):
        row, column = divmod(index, 4)
        centre = np.array([-7.0 + 14 * row, (-15 + 10 * column) * (1 if row == 0 else -1), ALTITUDE])
        centre += rng.normal(0, 0.5, 3)
        turn = np.deg2rad(180.0 * row + rng.normal(0, 3))
        heading = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
        rotation = np.diag([1.0, -1.0, -1.0]) @ heading
        photos[f"DJI_{index + 8:d}.JPG"] = jpeg(draw(blocks, rotation, centre), centre)
        centres.append(centre)
        rotations.append(rotation)
    return Flight(photos, np.array(centres), np.array(rotations))


@pytest.fixture(scope="session")
def unrelated() -> dict[str, bytes]:
    """Four photos of four different places, without GPS."""
    pictures = [texture(np.random.default_rng(seed))[:360, :480] for seed in range(4)]
    return {f"{index}.jpg": jpeg((picture * 255).astype(np.uint8)) for index, picture in enumerate(pictures)}


def texture(rng: np.random.Generator) -> np.ndarray:
    """A texture with detail at all scales, like ground seen from above."""
    size = round(GROUND_METRES / METRES_PER_TEXEL)
    total = np.zeros((size, size, 3), np.float32)
    for cell in (4, 8, 16, 40, 120):
        noise = rng.uniform(0, 1, (size // cell + 1, size // cell + 1, 3)).astype(np.float32)
        total += cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.clip((total / 5 - 0.5) * 2.2 + 0.5, 0, 1)


def draw(
    blocks: list[tuple[float, np.ndarray, tuple[float, float, float]]], rotation: np.ndarray, centre: np.ndarray
) -> np.ndarray:
    """The picture (H, W, 3) uint8 of blocks; each is a square (west, north, side) at a height, lowest first."""
    K = np.array([[FOCAL, 0, WIDTH / 2 - 0.5], [0, FOCAL, HEIGHT / 2 - 0.5], [0, 0, 1]])  # OpenCV pixel centres
    image = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    for height, pattern, (west, north, side) in sorted(blocks, key=lambda block: block[0]):
        texels = round(side / METRES_PER_TEXEL)
        to_world = np.array(
            [[METRES_PER_TEXEL, 0, west], [0, -METRES_PER_TEXEL, north], [0, 0, height], [0, 0, 1]], dtype=float
        )
        view = np.column_stack([rotation, -rotation @ centre])
        homography = K @ view @ to_world
        size, flags = (WIDTH, HEIGHT), cv2.INTER_AREA
        mask = cv2.warpPerspective(np.ones((texels, texels), np.float32), homography, size, flags=flags)[..., None]
        seen = cv2.warpPerspective(pattern[:texels, :texels], homography, size, flags=flags)
        image = image * (1 - mask) + seen * mask
    return (image * 255).astype(np.uint8)


def jpeg(pixels: np.ndarray, centre: np.ndarray | None = None) -> bytes:
    """A JPEG with an EXIF focal length, and with the GPS position of an ENU place if given."""
    exif = Image.Exif()
    exif.update({271: "SPACEPORT", 272: "TEST"})
    exif.get_ifd(0x8769).update({37386: 5.0, 41486: FOCAL / 5.0, 41488: 4, 40962: WIDTH, 40963: HEIGHT})
    if centre is not None:
        latitude = ORIGIN[0] + centre[1] / METRES_PER_DEGREE[0]
        longitude = ORIGIN[1] + centre[0] / METRES_PER_DEGREE[1]
        gps = {1: "N", 2: dms(latitude), 3: "W", 4: dms(-longitude), 5: b"\0", 6: rational(ORIGIN[2] + centre[2])}
        exif.get_ifd(0x8825).update(gps)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=92, exif=exif)
    return stream.getvalue()


def dms(degrees: float) -> tuple[IFDRational, IFDRational, IFDRational]:
    minutes, seconds = divmod(degrees * 3600, 60)
    return IFDRational(int(minutes // 60)), IFDRational(int(minutes % 60)), IFDRational(round(seconds * 10**5), 10**5)


def rational(value: float) -> IFDRational:
    return IFDRational(round(value * 1000), 1000)
