"""Join PLYs of the same layout by copying bytes, so that a large splat need not fit into memory."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from contract.files import whole
from contract.ply import MAX_HEADER_BYTES, header_of
from splat.errors import InvalidSplatError
from splat.stored import marks_in

_END = b"end_header\n"
_COUNT = re.compile(rb"^element vertex (\d+)$", re.MULTILINE)
_COMMENT = re.compile(rb"^comment (.*)\n", re.MULTILINE)


def join_plys(parts: Sequence[Path], target: Path) -> int:
    """Write the vertices of `parts`, in their order, to `target` with the comments of the first part; returns their
    number.

    Raises InvalidSplatError unless all parts are complete binary PLYs that hold only vertices, have the same
    properties, and have the same offset of positions (splat.stored).
    """
    heads = [_head(path) for path in parts]
    counts = [int(_COUNT.findall(head)[0]) for head in heads]
    if len({_COUNT.sub(b"", _COMMENT.sub(b"", head)) for head in heads}) > 1:
        raise InvalidSplatError("the blocks' files do not have the same properties")
    if len({marks_in(_comments(head)).offset for head in heads}) > 1:
        raise InvalidSplatError("the blocks' positions do not have the same offset")
    with whole(target) as partial, partial.open("wb") as stream:
        stream.write(_COUNT.sub(b"element vertex %d" % sum(counts), heads[0]))
        for path, head in zip(parts, heads, strict=True):
            with path.open("rb") as part:
                part.seek(len(head))
                shutil.copyfileobj(part, stream, 1 << 20)
    return sum(counts)


def vertices_of(path: Path) -> int:
    """The number of vertices of a binary PLY. Raises InvalidSplatError unless it is one and holds only vertices."""
    return int(_COUNT.findall(_head(path))[0])


def _comments(head: bytes) -> list[str]:
    return [comment.decode("utf-8", "replace") for comment in _COMMENT.findall(head)]


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        start = stream.read(MAX_HEADER_BYTES)
    end = start.find(_END) + len(_END)
    head = start[:end] if end >= len(_END) else b""
    if not head.startswith(b"ply\nformat binary") or len(_COUNT.findall(head)) != 1 or head.count(b"element") != 1:
        raise InvalidSplatError(f"{path.name} is not a binary PLY that holds only vertices")
    size = path.stat().st_size
    try:
        (vertices,) = header_of(start, size).values()
    except ValueError as error:
        raise InvalidSplatError(f"{path.name} is not a readable PLY ({error})") from error
    if size != len(head) + vertices.count * vertices.bytes:
        raise InvalidSplatError(f"{path.name} does not end with its vertices")
    return head
