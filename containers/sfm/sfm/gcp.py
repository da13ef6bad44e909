"""Ground control points from `gcp_list.txt`, the format of OpenDroneMap (https://docs.opendronemap.org/gcp/).

The first line names the coordinate system (`EPSG:32632`, `WGS84 UTM 32N`, `+proj=utm …`); each further line is a mark:
`east north height column row photo [name] …`, or longitude and latitude for the first two in a geographic system.
Columns and rows are pixels of the photo as it is seen upright.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pyproj import CRS, Transformer

from sfm.crs import UnknownSystemError, named_system, to_geographic
from sfm.position import GeoPosition

MAX_BYTES = 4 << 20
FIELDS = 6


class UnusableGcpFileError(Exception):
    """The file cannot be used; the message says why and is shown to the customer."""


@dataclass(frozen=True)
class Mark:
    """Where one photo shows a control point; pixels, the top left corner of the picture is (0, 0)."""

    photo: str
    column: float
    row: float


@dataclass(frozen=True)
class ControlPoint:
    """A surveyed place and the photos that show it."""

    name: str
    position: GeoPosition
    marks: tuple[Mark, ...]


def parse_gcp_list(text: str, names: Mapping[str, str]) -> list[ControlPoint]:
    """Control points in order of appearance. `names` maps lower-case base names to photos; marks in other photos are
    ignored. Raises UnusableGcpFileError naming the line.
    """
    lines = _lines(text)
    transformer = _transformer(lines[0][1])
    marks: dict[tuple[str, float, float, float], list[Mark]] = {}
    for number, line in lines[1:]:
        key, mark = _mark(number, line)
        photo = names.get(PurePosixPath(mark.photo.replace("\\", "/")).name.lower())
        if photo is not None:
            marks.setdefault(key, []).append(Mark(photo, mark.column, mark.row))
    return [
        ControlPoint(name or f"point {index}", _position(transformer, *place), tuple(found))
        for index, ((name, *place), found) in enumerate(marks.items(), start=1)
    ]


def system_of(text: str) -> CRS:
    """The coordinate system that the list is in. Raises UnusableGcpFileError."""
    header = _lines(text)[0][1]
    try:
        return named_system(header)
    except UnknownSystemError as error:
        raise UnusableGcpFileError(f"its first line is no coordinate system: {header[:60]!r}") from error


def by_base_name(originals: Mapping[str, str]) -> dict[str, str]:
    """Map lower-case base names to names, given original → name; base names that two photos share are left out."""
    found: dict[str, str] = {}
    shared: set[str] = set()
    for original, name in originals.items():
        base = PurePosixPath(original).name.lower()
        if base in found:
            shared.add(base)
        found[base] = name
    return {base: name for base, name in found.items() if base not in shared}


def _lines(text: str) -> list[tuple[int, str]]:
    """Numbers and content of the lines that say something, at least one. Raises UnusableGcpFileError."""
    lines = [(number, line.strip()) for number, line in enumerate(text.lstrip("\ufeff").splitlines(), start=1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if not lines:
        raise UnusableGcpFileError("the file is empty")
    return lines


def _transformer(header: str) -> Transformer:
    try:
        return to_geographic(named_system(header))
    except UnknownSystemError as error:
        raise UnusableGcpFileError(f"its first line is no coordinate system: {header[:60]!r}") from error


def _mark(number: int, line: str) -> tuple[tuple[str, float, float, float], Mark]:
    fields = line.split("\t") if line.count("\t") >= FIELDS - 1 else line.split()
    try:
        x, y, z, column, row = (float(field) for field in fields[:5])
        photo = fields[5].strip()
    except (ValueError, IndexError) as error:
        raise UnusableGcpFileError(f"line {number} is not “east north height column row photo”") from error
    if not all(map(math.isfinite, (x, y, z, column, row))):
        raise UnusableGcpFileError(f"line {number} holds a number that is none")
    name = fields[6].strip() if len(fields) > FIELDS else ""
    return (name, x, y, z), Mark(photo, column, row)


def _position(transformer: Transformer, x: float, y: float, z: float) -> GeoPosition:
    longitude, latitude = transformer.transform(x, y)
    if not (abs(longitude) <= 180 and abs(latitude) <= 90):  # infinite where PROJ finds none
        raise UnusableGcpFileError(f"{x:g}, {y:g} is no place in its coordinate system")
    return GeoPosition(latitude, longitude, z)


def read_text(path: Path) -> str:
    """The file's text, which is UTF-8, else Latin-1. Raises UnusableGcpFileError beyond MAX_BYTES."""
    with path.open("rb") as stream:
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise UnusableGcpFileError(f"more than {MAX_BYTES} bytes are too many")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")
