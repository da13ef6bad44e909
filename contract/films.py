"""What a customer's film may be. Preflight (by ranged reads) and sfm call one `check_film`.

MP4 and QuickTime files are boxes within boxes (ISO/IEC 14496-12,
https://developer.apple.com/documentation/quicktime-file-format). `moov` says how long the film is, how large and how it
is coded; it lies before or behind the pictures, which are not read.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import PurePosixPath
from typing import BinaryIO

from contract.codes import ErrorCode
from contract.counts import MAX_PIXELS

FILM_SUFFIXES = frozenset({".mp4", ".mov", ".m4v"})
TELEMETRY_SUFFIX = ".srt"  # subtitles, in which DJI's drones write where each second or frame was filmed
MIN_SECONDS, MAX_SECONDS = 2.0, 3600.0
MIN_SIDE = 240  # pixels
MAX_FILMS = 50  # of an upload
CODECS = frozenset(
    {"avc1", "avc3", "hvc1", "hev1", "dvh1", "dvhe", "dva1", "av01", "vp09", "mp4v", "jpeg", "mjpa"}
    | {"apch", "apcn", "apcs", "apco", "ap4h", "ap4x"}  # ProRes
)
HEAD_BYTES = 12  # what `begins_as_film` needs

FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"skip", b"free", b"pnot")
PICTURE_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis", b"crx ")
_VISUAL_ENTRY_BYTES = 86  # of a sample entry, before the boxes within it
# https://github.com/google/spatial-media: version 1 is XML in a box of this name, version 2 a box in the sample entry
SPHERICAL_UUID = bytes.fromhex("ffcc8263f8554a938814587a02521fdd")
MAX_BOXES = 10_000


class RefusedFilm(Exception):
    """Why no scene can be made of a film: a code of the closed list, and the facts."""

    def __init__(self, code: ErrorCode, facts: str) -> None:
        super().__init__(f"{code}: {facts}")
        self.code, self.facts = code, facts


@dataclass(frozen=True)
class FilmHeader:
    """`seconds`: None where the header does not say (films in fragments). `width`, `height`: pixels as stored, before
    a rotation. `codec`: four letters. `panoramic`: marked as a 360° film.
    """

    seconds: float | None
    width: int
    height: int
    codec: str
    panoramic: bool


def clock(seconds: float) -> str:
    """A moment of a film as players show it, with tenths: 1:02.4."""
    tenths = round(seconds * 10)
    return f"{tenths // 600}:{tenths // 10 % 60:02d}.{tenths % 10}"


def is_film(path: PurePosixPath) -> bool:
    return path.suffix.lower() in FILM_SUFFIXES


def begins_as_film(head: bytes) -> bool:
    """Whether a file of these first HEAD_BYTES is an MP4 or QuickTime film; HEIC pictures begin in the same way."""
    return head[4:8] in FIRST_BOXES and not (head[4:8] == b"ftyp" and head[8:12] in PICTURE_BRANDS)


def check_film(stream: BinaryIO) -> FilmHeader:
    """The header of a film that a scene can be made of.

    Raises RefusedFilm: UNREADABLE_FILM, UNSUITABLE_FILM, PANORAMA.
    """
    header = read_header(stream)
    if header.codec not in CODECS:
        raise RefusedFilm(ErrorCode.UNREADABLE_FILM, f"its pictures are coded as {header.codec!r}")
    if header.panoramic:
        raise RefusedFilm(ErrorCode.PANORAMA, "the film is marked as spherical")
    size = f"{header.width} × {header.height} pixels"
    if min(header.width, header.height) < MIN_SIDE:
        raise RefusedFilm(ErrorCode.UNSUITABLE_FILM, f"only {size}")
    if header.width * header.height > MAX_PIXELS:
        raise RefusedFilm(ErrorCode.UNSUITABLE_FILM, f"{size} are too many")
    if header.seconds is not None and not MIN_SECONDS <= header.seconds <= MAX_SECONDS:
        limits = f"{MIN_SECONDS:.0f} s to {MAX_SECONDS / 60:.0f} min"
        raise RefusedFilm(ErrorCode.UNSUITABLE_FILM, f"it takes {header.seconds:.1f} s, not {limits}")
    return header


def read_header(stream: BinaryIO) -> FilmHeader:
    """What the boxes say of the first picture track; behind `moov` nothing is read, where a film in fragments has
    thousands of boxes. Raises RefusedFilm(UNREADABLE_FILM).
    """
    boxes = _Boxes(stream)
    top = boxes.within(0, stream.seek(0, io.SEEK_END))
    first = next(top, None)
    if first is None or first.kind not in FIRST_BOXES:
        raise RefusedFilm(ErrorCode.UNREADABLE_FILM, "it is neither an MP4 nor a QuickTime file")
    moov = next((box for box in chain((first,), top) if box.kind == b"moov"), None)
    if moov is None or not moov.whole:
        raise RefusedFilm(ErrorCode.UNREADABLE_FILM, "it is cut off: the list of its pictures is missing")
    children = list(boxes.within(moov.start, moov.end))
    for trak in (box for box in children if box.kind == b"trak"):
        track = _Track.described_in(boxes, trak)
        if track is not None:
            fragmented = any(box.kind == b"mvex" for box in children)
            return FilmHeader(
                seconds=None if fragmented else track.seconds,
                width=track.width,
                height=track.height,
                codec=track.codec,
                panoramic=track.panoramic,
            )
    raise RefusedFilm(ErrorCode.UNREADABLE_FILM, "it contains no pictures")


def is_cut_off(stream: BinaryIO) -> bool:
    """Whether a film ends before its pictures do."""
    return not all(box.whole for box in _Boxes(stream).within(0, stream.seek(0, io.SEEK_END)))


@dataclass(frozen=True)
class _Box:
    """A box: its four letters, and where its content begins and ends; `whole`: it claims no more than there is."""

    kind: bytes
    start: int
    end: int
    whole: bool


class _Boxes:
    """Reads the heads of boxes, a bounded number of them, whatever the file says."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = MAX_BOXES

    def bytes_at(self, start: int, count: int) -> bytes:
        self._stream.seek(start)
        return self._stream.read(count)

    def within(self, start: int, end: int) -> Iterator[_Box]:
        """The boxes of a range in order; one that claims to end beyond it, by up to 2^64 bytes, ends with it."""
        while start + 8 <= end and self._left > 0:
            self._left -= 1
            head = self.bytes_at(start, 16)
            if len(head) < 8:
                return
            size, kind = struct.unpack(">I4s", head[:8])
            body = 8
            if size == 1 and len(head) == 16:
                size, body = struct.unpack(">Q", head[8:])[0], 16
            elif size == 0:
                size = end - start
            if size < body:
                return
            yield _Box(kind, start + body, min(start + size, end), start + size <= end)
            start += size

    def box_at(self, box: _Box, *path: bytes) -> _Box | None:
        """The first box down a path of kinds."""
        found: _Box | None = box
        for kind in path:
            if found is None:
                return None
            found = next((child for child in self.within(found.start, found.end) if child.kind == kind), None)
        return found


