"""Read a COLMAP sparse model from its three files, binary or text (https://colmap.github.io/format.html#binary-file-format).

Only what a trainer needs; rigs.bin and frames.bin, which newer versions add, say nothing about undistorted photos
that images.bin does not.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contract.counts import MAX_PHOTOS, MAX_PIXELS
from splat.camera import Camera
from splat.files import inner_name
from stage.errors import ErrorCode, StageError
from trainer.distortion import MODELS, Distortion

_OBSERVATION_BYTES = 24  # x, y, point id
# bounds on what is kept in memory; a flight of 5,000 photos has four million points, and files of one gigabyte
MAX_POINTS = 20_000_000
MAX_FILE_BYTES = 8 << 30


Taken = tuple[Camera, Distortion | None]
"""A camera as a pinhole, and its distortion."""


@dataclass(frozen=True)
class PosedImage:
    """A registered photo: COLMAP's id, its file name below images/, its camera, and how that distorts, if it does."""

    identifier: int
    name: str
    camera: Camera
    distortion: Distortion | None = None


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
    """Read cameras, images and points3D of `folder`, binary where there are binary files, else text.

    Raises StageError(INVALID_SCENE) where one is missing, cut short, malformed or beyond the bounds above, a camera
    is of a model that is not known, or a photo's name leads out of images/.
    """
    try:
        if any(folder.glob("*.txt")) and not any(folder.glob("*.bin")):
            cameras = _text_cameras(_lines(folder / "cameras.txt"))
            images = _text_images(_lines(folder / "images.txt"), cameras)
            points = _text_points(_lines(folder / "points3D.txt"))
        else:
            cameras = _read_cameras(_open(folder / "cameras.bin"))
            images = _read_images(_open(folder / "images.bin"), cameras)
            points = _read_points(_open(folder / "points3D.bin"))
    except FileNotFoundError as error:
        raise StageError(ErrorCode.INVALID_SCENE, f"the sparse model lacks {Path(error.filename).name}") from error
    except (struct.error, ValueError, IndexError, KeyError, OverflowError, MemoryError) as error:
        raise StageError(ErrorCode.INVALID_SCENE, f"the sparse model cannot be read ({error!r})") from error
    return SparseModel(sorted(images, key=lambda image: image.name), points)


def _open(path: Path) -> _Reader:
    _check_bytes(path)
    return _Reader(path.read_bytes())


def _check_bytes(path: Path) -> None:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ValueError(f"{path.name} has more than {MAX_FILE_BYTES} bytes")


def _checked(count: int, limit: int, what: str) -> int:
    """`count`. Raises ValueError beyond `limit`."""
    if count > limit:
        raise ValueError(f"{count} {what} of at most {limit}")
    return count


def image_count(folder: Path) -> int:
    """How many photos the model in `folder` says that it has; 0 where its list of them cannot be read."""
    try:
        if (folder / "images.bin").is_file():
            with (folder / "images.bin").open("rb") as stream:
                return int(struct.unpack("<Q", stream.read(8))[0])
        return len(_lines(folder / "images.txt")) // 2
    except (OSError, struct.error, ValueError):
        return 0


