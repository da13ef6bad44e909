"""Checkpoints: the whole state of a training run, so that an interrupted run continues as if it had not stopped.

Two are kept. Each is written under a temporary name and then renamed, and contains a hash of its content. If the newest
one was left damaged by a lost machine, or belongs to another run, the one before it is used.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from contract.files import whole

KEPT = 2
_VERSION = 2
_NAME = re.compile(r"step-(\d{9})\.ckpt")
_DIGEST_BYTES = 32


def save(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """Write `state` (tensors, numbers, strings in dicts and lists) as the checkpoint of `step`; of the others only the
    one before it is kept. Those of later steps are damaged or another run's, or this run would have gone on from them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:09d}.ckpt"
    with whole(path) as partial, partial.open("wb") as file:
        file.write(bytes(_DIGEST_BYTES))
        hashed = _Hashed(file)
        torch.save({"version": _VERSION, **state}, hashed)  # type: ignore[arg-type]
        file.seek(0)
        file.write(hashed.digest())
    found = _checkpoints(folder)
    place = found.index(path)
    for other in [*found[:place], *found[place + KEPT :]]:
        other.unlink(missing_ok=True)
    return path


class Writer:
    """Writes checkpoints in its own thread, one at a time, while training continues.

    A state of a million Gaussians is 0.7 GB: copying it takes a tenth of a second, hashing and writing some seconds.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._writing: Future[Path] | None = None

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Begin to write `state` as it is now. Raises the exception of the previous write, if that failed."""
        self.finish()
        self._writing = self._thread.submit(save, self._folder, step, on_host(state))

    def finish(self) -> None:
        """Wait until the current write is complete. Raises OSError if it failed."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()


class _Hashed:
    """A file that is hashed as it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._hash = file, hashlib.sha256()

    def write(self, content: bytes) -> int:
        self._hash.update(content)
        return self._file.write(content)

    def flush(self) -> None:
        self._file.flush()

    def digest(self) -> bytes:
        return self._hash.digest()


def on_host(state: Any) -> Any:
    """Nested dicts and lists with every tensor copied to the host."""
    if isinstance(state, dict):
        return {name: on_host(value) for name, value in state.items()}
    if isinstance(state, list):
        return [on_host(value) for value in state]
    return state.detach().to("cpu", copy=True) if isinstance(state, Tensor) else state


def load_latest(folder: Path, fits: Callable[[dict[str, Any]], bool]) -> tuple[dict[str, Any] | None, list[str]]:
    """The newest intact checkpoint whose state `fits` the run, or None; and the names of newer, damaged ones."""
    damaged: list[str] = []
    for path in _checkpoints(folder):
        content = path.read_bytes()
        digest, body = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if hashlib.sha256(body).digest() == digest:
            state = torch.load(io.BytesIO(body), weights_only=True, map_location="cpu")
            if state.get("version") == _VERSION:
                if fits(state):
                    return state, damaged
                continue
        damaged.append(path.name)
    return None, damaged


def _checkpoints(folder: Path) -> list[Path]:
    """Newest first."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: path.name, reverse=True)
