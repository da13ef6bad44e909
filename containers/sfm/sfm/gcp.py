"""Ground control points from `gcp_list.txt`, the format of OpenDroneMap (https://docs.opendronemap.org/gcp/).

The first line names the coordinate system (`EPSG:32632`, `WGS84 UTM 32N`, `+proj=utm …`); each further line is a mark:
`east north height column row photo [name] …`, or longitude and latitude for the first two in a geographic system.
Heights are in the unit of the system's vertical axis, or in metres if it has none. Columns and rows are pixels of the
photo as it is seen upright. Names of photos may hold spaces.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pyproj import CRS, Transformer

from sfm.crs import UnknownSystemError, named_system, to_geographic
from sfm.position import GeoPosition
from sfm.vertical import metres_per_unit_of_height

MAX_BYTES = 4 << 20
FIELDS = 6
MAX_WORDS = 20  # of a photo's name
# of lists that are no Unicode: western Windows, Japanese Windows, DOS; the first unless another finds more photos
ENCODINGS = ("latin-1", "cp932", "cp437")


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


def parse_gcp_list(text: str, names: Mapping[str, str]) -> tuple[list[ControlPoint], CRS]:
    """Control points in order of appearance, and the coordinate system that the list is in.

    `names`: of `names_of_photos`; marks in other photos are ignored. Of several marks of a point in one photo the last
    counts. Raises UnusableGcpFileError naming the line.
    """
    lines = _lines(text)
    system = _system(lines[0][1])
    transformer, height_unit = to_geographic(system), metres_per_unit_of_height(system)
    marks: dict[tuple[str, float, float, float], dict[str, Mark]] = {}
    for number, line in lines[1:]:
        key, mark = _mark(number, line, names)
        if mark is not None:
            marks.setdefault(key, {})[mark.photo] = mark
    points = [
        ControlPoint(name or f"point {index}", _position(transformer, height_unit, *place), tuple(found.values()))
        for index, ((name, *place), found) in enumerate(marks.items(), start=1)
    ]
    return points, system


def names_of_photos(originals: Mapping[str, str]) -> dict[str, str]:
    """What a list may call a photo → its name, given original → name: the path in the upload, and the file's own name
    where no two photos share it. How accents are composed does not count, nor does case, but for paths that differ in
    nothing else: of these, only the path as it is written, with a slash before it.
    """
    paths: dict[str, dict[str, str]] = {}
    for original, name in originals.items():
        path = _path(original)
        paths.setdefault(path.casefold(), {})[path] = name
    photos_of = Counter(PurePosixPath(folded).name for folded, alike in paths.items() for _ in alike)
    alone = {folded: name for folded, alike in paths.items() if len(alike) == 1 for name in alike.values()}
    bases = {base: name for folded, name in alone.items() if photos_of[base := PurePosixPath(folded).name] == 1}
    written = {f"/{path}": name for alike in paths.values() if len(alike) > 1 for path, name in alike.items()}
    return bases | alone | written


def _path(text: str) -> str:
    return str(PurePosixPath(unicodedata.normalize("NFC", text).replace("\\", "/")))


def _find(text: str, names: Mapping[str, str]) -> str | None:
    """The photo of that path, or else of that file's name."""
    path = _path(text)
    folded = path.casefold()
    return names.get(f"/{path}") or names.get(folded) or names.get(PurePosixPath(folded).name)


def _lines(text: str) -> list[tuple[int, str]]:
    """Numbers and content of the lines that say something, at least one. Raises UnusableGcpFileError."""
    lines = [(number, line.strip()) for number, line in enumerate(text.lstrip("\ufeff").splitlines(), start=1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if not lines:
        raise UnusableGcpFileError("the file is empty")
    return lines


def _system(header: str) -> CRS:
    try:
        return named_system(header)
    except UnknownSystemError as error:
        raise UnusableGcpFileError(f"its first line is not a coordinate system: {header[:60]!r}") from error


def _mark(number: int, line: str, names: Mapping[str, str]) -> tuple[tuple[str, float, float, float], Mark | None]:
    """The name and place of the point, and the mark unless it is in a photo that is not there."""
    fields = _fields(line)
    try:
        x, y, z, column, row = (float(field) for field in fields[: FIELDS - 1])
        photo, more = _photo_and_name(fields, names)
    except (ValueError, IndexError) as error:
        facts = f"line {number} does not have the form “east north height column row photo”"
        raise UnusableGcpFileError(facts) from error
    if not all(map(math.isfinite, (x, y, z, column, row))):
        raise UnusableGcpFileError(f"line {number} contains a value that is not a finite number")
    return (more, x, y, z), Mark(photo, column, row) if photo is not None else None


def _fields(line: str) -> list[str]:
    """The line's fields; without tabs, all behind the numbers is one."""
    return line.split("\t") if line.count("\t") >= FIELDS - 1 else line.split(None, FIELDS - 1)


def _photo_and_name(fields: list[str], names: Mapping[str, str]) -> tuple[str | None, str]:
    """The photo of a line, if it is there, and the point's name. Raises IndexError where fields are missing."""
    photo = fields[FIELDS - 1].strip()
    if len(fields) > FIELDS:
        return _find(photo, names), fields[FIELDS].strip()
    return _leading_photo(photo, names)


def _leading_photo(rest: str, names: Mapping[str, str]) -> tuple[str | None, str]:
    """The photo that the end of a line begins with, whose name may hold spaces, and the word after it."""
    ends = [match.start() for match in re.finditer(r"\s+|$", rest)][:MAX_WORDS]
    for end in reversed(ends):
        if (photo := _find(rest[:end], names)) is not None:
            return photo, "".join(rest[end:].split()[:1])
    return None, "".join(rest.split()[1:2])


def _position(transformer: Transformer, height_unit: float, x: float, y: float, z: float) -> GeoPosition:
    longitude, latitude = transformer.transform(x, y)
    if not (abs(longitude) <= 180 and abs(latitude) <= 90):  # infinite if PROJ finds no place
        raise UnusableGcpFileError(f"{x:g}, {y:g} lies outside the list's coordinate system")
    return GeoPosition(latitude, longitude, z * height_unit)


def read_text(path: Path, names: Mapping[str, str]) -> str:
    """The file's text: Unicode, else in that one of ENCODINGS in which the most lines name a photo of `names`. Raises
    UnusableGcpFileError beyond MAX_BYTES.
    """
    with path.open("rb") as stream:
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise UnusableGcpFileError(f"the file is larger than {MAX_BYTES} bytes")
    try:
        return content.decode("utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8")
    except UnicodeDecodeError:
        texts = [content.decode(encoding, "replace") for encoding in ENCODINGS]
        return max(texts, key=lambda text: sum(_names_a_photo(line, names) for line in text.splitlines()))


def _names_a_photo(line: str, names: Mapping[str, str]) -> bool:
    """Whether a line names a photo by more than ASCII, which is the same in all ENCODINGS."""
    fields = _fields(line.strip())
    return not line.isascii() and len(fields) >= FIELDS and _photo_and_name(fields, names)[0] is not None
