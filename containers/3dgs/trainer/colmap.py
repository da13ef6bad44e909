"""Read a COLMAP sparse model from its three binary files (https://colmap.github.io/format.html#binary-file-format).

Only what a trainer needs; rigs.bin and frames.bin, which newer versions add, say nothing about undistorted photos
that images.bin does not.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contract.counts import MAX_PHOTOS, MAX_PIXELS
from splat.camera import Camera
from splat.files import inner_name
from stage.errors import ErrorCode, StageError

# model id: (name, number of parameters); every other model distorts
_PINHOLES = {0: ("SIMPLE_PINHOLE", 3), 1: ("PINHOLE", 4)}
_OBSERVATION_BYTES = 24  # x, y, point id
# bounds on what is kept in memory; a flight of 5,000 photos has four million points, and files of one gigabyte
MAX_POINTS = 20_000_000
MAX_FILE_BYTES = 8 << 30


@dataclass(frozen=True)
class PosedImage:
    """A registered photo: COLMAP's id, its file name below images/, and its camera."""

    identifier: int
    name: str
    camera: Camera


@dataclass(frozen=True)
class Points:
    """The sparse points: positions (P, 3), colours (P, 3) 0..255, and their tracks.

    `track_points` and `track_images` (T,) pair a point's index with the id of a photo that sees it.
    """

    positions: NDArray[np.float64]
    colours: NDArray[np.uint8]
    track_points: NDArray[np.int64]
    track_images: NDArray[np.int64]


@dataclass(frozen=True)
class SparseModel:
    """What structure from motion found; the photos in order of their names."""

    images: list[PosedImage]
    points: Points


class _Reader:
    """Little-endian values one after the other; struct.error where the file ends too early."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def __call__(self, layout: str) -> tuple[int | float, ...]:
        values = struct.unpack_from("<" + layout, self._data, self._at)
        self._at += struct.calcsize("<" + layout)
        return values

    def text(self) -> str:
        end = self._data.index(b"\0", self._at)
        value = self._data[self._at : end].decode("utf-8")
        self._at = end + 1
        return value

    def array(self, dtype: str, count: int) -> NDArray[np.generic]:
        values = np.frombuffer(self._data, dtype, count, self._at)
        self._at += values.nbytes
        return values

    def skip(self, count: int) -> None:
        self._at += count
        if self._at > len(self._data):
            raise ValueError("the file ends too early")


def read_model(folder: Path) -> SparseModel:
    """Read cameras.bin, images.bin and points3D.bin of `folder`.

    Raises StageError(INVALID_SCENE) where one is missing, cut short, malformed or beyond the bounds above, a camera
    distorts, or a photo's name leads out of images/.
    """
    try:
        cameras = _read_cameras(_open(folder / "cameras.bin"))
        images = _read_images(_open(folder / "images.bin"), cameras)
        points = _read_points(_open(folder / "points3D.bin"))
    except FileNotFoundError as error:
        raise StageError(ErrorCode.INVALID_SCENE, f"the sparse model lacks {Path(error.filename).name}") from error
    except (struct.error, ValueError, KeyError, OverflowError, MemoryError) as error:
        raise StageError(ErrorCode.INVALID_SCENE, f"the sparse model cannot be read ({error!r})") from error
    return SparseModel(sorted(images, key=lambda image: image.name), points)


def _open(path: Path) -> _Reader:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ValueError(f"{path.name} has more than {MAX_FILE_BYTES} bytes")
    return _Reader(path.read_bytes())


def _count(read: _Reader, limit: int, what: str) -> int:
    count = int(read("Q")[0])
    if count > limit:
        raise ValueError(f"{count} {what} of at most {limit}")
    return count


def _read_cameras(read: _Reader) -> dict[int, Camera]:
    cameras: dict[int, Camera] = {}
    for _ in range(_count(read, MAX_PHOTOS, "cameras")):
        identifier, model, width, height = (int(value) for value in read("IiQQ"))
        if model not in _PINHOLES:
            raise ValueError(f"camera {identifier} is of model {model}, not a pinhole: the photos are not undistorted")
        name, count = _PINHOLES[model]
        parameters = [float(value) for value in read(f"{count}d")]
        fx, fy, cx, cy = parameters if name == "PINHOLE" else (parameters[0], *parameters)
        if not (width > 0 and height > 0 and 0 < fx < 1e9 and 0 < fy < 1e9 and abs(cx) < 1e9 and abs(cy) < 1e9):
            raise ValueError(f"camera {identifier}: {width} by {height} pixels, focal lengths {fx}, {fy}")
        if width * height > MAX_PIXELS:
            raise ValueError(f"camera {identifier}: {width} by {height} pixels are too many")
        cameras[identifier] = Camera(width, height, fx, fy, cx, cy, np.eye(4))
    return cameras


def _read_images(read: _Reader, cameras: dict[int, Camera]) -> list[PosedImage]:
    images = []
    for _ in range(_count(read, MAX_PHOTOS, "photos")):
        identifier, qw, qx, qy, qz, tx, ty, tz, camera = read("I7dI")
        name = str(inner_name(read.text()))
        read.skip(int(read("Q")[0]) * _OBSERVATION_BYTES)
        intrinsics = cameras[int(camera)]
        pose = np.eye(4)
        pose[:3, :3] = rotation_matrix(np.array([qw, qx, qy, qz], dtype=np.float64))
        pose[:3, 3] = tx, ty, tz
        if not np.isfinite(pose).all():
            raise ValueError(f"the pose of {name} is not finite")
        posed = Camera(
            intrinsics.width, intrinsics.height, intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy, pose
        )
        images.append(PosedImage(int(identifier), name, posed))
    return images


def _read_points(read: _Reader) -> Points:
    count = _count(read, MAX_POINTS, "points")
    positions, colours, track_points, track_images = [], [], [], []
    for index in range(count):
        _, x, y, z, red, green, blue, _, length = read("Q3d3BdQ")
        positions.append((x, y, z))
        colours.append((red, green, blue))
        track = read.array("<u4", 2 * int(length)).astype(np.int64)
        track_images.append(track[::2])
        track_points.append(np.full(int(length), index, dtype=np.int64))
    nothing = [np.zeros(0, dtype=np.int64)]
    return Points(
        np.array(positions, dtype=np.float64).reshape(-1, 3),
        np.array(colours, dtype=np.uint8).reshape(-1, 3),
        np.concatenate(track_points or nothing),
        np.concatenate(track_images or nothing),
    )


def rotation_matrix(quaternion: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 3) of a quaternion wxyz of any length but zero."""
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
