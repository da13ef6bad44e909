"""Files that a customer's file names or brings: names lead nowhere but below their folder, and sizes are bounded."""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath
from typing import Any

from contract.archive import MAX_FOLDERS, MAX_NAME_BYTES, MAX_PATH_BYTES

MAX_DOCUMENT_BYTES = 64 << 20  # views.json of 5,000 photos has four million
_SHOWN = 60  # characters of a name in a message


def inner_name(name: str) -> PurePosixPath:
    """The relative path that `name` is, with forward slashes: COLMAP on Windows writes the others.

    Raises ValueError where it is absolute, climbs, names a drive, holds a control character or is longer than file
    systems take (CWE-22).
    """
    plain = name.replace("\\", "/")
    path = PurePosixPath(plain)
    sizes = [len(part.encode("utf-8", "surrogateescape")) for part in path.parts]
    if not sizes or path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:(/|$)", plain):
        raise ValueError(f"the name {name[:_SHOWN]!r} leads out of its folder")
    if re.search(r"[\x00-\x1f\x7f]", name):
        raise ValueError(f"the name {name[:_SHOWN]!r} holds control characters")
    if max(sizes) > MAX_NAME_BYTES or sum(sizes) + len(sizes) > MAX_PATH_BYTES or len(sizes) > MAX_FOLDERS:
        raise ValueError(f"a name of {len(name)} characters is too long")
    return path


def below(folder: Path, name: str) -> Path:
    """The file `name` of `folder`, there or not. Raises ValueError where the name or a link leads out of the folder."""
    path = folder / inner_name(name)
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"the name {name[:_SHOWN]!r} leads out of its folder")
    return path


def read_document(path: Path) -> Any:
    """The JSON document at `path`.

    Raises OSError where it cannot be read, ValueError where it is no JSON, nested too deeply, or larger than
    MAX_DOCUMENT_BYTES.
    """
    with path.open("rb") as stream:
        content = stream.read(MAX_DOCUMENT_BYTES + 1)
    if len(content) > MAX_DOCUMENT_BYTES:
        raise ValueError(f"more than {MAX_DOCUMENT_BYTES} bytes")
    try:
        return json.loads(content.decode("utf-8"))
    except RecursionError:
        raise ValueError("nested too deeply") from None
