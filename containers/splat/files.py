"""Files that a customer's file names or contains: names lead only below their folder, and sizes are bounded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from contract.archive import SHOWN, inner_name

MAX_DOCUMENT_BYTES = 64 << 20  # views.json of 5,000 photos has four million


def below(folder: Path, name: str) -> Path:
    """The file `name` of `folder`, there or not. Raises ValueError where the name or a link leads out of the folder."""
    path = folder / inner_name(name)
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"the name {name[:SHOWN]!r} leads out of its folder")
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
