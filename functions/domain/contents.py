"""Check the content of an archive as far as ranged reads can within seconds: headers of films and splats, and the model
of a scene.

A refusal has the code that the first stage would use. Whatever cannot be read here is left to that stage.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath
from typing import BinaryIO, cast

from contract.archive import Entry, Method
from contract.codes import ErrorCode
from contract.colmap import (
    MIN_POINTS,
    MIN_POSED_PHOTOS,
    ModelCamera,
    ModelImage,
    Values,
    binary_cameras,
    binary_images,
    check_camera,
    is_text,
    lines_of,
    text_cameras,
    text_images,
)
from contract.films import MAX_FILMS, RefusedFilm, check_film
from contract.packed import PLAIN, DamagedEntryError, Packed
from contract.ply import MAGIC, MAX_HEADER_BYTES, splat_fault
from contract.wanted import SceneFiles
from domain.errors import RejectedUpload
from domain.ranged import OutOfReach

MAX_FILM_HEADER_BYTES = 8 << 20  # the beginning of a compressed film that is searched for its index
# for all models or compressed films of an archive: enough for the lists of hundreds of photos with all their keypoints
MAX_BYTES, MAX_LINES = 64 << 20, 200_000
MAX_MODELS = 50  # in a scene: the most that COLMAP's mapper makes
_BROKEN = (zlib.error, EOFError, struct.error)


@dataclass
class _Reach:
    """How much of an archive's entries may still be read: lines, and bytes (packed or unpacked, whichever is more)."""

    bytes: int
    lines: int

    def spend(self, count: int, lines: int = 0) -> None:
        """Raises OutOfReach."""
        self.bytes -= count
        self.lines -= lines
        if self.bytes < 0 or self.lines < 0:
            raise OutOfReach


def check_films(archive: BinaryIO, films: Sequence[Entry]) -> None:
    """Raises RejectedUpload (UNREADABLE_FILM, UNSUITABLE_FILM, PANORAMA) if no film is usable."""
    if len(films) > MAX_FILMS:
        raise RejectedUpload(ErrorCode.UNSUITABLE_FILM, f"{len(films)} films of at most {MAX_FILMS}")
    refusals: list[RefusedFilm] = []
    reach = _Reach(MAX_BYTES, MAX_LINES)
    for film in films:
        try:
            check_film(cast(BinaryIO, _film(archive, film, reach)))
        except RefusedFilm as refused:
            refusals.append(RefusedFilm(refused.code, f"{film.path}: {refused.facts}"))
        except DamagedEntryError:
            refusals.append(RefusedFilm(ErrorCode.UNREADABLE_FILM, f"{film.path}: its data in the archive is damaged"))
        except OutOfReach:
            return
        else:
            return
    facts = "; ".join(refused.facts for refused in refusals)
    raise RejectedUpload(refusals[0].code, facts)


def check_splat(archive: BinaryIO, splat: Entry) -> None:
    """Raises RejectedUpload(INVALID_SPLAT) if a PLY in the archive is a mesh, a point cloud or truncated."""
    head = bytearray()
    try:
        for chunk in _chunks(archive, splat, _Reach(MAX_BYTES, MAX_LINES)):
            head += chunk
            if len(head) >= MAX_HEADER_BYTES or not head.startswith(MAGIC):
                break
    except OutOfReach:
        return
    except DamagedEntryError:
        raise RejectedUpload(ErrorCode.INVALID_SPLAT, f"{splat.path} is damaged") from None
    check_ply(splat.path.name, bytes(head[:MAX_HEADER_BYTES]), splat.bytes)


def check_ply(name: str, head: bytes, size: int) -> None:
    """Check the header of a PLY; `head`: the file's first MAX_HEADER_BYTES. Files of other formats are left to the
    compressor. Raises RejectedUpload(INVALID_SPLAT) for a PLY that is not a splat."""
    fault = splat_fault(head, size) if head.startswith(MAGIC) else None
    if fault:
        raise RejectedUpload(ErrorCode.INVALID_SPLAT, f"{name} {fault}")


def check_model(archive: BinaryIO, files: Mapping[PurePosixPath, Entry], scene: SceneFiles) -> None:
    """Raises RejectedUpload(INVALID_SCENE) if the largest model has a camera that training does not support, has too
    few photos or points, or lists photos of which fewer than half are in the archive.
    """
    try:
        model = _largest(_models(archive, files, scene))
        cameras = model.cameras()
        if (points := model.points_up_to(MIN_POINTS)) < MIN_POINTS:
            raise RejectedUpload(ErrorCode.INVALID_SCENE, f"{points} points; training needs {MIN_POINTS}")
        count, images = model.images()
        _check_photos(
            count, images, cameras, {path.relative_to(scene.images) for path in files if scene.is_photo(path)}
        )
    except OutOfReach:
        return
    except DamagedEntryError as error:
        raise RejectedUpload(ErrorCode.INVALID_SCENE, str(error)) from error
    except ValueError as error:
        raise RejectedUpload(ErrorCode.INVALID_SCENE, f"the sparse model cannot be read ({error})") from error


