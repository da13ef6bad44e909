"""Write cloud-optimised GeoTIFF: RGB as JPEG tiles with a mask, or heights as float32, with overviews and GeoKeys.

The layout is that of GDAL's COG driver (https://docs.ogc.org/is/21-026/21-026.html): the header, all directories from
the full picture to the smallest overview, each followed by that of its mask, then the tiles, smallest overview first.
The keys are those of GeoTIFF 1.1 (https://docs.ogc.org/is/19-008r4/19-008r4.html). Rasters are read tile by tile, so
they may be memory maps.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from contract.files import whole
from splat.gaussians import Float32

TILE = 512
JPEG_QUALITY = 88
NODATA = -9999.0
MAX_BYTES = 4 * 10**9  # a classic TIFF's offsets have 32 bits
_SHORT, _LONG, _RATIONAL, _DOUBLE, _ASCII = 3, 4, 5, 12, 2
_LETTER = {_SHORT: "H", _LONG: "I", _RATIONAL: "I", _DOUBLE: "d"}
_SIZE = {_ASCII: 1, _SHORT: 2, _LONG: 4, _RATIONAL: 8, _DOUBLE: 8}  # bytes per value; a rational is two numbers
Bytes = NDArray[np.uint8]
Bool = NDArray[np.bool_]


class TooLargeError(Exception):
    """The file would be larger than a TIFF can be."""


@dataclass(frozen=True)
class Georeference:
    """Where a raster lies: its top left corner and cell size in the unit of its coordinate system.

    `epsg`: the system's EPSG code, None if it has none; `name`: the system's name; `vertical`: the EPSG code of the
    heights' system, if it has one.
    """

    west: float
    north: float
    cell: float
    epsg: int | None
    name: str
    vertical: int | None = None


@dataclass
class _Directory:
    tags: dict[int, tuple[int, list[float] | bytes]]
    tiles: list[bytes] = field(default_factory=list)


def write_picture(path: Path, rgb: Bytes, valid: Bool, place: Georeference) -> None:
    """Write the picture `rgb` (h, w, 3) with the mask `valid` (h, w). Raises TooLargeError."""
    directories: list[_Directory] = []
    while True:
        reduced = bool(directories)
        directories += [_picture(rgb, reduced), _mask(valid, reduced)]
        if max(rgb.shape[:2]) <= TILE:
            break
        rgb, valid = _halved_picture(rgb, valid)
    directories[0].tags |= _geo_keys(place)
    _write(path, directories)


def write_heights(path: Path, values: Float32, place: Georeference, step: float) -> None:
    """Write heights `values` (h, w) in metres, NaN where unknown, rounded to `step` metres: 1 cm halves the file.

    Raises TooLargeError.
    """
    directories: list[_Directory] = []
    while True:
        directories.append(_heights(values, bool(directories), step))
        if max(values.shape) <= TILE:
            break
        values = _halved_heights(values)
    directories[0].tags |= _geo_keys(place)
    _write(path, directories)


def _geo_keys(place: Georeference) -> dict[int, tuple[int, list[float] | bytes]]:
    citation = (place.name.replace("|", " ") + "|").encode("ascii", "replace")
    user_defined = 32767
    keys = [(1024, 0, 1, 1), (1025, 0, 1, 1), (1026, 34737, len(citation), 0)]
    keys.append((3072, 0, 1, place.epsg or user_defined))
    if place.vertical:
        keys.append((4096, 0, 1, place.vertical))
    directory: list[float] = [1, 1, 0, len(keys), *(value for key in keys for value in key)]
    return {
        33550: (_DOUBLE, [place.cell, place.cell, 0.0]),
        33922: (_DOUBLE, [0.0, 0.0, 0.0, place.west, place.north, 0.0]),
        34735: (_SHORT, directory),
        34737: (_ASCII, citation + b"\0"),
    }


def _base(shape: tuple[int, ...], kind: int) -> dict[int, tuple[int, list[float] | bytes]]:
    return {
        254: (_LONG, [kind]),
        256: (_LONG, [shape[1]]),
        257: (_LONG, [shape[0]]),
        284: (_SHORT, [1]),
        322: (_SHORT, [TILE]),
        323: (_SHORT, [TILE]),
    }


def _picture(rgb: Bytes, reduced: bool) -> _Directory:
    tags = _base(rgb.shape, int(reduced))
    tags |= {
        258: (_SHORT, [8, 8, 8]),
        259: (_SHORT, [7]),
        262: (_SHORT, [6]),
        277: (_SHORT, [3]),
        339: (_SHORT, [1, 1, 1]),
        530: (_SHORT, [2, 2]),
        532: (_RATIONAL, [0, 1, 255, 1, 128, 1, 255, 1, 128, 1, 255, 1]),
    }
    made = _Directory(tags)
    for tile in _tiles(rgb, edge=True):
        buffer = io.BytesIO()
        Image.fromarray(tile).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=2)
        made.tiles.append(buffer.getvalue())
    return made


def _mask(valid: Bool, reduced: bool) -> _Directory:
    tags = _base(valid.shape, 4 | int(reduced))
    tags |= {258: (_SHORT, [1]), 259: (_SHORT, [8]), 262: (_SHORT, [4]), 277: (_SHORT, [1])}
    return _Directory(
        tags, [zlib.compress(np.packbits(tile.astype(bool), axis=1).tobytes(), 6) for tile in _tiles(valid)]
    )


def _heights(values: Float32, reduced: bool, step: float) -> _Directory:
    tags = _base(values.shape, int(reduced))
    tags |= {
        258: (_SHORT, [32]),
        259: (_SHORT, [8]),
        262: (_SHORT, [1]),
        277: (_SHORT, [1]),
        317: (_SHORT, [3]),
        339: (_SHORT, [3]),
        42113: (_ASCII, f"{NODATA:g}".encode() + b"\0"),
    }
    made = _Directory(tags)
    for tile in _tiles(values, fill=np.nan):
        rounded = np.round(tile.astype(np.float64) / step) * step
        made.tiles.append(zlib.compress(_predicted(np.where(np.isfinite(rounded), rounded, NODATA)), 6))
    return made


def _predicted(tile: NDArray[np.float64]) -> bytes:
    """TIFF's floating-point predictor: the bytes of a row are grouped by significance, then differenced."""
    rows, columns = tile.shape
    planes = tile.astype(">f4").view(np.uint8).reshape(rows, columns, 4).transpose(0, 2, 1).reshape(rows, 4 * columns)
    out = planes.copy()
    out[:, 1:] = planes[:, 1:] - planes[:, :-1]
    return out.tobytes()


