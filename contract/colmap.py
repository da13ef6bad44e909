"""COLMAP's sparse models as preflight and training read them alike: cameras, photos' names and poses, counts.

Binary and text: https://colmap.github.io/format.html
"""

from __future__ import annotations

import math
import struct
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from contract.archive import MAX_PATH_BYTES, inner_name
from contract.counts import MAX_PHOTOS, MAX_PIXELS
from contract.wanted import MODEL_FILES

MIN_POSED_PHOTOS, MIN_POINTS = 2, 16  # of a model that can be trained on
MAX_POINTS = 20_000_000  # kept in memory; a flight of 5,000 photos has four million
# model id → name, number of focal lengths, number of distortion terms (https://colmap.github.io/cameras.html)
PINHOLES = {0: ("SIMPLE_PINHOLE", 1, 0), 1: ("PINHOLE", 2, 0)}
DISTORTING = {
    2: ("SIMPLE_RADIAL", 1, 1),
    3: ("RADIAL", 1, 2),
    4: ("OPENCV", 2, 4),
    5: ("OPENCV_FISHEYE", 2, 4),
    6: ("FULL_OPENCV", 2, 8),
    8: ("SIMPLE_RADIAL_FISHEYE", 1, 1),
    9: ("RADIAL_FISHEYE", 1, 2),
}
CAMERA_MODELS = {**PINHOLES, **DISTORTING}
MAX_LINE_BYTES = 16 << 20  # an image's second line has some 30 bytes a keypoint
MAX_RECORD = 4096  # characters of a camera's line or of an image's first one, which ends with the name
_OBSERVATION_BYTES = 24  # x, y, point id
_POSE = 7  # qw, qx, qy, qz, tx, ty, tz


class UnreadableModel(ValueError):
    """Why a sparse model cannot be read."""


@dataclass(frozen=True)
class ModelCamera:
    """A camera of one of CAMERA_MODELS, in pixels: focal lengths, principal point, distortion terms."""

    model: int
    width: int
    height: int
    focal: tuple[float, float]
    centre: tuple[float, float]
    terms: tuple[float, ...]


@dataclass(frozen=True)
class ModelImage:
    """A posed photo: its name below images/, its camera's id, and qw, qx, qy, qz, tx, ty, tz."""

    identifier: int
    name: str
    camera: int
    pose: tuple[float, ...]