def _check_photos(
    count: int | None, images: Iterable[ModelImage], cameras: Mapping[int, ModelCamera], there: set[PurePosixPath]
) -> None:
    """`count`: the number of photos in the model, None if only reading to its end shows it. Reading stops as soon as
    the result is certain."""
    found, missing = 0, list[str]()
    for image in images:
        check_camera(image, cameras)
        if PurePosixPath(image.name) in there:
            found += 1
        else:
            missing.append(image.name)
        if count is not None and (found >= _fewest(count) or len(missing) > count - _fewest(count)):
            break
    total = count if count is not None else found + len(missing)
    if total < MIN_POSED_PHOTOS:
        raise RejectedUpload(ErrorCode.INVALID_SCENE, f"{total} posed photos; training needs {MIN_POSED_PHOTOS}")
    if found < _fewest(total):
        facts = f"{missing[0]} and others of the {total} photos of the model are not in images/"
        raise RejectedUpload(ErrorCode.INVALID_SCENE, facts)


def _fewest(photos: int) -> float:
    return max(MIN_POSED_PHOTOS, photos / 2)


@dataclass(frozen=True)
class _Model:
    """A sparse model in the archive. Every method raises ValueError, DamagedEntryError, OutOfReach."""

    archive: BinaryIO
    files: Mapping[str, Entry]  # by their names in the model's folder
    reach: _Reach

    @property
    def text(self) -> bool:
        return is_text(self.files)

    def cameras(self) -> dict[int, ModelCamera]:
        return text_cameras(self._lines("cameras")) if self.text else binary_cameras(self._values("cameras"))

    def images(self) -> tuple[int | None, Iterator[ModelImage]]:
        """The number of photos that the model declares, None if it declares none, and the photos."""
        return (None, text_images(self._lines("images"))) if self.text else binary_images(self._values("images"))

    def image_count(self) -> int:
        """The number of photos in the model; 0 if its list of photos cannot be read."""
        try:
            count, images = self.images()
            return sum(1 for _ in images) if count is None else count
        except (ValueError, DamagedEntryError):
            return 0

    def points_up_to(self, limit: int) -> int:
        if self.text:
            return sum(1 for _ in islice(filter(None, self._lines("points3D")), limit))
        return int(self._values("points3D")("Q")[0])

    def _lines(self, name: str) -> Iterator[str]:
        return lines_of(self._counted(_chunks(self.archive, self.files[f"{name}.txt"], self.reach)))

    def _counted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.reach.spend(0, chunk.count(b"\n"))
            yield chunk

    def _values(self, name: str) -> Values:
        return Values(_chunks(self.archive, self.files[f"{name}.bin"], self.reach))


def _models(archive: BinaryIO, files: Mapping[PurePosixPath, Entry], scene: SceneFiles) -> list[_Model]:
    """The models of the scene. Raises OutOfReach if there are more than MAX_MODELS."""
    if len(scene.models) > MAX_MODELS:
        raise OutOfReach
    folders: dict[PurePosixPath, dict[str, Entry]] = defaultdict(dict)
    for path, entry in files.items():
        folders[path.parent][path.name] = entry
    reach = _Reach(MAX_BYTES, MAX_LINES)
    return [_Model(archive, folders[folder], reach) for folder in scene.models]


def _largest(models: Sequence[_Model]) -> _Model:
    """The model with the most photos, which is the one that training uses."""
    if len(models) == 1:
        return models[0]
    counts = [model.image_count() for model in models]
    return models[counts.index(max(counts))]


def _chunks(archive: BinaryIO, entry: Entry, reach: _Reach) -> Iterator[bytes]:
    """The entry's bytes. Raises DamagedEntryError, and OutOfReach beyond `reach` or for a compression method that needs
    another library."""
    if entry.method not in PLAIN:
        raise OutOfReach
    try:
        packed = Packed(archive, entry)
        left = packed.left
        for chunk in PLAIN[entry.method](packed):
            reach.spend(max(left - packed.left, len(chunk)))  # packed bytes count, too: Deflate allows empty blocks
            left = packed.left
            yield chunk
    except (*_BROKEN, DamagedEntryError) as error:
        raise DamagedEntryError(f"{entry.path} is damaged in the archive") from error


def _film(archive: BinaryIO, entry: Entry, reach: _Reach) -> io.RawIOBase:
    """A film in the archive as a file: all of it if it is stored without compression, otherwise its beginning."""
    if entry.method == Method.STORED:
        try:
            return _Part(archive, Packed(archive, entry).start, entry.bytes)
        except struct.error as error:
            raise DamagedEntryError(str(error)) from error
    beginning = io.BytesIO()
    for chunk in _chunks(archive, entry, reach):
        beginning.write(chunk)
        if beginning.tell() >= MAX_FILM_HEADER_BYTES:
            break
    return _Part(beginning, 0, entry.bytes, beginning.tell())


class _Part(io.RawIOBase):
    """`size` bytes of a file from `start` on, of which only the first `there` can be read."""

    def __init__(self, file: BinaryIO, start: int, size: int, there: int | None = None) -> None:
        self._file, self._start, self._size = file, start, size
        self._there = size if there is None else there
        self._at = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(self._size - self._at, 0)
        wanted = left if size < 0 else min(size, left)
        if self._at + wanted > self._there:
            raise OutOfReach
        self._file.seek(self._start + self._at)
        data = self._file.read(wanted)
        self._at += len(data)
        return data
