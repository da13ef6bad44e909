"""Detects forbidden effects while a door is open: writes outside its folder, addresses called, programs run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# sys.audit events, with the position of the argument that names the changed path
_CHANGES = {
    "os.mkdir": (0,), "os.remove": (0,), "os.rmdir": (0,), "os.rename": (0, 1), "os.link": (1,), "os.symlink": (1,),
    "os.truncate": (0,), "os.chmod": (0,), "shutil.rmtree": (0,), "shutil.move": (0, 1),
}  # fmt: skip
_CALLS = ("socket.connect", "socket.getaddrinfo", "socket.sendto")
_RUNS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork")
_active: list[tuple[Path, list[str]]] = []
_hooked: list[bool] = []


@contextmanager
def watched(folder: Path) -> Iterator[list[str]]:
    """Yields the list of effects outside `folder`, which grows while the block runs."""
    if not _hooked:  # an audit hook cannot be removed from a process
        sys.addaudithook(_hook)
        _hooked.append(True)
    found: list[str] = []
    _active.append((folder.resolve(), found))
    try:
        yield found
    finally:
        _active.pop()


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _active:
        return
    folder, found = _active[-1]
    if event == "open":
        path, _, flags = arguments
        if isinstance(path, (str, bytes, os.PathLike)) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
            _note(folder, found, event, path)
    elif event in _CHANGES:
        for place in _CHANGES[event]:
            _note(folder, found, event, arguments[place])
    elif event in _CALLS or event in _RUNS:
        found.append(f"{event} {arguments[1:]!r:.200}")


def _note(folder: Path, found: list[str], event: str, path: Any) -> None:
    if isinstance(path, int):
        return
    there = Path(os.path.realpath(os.fsdecode(path)))
    if not there.is_relative_to(folder) and str(there) != os.devnull and "__pycache__" not in there.parts:
        found.append(f"{event} {there}")
