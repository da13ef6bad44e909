"""Write the sample: photos in a ZIP, and their ground truth as JSON."""

import io
import json
import zipfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sample.exif import photo_exif
from sample.flight import Lens, Shot
from sample.geodesy import Geodetic, enu_to_geodetic
from sample.solids import Floats
from sample.xmp import photo_xmp

ORIGIN = Geodetic(47.3612, 8.5306, 512.0)
TAKE_OFF = datetime(2024, 8, 24, 13, 42, 7, tzinfo=UTC)
GPS_SIGMA = (0.3, 0.3, 0.5)  # metres east, north, up: a drone's receiver on a good day
QUALITY = 93


@dataclass(frozen=True)
class Photo:
    """A shot with its file name and the position that its GPS receiver recorded."""

    name: str
    shot: Shot
    gps: Geodetic
    taken: datetime


def name_photos(shots: list[Shot], sigma: tuple[float, float, float], seed: int) -> list[Photo]:
    """Photos of the shots, their GPS off by normal noise of `sigma` metres (east, north, up)."""
    random = np.random.default_rng([seed, 2])
    photos = []
    for number, shot in enumerate(shots, start=1):
        believed = shot.camera.centre + random.normal(0, 1, 3) * np.array(sigma)
        taken = TAKE_OFF + timedelta(milliseconds=round(1000 * shot.seconds))
        photos.append(Photo(f"FLY_{number:04d}.JPG", shot, enu_to_geodetic(believed, ORIGIN), taken))
    return photos


def jpeg(pixels: NDArray[np.uint8], photo: Photo, lens: Lens, number: int) -> bytes:
    """The photo's file."""
    camera = photo.shot.camera
    exif = photo_exif(lens, (camera.width, camera.height), photo.gps, photo.taken, number)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=QUALITY, subsampling="4:2:0", exif=exif, xmp=photo_xmp(camera))
    return stream.getvalue()


def truth(
    photos: list[Photo], landmarks: dict[str, Floats], seed: int, sigma: tuple[float, float, float]
) -> dict[str, Any]:
    """What poses.json holds: the origin, each photo's true pose, intrinsics and GPS, and known points of the scene."""
    return {
        "version": 1,
        "seed": seed,
        "origin": asdict(ORIGIN),
        "crs": "ENU metres about origin (WGS84, ellipsoidal heights)",
        "axes": "camera x right, y down, z forward; pixel centres at +0.5; no distortion",
        "gpsSigma": list(sigma),
        "landmarks": {name: point.tolist() for name, point in landmarks.items()},
        "photos": [
            {
                "name": photo.name,
                "taken": photo.taken.isoformat(timespec="milliseconds"),
                "width": photo.shot.camera.width,
                "height": photo.shot.camera.height,
                "fx": photo.shot.camera.fx,
                "fy": photo.shot.camera.fy,
                "cx": photo.shot.camera.cx,
                "cy": photo.shot.camera.cy,
                "centre": photo.shot.camera.centre.tolist(),
                "world_to_camera": photo.shot.camera.world_to_camera.tolist(),
                "gps": asdict(photo.gps),
            }
            for photo in photos
        ],
    }


class PhotoArchive:
    """A ZIP of photos that appears under its name only once it is whole. Its bytes depend on its content alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = path.with_name(path.name + ".partial")

    def __enter__(self) -> "PhotoArchive":
        self.zip = zipfile.ZipFile(self.partial, "w", zipfile.ZIP_STORED)
        return self

    def add(self, photo: Photo, content: bytes) -> None:
        """Append a photo's file."""
        entry = zipfile.ZipInfo(photo.name, photo.taken.timetuple()[:6])
        entry.external_attr = 0o644 << 16
        self.zip.writestr(entry, content)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.zip.close()
        if kind is None:
            self.partial.replace(self.path)
        else:
            self.partial.unlink()


def write_truth(path: Path, content: dict[str, Any]) -> None:
    """Write poses.json, whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(content, indent=1) + "\n")
    partial.replace(path)
