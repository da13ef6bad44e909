"""Bounds on a PLY's header, checked before a reader takes memory for what the header promises."""

from __future__ import annotations

from pathlib import Path

from contract.options import WHOLE_NUMBERS

MAX_HEADER_BYTES = 1 << 20  # ours has two thousand; readers go through it byte by byte
MAX_PROPERTIES = 1_000
MAX_GAUSSIANS = WHOLE_NUMBERS["max_gaussians"].high
_END = b"end_header"
_SIZES = {
    1: ("char", "uchar", "int8", "uint8"),
    2: ("short", "ushort", "int16", "uint16"),
    4: ("int", "uint", "int32", "uint32", "float", "float32"),
    8: ("double", "float64"),
}
_BYTES = {name: size for size, names in _SIZES.items() for name in names}


def check_header(path: Path) -> None:
    """Raises ValueError where the header is no PLY's, too long, or promises more than the file holds, and OSError."""
    lines, start = _header(path)
    form = next((line[1] for line in lines if line[0] == "format" and len(line) > 1), "")
    elements = properties = 0
    rest = path.stat().st_size - start
    count = 0
    for line in lines:
        if line[0] == "element" and len(line) == 3:
            elements, count = elements + 1, _count(line[2])
            if line[1] == "vertex" and count > MAX_GAUSSIANS:
                raise ValueError(f"{count} vertices of at most {MAX_GAUSSIANS}")
        elif line[0] == "property":
            properties += 1
            # a number in ASCII takes a digit and a space; a list, at the least, the byte of its length
            size = 2 if form == "ascii" else _BYTES.get(line[1], 1) if len(line) == 3 else 1
            rest -= size * count
    if elements > MAX_PROPERTIES or properties > MAX_PROPERTIES:
        raise ValueError(f"{elements} elements with {properties} properties, of at most {MAX_PROPERTIES}")
    if rest < -1:  # the last number of an ASCII file needs no space after it
        raise ValueError("it ends before the values that its header promises")


def _header(path: Path) -> tuple[list[list[str]], int]:
    """The header's lines as words, and where the values start."""
    with path.open("rb") as stream:
        head = stream.read(MAX_HEADER_BYTES)
    if not head.startswith((b"ply\n", b"ply\r")):
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
