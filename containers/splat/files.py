"""Read files that customers name or send: names must stay below their folder, and sizes are limited."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from contract.archive import SHOWN, inner_name

MAX_DOCUMENT_BYTES = 64 << 20  # views.json of 5,000 photos has four million


def below(folder: Path, name: str) -> Path:
    """The path of `name` in `folder`; it need not exist. Raises ValueError if the name or a link leaves the folder."""
    path = folder / inner_name(name)
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"the name {name[:SHOWN]!r} leads out of its folder")
    return path


def read_document(path: Path) -> Any:
    """The JSON document at `path`.

    Raises OSError if it cannot be read, and ValueError if it is not JSON, is nested too deeply, or is larger than
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
