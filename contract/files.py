"""Write files that another part reads: completely or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """The name beside `path` to write to, renamed where the block ends well: half a file is never read."""
    partial = path.with_name(path.name + ".partial")
    yield partial
    partial.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Write JSON, whole or not at all.

    Raises ValueError for NaN and infinity, which JSON does not have.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8")
