"""A native step in its own process: its return value, its progress, and every way in which it can end."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable

import pytest

from sfm.native import run_native
from stage.errors import ErrorCode, StageError


def add(first: int, second: int, send: Callable[[float], None]) -> int:
    send(0.5)
    send(1.0)
    return first + second


def abort(_send: Callable[[float], None]) -> None:
    os.abort()


def be_killed(_send: Callable[[float], None]) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leave(_send: Callable[[float], None]) -> None:
    os._exit(3)


def refuse(_send: Callable[[float], None]) -> None:
    raise StageError(ErrorCode.NO_OVERLAP, "nothing in common")


def stumble(_send: Callable[[float], None]) -> None:
    raise ValueError("bad value")


def eat(_send: Callable[[float], None]) -> None:
    raise MemoryError


def fill(_send: Callable[[float], None]) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def sleep(path: str, _send: Callable[[float], None]) -> None:
    with open(path, "w") as file:  # noqa: PTH123
        file.write(str(os.getpid()))
    time.sleep(600)


def ignore(_share: float) -> None:
    pass


def test_value_and_progress_come_back() -> None:
    shares: list[float] = []
    assert run_native(add, (2, 3), shares.append) == 5
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


@pytest.mark.parametrize(
    ("task", "code", "words"),
    [
        (abort, ErrorCode.INTERNAL, "abort ended with signal SIGABRT"),
        (be_killed, ErrorCode.OUT_OF_MEMORY, "killed"),
        (leave, ErrorCode.INTERNAL, "code 3"),
        (refuse, ErrorCode.NO_OVERLAP, "nothing in common"),
        (stumble, ErrorCode.INTERNAL, "ValueError: bad value"),
        (eat, ErrorCode.OUT_OF_MEMORY, "memory"),
        (fill, ErrorCode.DISK_FULL, "disk"),
    ],
)
def test_every_end_is_a_coded_error(task: Callable[..., None], code: ErrorCode, words: str) -> None:
    with pytest.raises(StageError) as caught:
        run_native(task, (), ignore)
    assert caught.value.code is code
    assert words in caught.value.message


def test_a_stop_ends_the_child(tmp_path: object) -> None:
    path = f"{tmp_path}/pid"

    def stop_once_started(_share: float) -> None:
        if os.path.exists(path):  # noqa: PTH110
            raise StageError(ErrorCode.INTERRUPTED, "stop")

    with pytest.raises(StageError, match="INTERRUPTED"):
        run_native(sleep, (path,), stop_once_started)
    with open(path) as file:  # noqa: PTH123
        pid = int(file.read() or 0)
    assert pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