def _tiles(data: NDArray[np.generic], fill: float = 0, edge: bool = False) -> Iterator[NDArray[np.generic]]:
    """Tiles of full size. Those at the right and the bottom are padded with `fill`, or, if `edge`, with their last row
    and column, which avoids JPEG artefacts.
    """
    for top in range(0, data.shape[0], TILE):
        for left in range(0, data.shape[1], TILE):
            part = np.asarray(data[top : top + TILE, left : left + TILE])
            missing = [(0, TILE - part.shape[0]), (0, TILE - part.shape[1]), *[(0, 0)] * (part.ndim - 2)]
            if edge:
                yield np.pad(part, missing, mode="edge")
            else:
                yield np.pad(part, missing, constant_values=fill)


def _halved_picture(rgb: Bytes, valid: Bool) -> tuple[Bytes, Bool]:
    """Means of the valid pixels of each 2 by 2, computed strip by strip."""
    shape = ((rgb.shape[0] + 1) // 2, (rgb.shape[1] + 1) // 2)
    picture, mask = np.zeros((*shape, 3), np.uint8), np.zeros(shape, bool)
    for top in range(0, shape[0], TILE):
        rows = slice(2 * top, min(2 * (top + TILE), rgb.shape[0]))
        weights = _even(valid[rows].astype(np.float32))
        values = _even(rgb[rows].astype(np.float32) * valid[rows][..., None])
        count = _quads(weights)
        mean = _quads(values) / np.maximum(count, 1)[..., None]
        picture[top : top + TILE] = np.rint(mean).astype(np.uint8)
        mask[top : top + TILE] = count > 0
    return picture, mask


def _halved_heights(values: Float32) -> Float32:
    """Means of the known heights of each 2 by 2, computed strip by strip."""
    found = np.full(((values.shape[0] + 1) // 2, (values.shape[1] + 1) // 2), np.nan, np.float32)
    for top in range(0, found.shape[0], TILE):
        part = np.asarray(values[2 * top : 2 * (top + TILE)])
        known = np.isfinite(part)
        count = _quads(_even(known.astype(np.float32)))
        total = _quads(_even(np.where(known, part, 0).astype(np.float32)))
        found[top : top + TILE] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return found


def _even(values: Float32) -> Float32:
    """`values` with rows and columns padded with zeros to even numbers."""
    return np.pad(values, [(0, values.shape[0] % 2), (0, values.shape[1] % 2), *[(0, 0)] * (values.ndim - 2)])


def _quads(values: Float32) -> Float32:
    """The sum of each 2 by 2."""
    rows, columns = values.shape[0] // 2, values.shape[1] // 2
    total: Float32 = values.reshape(rows, 2, columns, 2, *values.shape[2:]).sum(axis=(1, 3))
    return total


def _write(path: Path, directories: list[_Directory]) -> None:
    """Write the directories, then the tiles of the last directory first; the file appears whole or not at all."""
    offset = 8
    starts = []
    for directory in directories:
        directory.tags[324] = (_LONG, [0] * len(directory.tiles))
        directory.tags[325] = (_LONG, [len(tile) for tile in directory.tiles])
        starts.append(offset)
        offset += 2 + 12 * len(directory.tags) + 4
        offset += sum(_padded(_raw(*value)) for value in directory.tags.values() if len(_raw(*value)) > 4)
    for directory in reversed(directories):
        offsets: list[float] = []
        for tile in directory.tiles:
            offsets.append(offset)
            offset += len(tile)
        directory.tags[324] = (_LONG, offsets)
    if offset > MAX_BYTES:
        raise TooLargeError(f"{path.name} would have {offset / 1e9:.1f} GB, more than a TIFF can hold")
    with whole(path) as partial, partial.open("wb") as out:
        out.write(struct.pack("<2sHI", b"II", 42, starts[0]))
        for directory, start, following in zip(directories, starts, [*starts[1:], 0], strict=True):
            out.write(_packed(directory, start, following))
        for directory in reversed(directories):
            for tile in directory.tiles:
                out.write(tile)


def _packed(directory: _Directory, start: int, following: int) -> bytes:
    body, tail = bytearray(), bytearray()
    behind = start + 2 + 12 * len(directory.tags) + 4
    for tag, (kind, values) in sorted(directory.tags.items()):
        raw = _raw(kind, values)
        count = len(raw) // _SIZE[kind]
        body += struct.pack("<HHI", tag, kind, count)
        if len(raw) <= 4:
            body += raw.ljust(4, b"\0")
        else:
            body += struct.pack("<I", behind + len(tail))
            tail += raw.ljust(_padded(raw), b"\0")
    return bytes(struct.pack("<H", len(directory.tags)) + body + struct.pack("<I", following) + tail)


def _raw(kind: int, values: list[float] | bytes) -> bytes:
    return values if isinstance(values, bytes) else struct.pack(f"<{len(values)}{_LETTER[kind]}", *values)


def _padded(raw: bytes) -> int:
    return (len(raw) + 1) // 2 * 2
