"""Read a PLY's header: whether its vertices can be Gaussians, and whether the file can hold what it declares.

Preflight and the compressor read it alike, before any memory is taken for what the header promises.
http://paulbourke.net/dataformats/ply/ has the format, splat/ply.py the names that splat tools write.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from contract.options import WHOLE_NUMBERS

MAX_HEADER_BYTES = 1 << 20  # ours has two thousand; readers go through it byte by byte
MAX_PROPERTIES = 1_000
MAX_GAUSSIANS = WHOLE_NUMBERS["max_gaussians"].high
MAGIC = (b"ply\n", b"ply\r")
PACKED = "packed_position"  # of vertices that are words rather than numbers, ranged by an element `chunk`
HIGHER_COEFFICIENTS = tuple((degree + 1) ** 2 - 1 for degree in range(6))
"""Spherical harmonics a channel beyond the first, by degree; those above degree 3 are left out of what is delivered."""
# normals say nothing of a Gaussian, and a flat one (2DGS) has two scales
_NEEDED = (
    *("x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity"),
    *("scale_0", "scale_1", "rot_0", "rot_1", "rot_2", "rot_3"),
)
_END = b"end_header"
_SIZES = {
    1: ("char", "uchar", "int8", "uint8", "i1", "u1", "b1"),
    2: ("short", "ushort", "int16", "uint16", "i2", "u2"),
    4: ("int", "uint", "int32", "uint32", "i4", "u4", "float", "float32", "f4"),
    8: ("double", "float64", "f8"),
}
_FORMATS = ("ascii", "binary_little_endian", "binary_big_endian")
_BYTES = {name: size for size, names in _SIZES.items() for name in names}


@dataclass
class Element:
    """`properties`: names of those that are one number each; `bytes`: what one row takes at the least."""

    count: int
    properties: set[str] = field(default_factory=set)
    bytes: int = 0


def header_of(head: bytes, size: int) -> dict[str, Element]:
    """The elements that a PLY's header names.

    `head`: the first MAX_HEADER_BYTES of the file, or all of it; `size`: of the whole file.

    Raises ValueError if `head` is not a PLY header, is too long, names an unknown format or type, or declares more than
    the file holds.
    """
    lines, start = _lines(head)
    form, *version = next((line[1:] for line in lines if line[0] == "format" and len(line) > 1), [""])
    if form not in _FORMATS or version != ["1.0"]:
        raise ValueError(f"its format is none of {', '.join(_FORMATS)} 1.0")
    elements: dict[str, Element] = {}
    named = properties = 0
    element = Element(0)
    for line in lines:
        if line[0] == "element" and len(line) == 3:
            named += 1
            if line[1] in elements:
                raise ValueError(f"it has two elements {line[1][:40]!r}")
            element = elements[line[1]] = Element(_count(line[2]))
            if line[1] == "vertex" and element.count > MAX_GAUSSIANS:
                raise ValueError(f"{element.count} vertices of at most {MAX_GAUSSIANS}")
        elif line[0] == "property":
            properties += 1
            if unknown := [word for word in line[1:-1] if word not in _BYTES and (len(line), word) != (5, "list")]:
                raise ValueError(f"the type {unknown[0][:40]!r} is none of PLY's")
            if len(line) == 3 and line[2] in element.properties:
                raise ValueError(f"it has two properties {line[2][:40]!r}")
            if len(line) == 3:
                element.properties.add(line[2])
            # a number in ASCII takes a digit and a space; a list, at the least, the byte of its length
            element.bytes += 2 if form == "ascii" else _BYTES[line[1]] if len(line) == 3 else 1
    if named > MAX_PROPERTIES or properties > MAX_PROPERTIES:
        raise ValueError(f"{named} elements with {properties} properties, of at most {MAX_PROPERTIES}")
    promised = sum(each.count * each.bytes for each in elements.values())
    if form == "ascii":
        promised -= 1  # the last number needs no space after it
    if promised > size - start:
        raise ValueError("it ends before the values that its header promises")
    return elements


def header_bytes(head: bytes) -> int:
    """How long the header is that a PLY of these first bytes begins with. Raises ValueError."""
    return _lines(head)[1]


def gaussian_fault(properties: Collection[str]) -> str | None:
    """Why vertices with these properties are no Gaussians; None where they are."""
    higher = higher_coefficients(properties)
    if higher not in HIGHER_COEFFICIENTS:
        return f"holds {higher} higher colour coefficients a channel, not one of {HIGHER_COEFFICIENTS}"
    missing = list(_missing(properties, higher))
    return f"is no Gaussian splat: it lacks {', '.join(missing[:5])}" if missing else None


def higher_coefficients(properties: Collection[str]) -> int:
    """How many coefficients beyond the first a channel has."""
    return sum(name.startswith("f_rest_") for name in properties) // 3


def splat_fault(head: bytes, size: int) -> str | None:
    """Why a file that begins as a PLY is no splat, as far as its header says; None where nothing is wrong with it."""
    try:
        elements = header_of(head, size)
    except ValueError as error:
        return f"is not a readable PLY ({error})"
    vertices = elements.get("vertex")
    if vertices is None:
        return "has no vertex element"
    if vertices.count == 0:
        return "holds no Gaussian"
    packed = "chunk" in elements and PACKED in vertices.properties
    return None if packed else gaussian_fault(vertices.properties)


def _missing(properties: Collection[str], higher: int) -> Iterator[str]:
    rest = (f"f_rest_{number}" for number in range(3 * higher))
    return (name for name in (*_NEEDED, *rest) if name not in properties)


def _lines(head: bytes) -> tuple[list[list[str]], int]:
    """The header's lines as words, and where the values start."""
    if not head.startswith(MAGIC):
        raise ValueError("it does not begin like one")
    end = head.find(_END)
    while end >= 0 and head[end - 1 : end] not in (b"\n", b"\r"):  # the words may stand in a comment
        end = head.find(_END, end + 1)
    if end < 0:
        raise ValueError(f"its header does not end within {MAX_HEADER_BYTES} bytes")
    lines = head[:end].decode("ascii", "replace").splitlines()
    return [words for line in lines if (words := line.split())], end + len(_END) + 1


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ValueError(f"{text[:40]!r} is no count")
    return int(text)