def _lines(path: Path) -> list[str]:
    """The lines of a text file without its comments; an image without points has an empty second line."""
    _check_bytes(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [line.strip() for line in lines if not line.startswith("#")]
    return kept if path.name == "images.txt" else [line for line in kept if line]


def _text_cameras(lines: list[str]) -> dict[int, Taken]:
    models = {name: model for model, (name, *_) in MODELS.items()}
    cameras = {}
    _checked(len(lines), MAX_PHOTOS, "cameras")
    for line in lines:
        identifier, model, width, height, *parameters = line.split()
        cameras[int(identifier)] = _camera(
            int(identifier), models.get(model, model), int(width), int(height), [float(value) for value in parameters]
        )
    return cameras


def _text_images(lines: list[str], cameras: dict[int, Taken]) -> list[PosedImage]:
    images = []
    _checked(len(lines) // 2, MAX_PHOTOS, "photos")
    for line in lines[::2]:
        if line:
            identifier, *pose, camera, name = line.split(maxsplit=9)
            images.append(_posed(int(identifier), name, [float(value) for value in pose], cameras[int(camera)]))
    return images


def _text_points(lines: list[str]) -> Points:
    _checked(len(lines), MAX_POINTS, "points")
    rows = [line.split() for line in lines]
    tracks = [np.array(row[8::2], dtype=np.int64) for row in rows]
    return Points(
        np.array([row[1:4] for row in rows], dtype=np.float64).reshape(-1, 3),
        np.array([row[4:7] for row in rows], dtype=np.uint8).reshape(-1, 3),
        np.repeat(np.arange(len(rows)), [len(track) for track in tracks]),
        np.concatenate([np.zeros(0, dtype=np.int64), *tracks]),
    )


def _camera(identifier: int, model: int | str, width: int, height: int, parameters: list[float]) -> Taken:
    """Raises ValueError for a camera of a model that is not known or that no picture can be taken with."""
    if not isinstance(model, int) or model not in MODELS:
        raise ValueError(
            f"camera {identifier} is of model {model}, not {', '.join(name for name, *_ in MODELS.values())}"
        )
    _, focals, terms = MODELS[model]
    if len(parameters) != focals + 2 + terms:
        raise ValueError(f"camera {identifier} has {len(parameters)} parameters")
    fx, fy = parameters[0], parameters[focals - 1]
    cx, cy = parameters[focals : focals + 2]
    if not (width > 0 and height > 0 and 0 < fx < 1e9 and 0 < fy < 1e9 and abs(cx) < 1e9 and abs(cy) < 1e9):
        raise ValueError(f"camera {identifier}: {width} by {height} pixels, focal lengths {fx}, {fy}")
    if width * height > MAX_PIXELS:
        raise ValueError(f"camera {identifier}: {width} by {height} pixels are too many")
    found = parameters[focals + 2 :]
    if not all(abs(term) < 1e3 for term in found):
        raise ValueError(f"camera {identifier}: distortion {found}")
    return Camera(width, height, fx, fy, cx, cy, np.eye(4)), Distortion.of(model, found)


def _posed(identifier: int, name: str, values: list[float], taken: Taken) -> PosedImage:
    """An image of `values` qw, qx, qy, qz, tx, ty, tz. Raises ValueError where they are not finite, or where the name
    leads out of images/.
    """
    name = str(inner_name(name))
    pose = np.eye(4)
    pose[:3, :3] = rotation_matrix(np.array(values[:4], dtype=np.float64))
    pose[:3, 3] = values[4:]
    if not np.isfinite(pose).all():
        raise ValueError(f"the pose of {name} is not finite")
    camera, distortion = taken
    return PosedImage(identifier, name, replace(camera, world_to_camera=pose), distortion)


def _read_cameras(read: _Reader) -> dict[int, Taken]:
    cameras: dict[int, Taken] = {}
    for _ in range(_checked(int(read("Q")[0]), MAX_PHOTOS, "cameras")):
        identifier, model, width, height = (int(value) for value in read("IiQQ"))
        count = sum(MODELS[model][1:]) + 2 if model in MODELS else 0
        parameters = [float(value) for value in read(f"{count}d")]
        cameras[identifier] = _camera(identifier, model, width, height, parameters)
    return cameras


def _read_images(read: _Reader, cameras: dict[int, Taken]) -> list[PosedImage]:
    images = []
    for _ in range(_checked(int(read("Q")[0]), MAX_PHOTOS, "photos")):
        identifier, *pose, camera = read("I7dI")
        name = read.text()
        read.skip(int(read("Q")[0]) * _OBSERVATION_BYTES)
        images.append(_posed(int(identifier), name, [float(value) for value in pose], cameras[int(camera)]))
    return images


def _read_points(read: _Reader) -> Points:
    count = _checked(int(read("Q")[0]), MAX_POINTS, "points")
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
