"""Run a native step in a child process, so that its abort, crash or stop becomes a coded error."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from stage.contract import as_stage_error
from stage.errors import ErrorCode, StageError

Value = TypeVar("Value")
Send = Callable[[float], None]
POLL_SECONDS = 0.2


def run_native(task: Callable[..., Value], arguments: tuple[Any, ...], progress: Callable[[float], None]) -> Value:
    """Call `task(*arguments, send)` in a fresh process and return its value (both must pickle).

    `send(share)` in the child becomes `progress(share)` here. `progress` is called at least every POLL_SECONDS, so that
    a long step does not miss a heartbeat, and may raise to stop; the child is then ended. Raises the child's
    StageError; OUT_OF_MEMORY when the kernel killed it, INTERNAL on a crash.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(sender, task, arguments), daemon=True)
    child.start()
    sender.close()
    share = 0.0
    try:
        while True:
            progress(share)
            if not receiver.poll(POLL_SECONDS):
                continue
            try:
                kind, payload = receiver.recv()
            except EOFError:
                child.join()
                progress(share)  # a stop that reached the whole process group is no crash
                raise _crash(task.__name__, child.exitcode) from None
            if kind == "progress":
                share = payload
            elif kind == "value":
                return payload  # type: ignore[no-any-return]
            else:
                raise StageError(*payload)
    finally:
        receiver.close()
        child.terminate()
        child.join(5)
        if child.is_alive():
            child.kill()
            child.join()


def _child(sender: Connection, task: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        value = task(*arguments, lambda share: sender.send(("progress", share)))
        sender.send(("value", value))
    except StageError as error:
        sender.send(("error", (error.code, error.message)))
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        found = as_stage_error(error)
        sender.send(("error", (found.code, f"{task.__name__}: {found.message}")))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _crash(task: str, exit_code: int | None) -> StageError:
    if exit_code == -signal.SIGKILL:
        return StageError(ErrorCode.OUT_OF_MEMORY, f"{task} was killed, probably because memory ran out")
    how = (
        f"signal {signal.Signals(-exit_code).name}" if exit_code is not None and exit_code < 0 else f"code {exit_code}"
    )
    return StageError(ErrorCode.INTERNAL, f"{task} ended with {how}")
