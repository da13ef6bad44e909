"""Read a COLMAP sparse model from its three files, binary or text (https://colmap.github.io/format.html#binary-file-format).

Only the parts that a trainer needs are read. For undistorted photos, rigs.bin and frames.bin, which newer versions add,
contain nothing that is not in images.bin.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contract.colmap import (
    MAX_POINTS,
    ModelCamera,
    ModelImage,
    Values,
    binary_cameras,
    binary_images,
    check_camera,
    counted,
    is_text,
    lines_of,
    text_cameras,
    text_images,
)
from splat.camera import Camera
from stage.errors import ErrorCode, StageError
from trainer.distortion import Distortion

MAX_FILE_BYTES = 8 << 30  # a flight of 5,000 photos has files of one gigabyte
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class PosedImage:
    """A registered photo: COLMAP's id, its file name below images/, its camera, and the camera's distortion, if any."""

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


def read_model(folder: Path) -> SparseModel:
    """Read cameras, images and points3D of `folder`, binary where there are binary files, else text.

    Raises StageError(INVALID_SCENE) where one is missing, cut short, malformed or beyond the bounds above, a camera
    is of a model that is not known, or a photo's name leads out of images/.
    """
    try:
        if is_text([path.name for path in folder.iterdir()]):
            cameras = text_cameras(lines_of(_chunks(folder / "cameras.txt")))
            images = [*text_images(lines_of(_chunks(folder / "images.txt")))]
            points = _text_points([*filter(None, lines_of(_chunks(folder / "points3D.txt")))])
        else:
            cameras = binary_cameras(Values(_chunks(folder / "cameras.bin")))
            images = [*binary_images(Values(_chunks(folder / "images.bin")))[1]]
            points = _read_points(Values(_chunks(folder / "points3D.bin")))
        posed = _posed(images, cameras)
    except FileNotFoundError as error:
        raise StageError(ErrorCode.INVALID_SCENE, f"the sparse model lacks {Path(error.filename).name}") from error
    except (ValueError, IndexError, OverflowError, MemoryError) as error:
        raise StageError(ErrorCode.INVALID_SCENE, f"the sparse model cannot be read ({error})") from error
    return SparseModel(sorted(posed, key=lambda image: image.name), points)


def image_count(folder: Path) -> int:
    """The number of photos that the model in `folder` declares; 0 if its list of photos cannot be read."""
    try:
        if is_text([path.name for path in folder.iterdir()]):
            return sum(1 for _ in text_images(lines_of(_chunks(folder / "images.txt"))))
        return binary_images(Values(_chunks(folder / "images.bin")))[0]
    except (OSError, ValueError):
        return 0


def _chunks(path: Path) -> Iterator[bytes]:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ValueError(f"{path.name} has more than {MAX_FILE_BYTES} bytes")
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            yield chunk


def _posed(images: Sequence[ModelImage], cameras: Mapping[int, ModelCamera]) -> list[PosedImage]:
    """Raises UnreadableModel where a photo's camera is missing."""
    taken = {identifier: _taken(camera) for identifier, camera in cameras.items()}
    return [_posed_image(image, *taken[check_camera(image, cameras)]) for image in images]


def _taken(found: ModelCamera) -> tuple[Camera, Distortion | None]:
    camera = Camera(found.width, found.height, *found.focal, *found.centre, np.eye(4))
    return camera, Distortion.of(found.model, list(found.terms))


def _posed_image(image: ModelImage, camera: Camera, distortion: Distortion | None) -> PosedImage:
    pose = np.eye(4)
    pose[:3, :3] = rotation_matrix(np.array(image.pose[:4], dtype=np.float64))
    pose[:3, 3] = image.pose[4:]
    return PosedImage(image.identifier, image.name, replace(camera, world_to_camera=pose), distortion)


def _text_points(lines: list[str]) -> Points:
    counted(len(lines), MAX_POINTS, "points")
    rows = [line.split() for line in lines]
    tracks = [np.array(row[8::2], dtype=np.int64) for row in rows]
    return Points(
        np.array([row[1:4] for row in rows], dtype=np.float64).reshape(-1, 3),
        np.array([row[4:7] for row in rows], dtype=np.uint8).reshape(-1, 3),
        np.repeat(np.arange(len(rows)), [len(track) for track in tracks]),
        np.concatenate([np.zeros(0, dtype=np.int64), *tracks]),
    )


def _read_points(read: Values) -> Points:
    count = counted(read("Q")[0], MAX_POINTS, "points")
    positions, colours, track_points, track_images = [], [], [], []
    for index in range(count):
        _, x, y, z, red, green, blue, _, length = read("Q3d3BdQ")
        positions.append((x, y, z))
        colours.append((red, green, blue))
        track = np.frombuffer(read.take(8 * length), "<u4").astype(np.int64)
        track_images.append(track[::2])
        track_points.append(np.full(length, index, dtype=np.int64))
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