class Values:
    """Little-endian values one after the other, of a file in chunks. Raises UnreadableModel where it ends."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._held, self._at = b"", 0

    def __call__(self, layout: str) -> tuple[Any, ...]:
        return struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))

    def take(self, count: int) -> bytes:
        while len(self._held) < self._at + count:
            self._more()
        self._at += count
        return self._held[self._at - count : self._at]

    def text(self) -> str:
        while (end := self._held.find(b"\0", self._at)) < 0:
            if len(self._held) - self._at > MAX_PATH_BYTES:
                raise UnreadableModel("a name is too long")
            self._more()
        return self.take(end + 1 - self._at)[:-1].decode("utf-8")

    def skip(self, count: int) -> None:
        while count > (held := len(self._held) - self._at):
            count -= held
            self._at = len(self._held)
            self._more()
        self._at += count

    def _more(self) -> None:
        try:
            self._held = self._held[self._at :] + next(self._chunks)
        except StopIteration:
            raise UnreadableModel("a file ends too early") from None
        self._at = 0


def is_text(names: Collection[str]) -> bool:
    """Whether a model is read from its text files: where it has all of them, and not all binary ones."""
    binary, text = map(set, MODEL_FILES)
    return text.issubset(names) and not binary.issubset(names)


def lines_of(chunks: Iterable[bytes]) -> Iterator[str]:
    """The lines of a text file without its comments; an image without points has an empty second line."""
    held, size = list[bytes](), 0  # the pieces of a line that goes on: chunks may be of any size, none too
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        held.append(first)
        size += len(first)
        if size > MAX_LINE_BYTES:
            raise UnreadableModel("a line is too long")
        if others:
            whole = (b"".join(held), *others[:-1])
            yield from (line.decode("utf-8").strip() for line in whole if not line.startswith(b"#"))
            held, size = [others[-1]], len(others[-1])
    if (rest := b"".join(held)) and not rest.startswith(b"#"):
        yield rest.decode("utf-8").strip()


def counted(count: int, limit: int, what: str) -> int:
    """`count`. Raises UnreadableModel beyond `limit`."""
    if count > limit:
        raise UnreadableModel(f"{count} {what} of at most {limit}")
    return count


def binary_cameras(values: Values) -> dict[int, ModelCamera]:
    """The cameras in cameras.bin, by id. Raises UnreadableModel."""
    cameras = {}
    for _ in range(counted(values("Q")[0], MAX_PHOTOS, "cameras")):
        identifier, model, width, height = values("IiQQ")
        count = sum(CAMERA_MODELS[model][1:]) + 2 if model in CAMERA_MODELS else 0
        cameras[identifier] = _camera(identifier, model, width, height, values(f"{count}d"))
    return cameras


def text_cameras(lines: Iterable[str]) -> dict[int, ModelCamera]:
    """The cameras in the lines of cameras.txt, by id. Raises ValueError."""
    models = {name: model for model, (name, *_) in CAMERA_MODELS.items()}
    cameras = {}
    for found, line in enumerate(filter(None, lines), start=1):
        counted(found, MAX_PHOTOS, "cameras")
        identifier, model, width, height, *parameters = _record(line).split()
        numbers = tuple(float(value) for value in parameters)
        cameras[int(identifier)] = _camera(int(identifier), models.get(model, model), int(width), int(height), numbers)
    return cameras


def binary_images(values: Values) -> tuple[int, Iterator[ModelImage]]:
    """The number of photos that images.bin declares, and the photos. Raises ValueError."""
    count = counted(values("Q")[0], MAX_PHOTOS, "photos")

    def images() -> Iterator[ModelImage]:
        for _ in range(count):
            identifier, *pose, camera = values("I7dI")
            name = values.text()
            values.skip(values("Q")[0] * _OBSERVATION_BYTES)
            yield _image(identifier, name, camera, pose)

    return count, images()


def text_images(lines: Iterable[str]) -> Iterator[ModelImage]:
    """The photos in the lines of images.txt. Each photo's line is followed by that of its observations, which may be
    empty; other empty lines are ignored, as COLMAP does. Raises ValueError.
    """
    found, remaining = 0, iter(lines)
    for line in filter(None, remaining):
        identifier, *pose, camera, name = _record(line).split(maxsplit=_POSE + 2)
        found = counted(found + 1, MAX_PHOTOS, "photos")
        yield _image(int(identifier), name, int(camera), [float(value) for value in pose])
        next(remaining, None)


def check_camera(image: ModelImage, cameras: Collection[int]) -> int:
    """The id of the photo's camera. Raises UnreadableModel where there is none of that id."""
    if image.camera not in cameras:
        raise UnreadableModel(f"{image.name} was taken with camera {image.camera}, which is missing")
    return image.camera


def _record(line: str) -> str:
    """The line. Raises UnreadableModel for one that is too long to be split: each of its values becomes an object."""
    if len(line) > MAX_RECORD:
        raise UnreadableModel("a line is too long")
    return line


def _camera(identifier: int, model: int | str, width: int, height: int, parameters: tuple[float, ...]) -> ModelCamera:
    """Raises UnreadableModel for a camera of a model that is not known or that no picture can be taken with."""
    if not isinstance(model, int) or model not in CAMERA_MODELS:
        known = ", ".join(name for name, *_ in CAMERA_MODELS.values())
        raise UnreadableModel(f"camera {identifier} is of model {model}, not {known}")
    _, focals, terms = CAMERA_MODELS[model]
    if len(parameters) != focals + 2 + terms:
        raise UnreadableModel(f"camera {identifier} has {len(parameters)} parameters")
    fx, fy = parameters[0], parameters[focals - 1]
    cx, cy = parameters[focals : focals + 2]
    if not (width > 0 and height > 0 and 0 < fx < 1e9 and 0 < fy < 1e9 and abs(cx) < 1e9 and abs(cy) < 1e9):
        raise UnreadableModel(f"camera {identifier}: {width} by {height} pixels, focal lengths {fx}, {fy}")
    if width * height > MAX_PIXELS:
        raise UnreadableModel(f"camera {identifier}: {width} by {height} pixels are too many")
    found = parameters[focals + 2 :]
    if not all(abs(term) < 1e3 for term in found):
        raise UnreadableModel(f"camera {identifier}: distortion {list(found)}")
    return ModelCamera(model, width, height, (fx, fy), (cx, cy), found)


def _image(identifier: int, name: str, camera: int, pose: Iterable[float]) -> ModelImage:
    """Raises ValueError if the pose is invalid, or if the name leads out of images/."""
    name, values = str(inner_name(name)), tuple(pose)
    if len(values) != _POSE or not all(map(math.isfinite, values)) or not any(values[:4]):
        raise UnreadableModel(f"the pose of {name} is not finite")
    return ModelImage(identifier, name, camera, values)
