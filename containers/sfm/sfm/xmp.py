"""Read a photo's XMP: complete or divided packets, in any encoding, and their properties.

Adobe, XMP Specification Part 3 (2020), 1.1.3: a packet is an APP1 segment of a JPEG; what does not fit follows as
extended XMP, in parts with their offsets. Some writers instead divide an ordinary packet into several segments.
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Mapping

from PIL import Image

TAG = 700
MAX_BYTES = 4 << 20  # for all packets together; drones write a few thousand bytes
_STANDARD, _EXTENDED = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
_GUID_BYTES, _NUMBER_BYTES = 32, 4
_ENCODINGS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_BEGINNINGS = (b"<?xpacket begin", b"<?xml", b"<x:xmpmeta", b"<x:xapmeta", b"<rdf:RDF")
_NUMBER = re.compile(r"([+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?:\s*/\s*(\d+(?:\.\d+)?))?")
_COORDINATE = re.compile(r"(\d{1,3}),(\d{1,2}(?:\.\d+)?)(?:,(\d{1,2}(?:\.\d+)?))?\s*([NSEW])", re.I)


def xmp_of(image: Image.Image, tags: Mapping[int, object]) -> str:
    """The text of an opened picture's XMP, "" if it has none; `tags`: its TIFF tags."""
    segments = [data for marker, data in getattr(image, "applist", []) if marker == "APP1"]
    packets = _standard_packets(segments) + _extended_packets(segments)
    if not packets:
        return xmp_in({TAG: image.info.get("xmp") or tags.get(TAG)})
    return "\n".join(decoded(packet[:MAX_BYTES]) for packet in packets)[:MAX_BYTES]


def xmp_in(tags: Mapping[int, object]) -> str:
    """The text of the XMP among TIFF tags, "" if they have none."""
    packet = tags.get(TAG)
    if not packet:
        return ""
    return decoded((packet.encode() if isinstance(packet, str) else _bytes(packet))[:MAX_BYTES])


def decoded(packet: bytes) -> str:
    """A packet's text: UTF-8, or UTF-16 or UTF-32, recognised by byte-order mark or zeros (XMP Specification Part 1,
    7.1)."""
    for mark, encoding in _ENCODINGS:
        if packet.startswith(mark):
            return packet[len(mark) :].decode(encoding, "replace")
    head = packet[:4].ljust(4, b" ")
    zeros = (head[0] == 0, head[1] == 0, head[2] == 0, head[3] == 0)
    encodings = {
        (False, True, True, True): "utf-32-le",
        (True, True, True, False): "utf-32-be",
        (False, True, False, True): "utf-16-le",
        (True, False, True, False): "utf-16-be",
    }
    return packet.decode(encodings.get(zeros, "utf-8"), "replace")


def value_of(xmp: str, name: str) -> str | None:
    """The text of the property `name`, given with its usual prefix; it may be an attribute, an element, or a list, of
    which the first item is returned. None if there is no such property."""
    escaped = re.escape(name)
    found = re.search(
        rf"(?<![\w:.-]){escaped}\s*=\s*(?:\"([^\"<]*)\"|'([^'<]*)')"
        rf"|<{escaped}(?:\s[^<>]*)?>(?:\s*<rdf:(?:Seq|Bag|Alt)>\s*<rdf:li(?:\s[^<>]*)?>)?([^<]*)<",
        xmp,
    )
    return next((group.strip() for group in found.groups() if group is not None), None) if found else None


def first_of(xmp: str, *names: str) -> str:
    """The text of the first of these properties that is not empty, "" if there is none."""
    return next((value for name in names if (value := value_of(xmp, name))), "")


def number_of(xmp: str, *names: str) -> float | None:
    """The first of these properties that is a number, decimal or a fraction as in EXIF; None if none is."""
    for name in names:
        found = _NUMBER.fullmatch(value_of(xmp, name) or "")
        if found:
            number = float(found[1]) / float(found[2] or 1) if float(found[2] or 1) else math.nan
            if math.isfinite(number):
                return number
    return None


def coordinate_of(xmp: str, *names: str) -> float | None:
    """Signed degrees from the first of these properties that is a number, or `degrees,minutes[,seconds]` with a letter
    (XMP Specification Part 2); None if none is."""
    for name in names:
        if (number := number_of(xmp, name)) is not None:
            return number
        found = _COORDINATE.fullmatch(value_of(xmp, name) or "")
        if found:
            degrees = int(found[1]) + float(found[2]) / 60 + float(found[3] or 0) / 3600
            return -degrees if found[4].upper() in "SW" else degrees
    return None


def block_of(xmp: str, name: str) -> str:
    """The content of the structure `name`, or its attributes if it has no content; "" if there is no such structure."""
    opening = re.search(rf"<{re.escape(name)}(\s[^<>]*?)?(/?)>", xmp)
    if opening is None:
        return ""
    if opening[2]:
        return opening[1] or ""
    # a single expression for both tags would retry at every opening tag if none is closed
    end = xmp.find(f"</{name}>", opening.end())
    return xmp[opening.end() : end] if end >= 0 else ""


def _standard_packets(segments: list[bytes]) -> list[bytes]:
    """The ordinary packets; divided ones are joined again."""
    packets: list[bytes] = []
    for segment in segments:
        if segment.startswith(_STANDARD):
            piece = segment[len(_STANDARD) :]
            if packets and not _begins_packet(piece):
                packets[-1] += piece
            else:
                packets.append(piece)
    return packets


def _begins_packet(piece: bytes) -> bool:
    start = piece[:64].replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \r\n\t")
    return start.startswith(_BEGINNINGS)


def _extended_packets(segments: list[bytes]) -> list[bytes]:
    """The extended packets, with their parts in order."""
    parts: dict[bytes, dict[int, bytes]] = {}
    head = len(_EXTENDED) + _GUID_BYTES + 2 * _NUMBER_BYTES
    for segment in segments:
        if segment.startswith(_EXTENDED) and len(segment) > head:
            guid = segment[len(_EXTENDED) : len(_EXTENDED) + _GUID_BYTES]
            offset = int.from_bytes(segment[head - _NUMBER_BYTES : head], "big")
            parts.setdefault(guid, {})[offset] = segment[head:]
    return [b"".join(found[offset] for offset in sorted(found)) for found in parts.values()]


def _bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, int):  # of which bytes() would make as many zeros
        return b""
    try:
        return bytes(value)  # type: ignore[call-overload, no-any-return] # tag 700 may be read as a tuple of bytes
    except (TypeError, ValueError):
        return b""