@dataclass(frozen=True)
class _Track:
    """A track of pictures."""

    seconds: float
    width: int
    height: int
    codec: str
    panoramic: bool

    @classmethod
    def described_in(cls, boxes: _Boxes, trak: _Box) -> _Track | None:
        """None where the track holds no pictures, or is too damaged to say."""
        handler = boxes.box_at(trak, b"mdia", b"hdlr")
        times = boxes.box_at(trak, b"mdia", b"mdhd")
        described = boxes.box_at(trak, b"mdia", b"minf", b"stbl", b"stsd")
        if handler is None or times is None or described is None:
            return None
        if boxes.bytes_at(handler.start, 12)[8:] != b"vide":
            return None
        entry = next(boxes.within(described.start + 8, described.end), None)
        if entry is None:
            return None
        fields = boxes.bytes_at(entry.start, 28)
        seconds = _seconds(boxes.bytes_at(times.start, 32))
        if len(fields) < 28 or seconds is None:
            return None
        width, height = struct.unpack(">HH", fields[24:])
        extensions = {box.kind for box in boxes.within(entry.start + _VISUAL_ENTRY_BYTES - 8, entry.end)}
        marked = any(
            box.kind == b"uuid" and boxes.bytes_at(box.start, 16) == SPHERICAL_UUID
            for box in boxes.within(trak.start, trak.end)
        )
        return cls(seconds, width, height, entry.kind.decode("latin-1"), marked or b"sv3d" in extensions)


def _seconds(header: bytes) -> float | None:
    """Of the content of a media header, version 0 or 1."""
    if len(header) < 32:
        return None
    scale, duration = struct.unpack(">IQ", header[20:32]) if header[0] == 1 else struct.unpack(">II", header[12:20])
    return duration / scale if scale else None
