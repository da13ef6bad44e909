"""Checkpoints: the whole state of a training run, so that an interrupted one goes on as if it had not been.

Two are kept. Each is written beside and renamed, and carries a hash of its content; one that a lost machine left
damaged is passed over for the one before.
"""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path
from typing import Any

import torch

from contract.files import whole

KEPT = 2
_VERSION = 2
_NAME = re.compile(r"step-(\d{9})\.ckpt")
_DIGEST_BYTES = 32


def save(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """Write `state` (tensors, numbers, strings in dicts and lists) as the checkpoint of `step`; drop the oldest."""
    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    torch.save({"version": _VERSION, **state}, buffer)
    content = buffer.getvalue()
    path = folder / f"step-{step:09d}.ckpt"
    with whole(path) as partial:
        partial.write_bytes(hashlib.sha256(content).digest() + content)
    for old in _checkpoints(folder)[KEPT:]:
        old.unlink(missing_ok=True)
    return path


def load_latest(folder: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """The newest checkpoint that is whole, or None; and the names of those that were not."""
    damaged: list[str] = []
    for path in _checkpoints(folder):
        content = path.read_bytes()
        digest, body = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if hashlib.sha256(body).digest() == digest:
            state = torch.load(io.BytesIO(body), weights_only=True, map_location="cpu")
            if state.get("version") == _VERSION:
                return state, damaged
        damaged.append(path.name)
    return None, damaged


def _checkpoints(folder: Path) -> list[Path]:
    """Newest first."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: path.name, reverse=True)
