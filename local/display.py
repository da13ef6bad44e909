"""Show a job's progress on a terminal of any width from 60 columns on, or as plain lines without one."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from types import FrameType
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from local.board import Board, StageView
from local.customer import StatusEvent

LINE_EVERY_SECONDS = 10.0
HEARTBEAT_SECONDS = 30.0
BAR_COLUMNS = 16
STDERR = 2  # its file descriptor
_STYLES = {"waiting": "dim", "running": "cyan", "succeeded": "green", "failed": "red"}

TimeLeft = Callable[[], str]


def unknown() -> str:
    """The default if nothing estimates the time left."""
    return ""


@contextmanager
def progress_display(
    board: Board, left: TimeLeft = unknown, stream: TextIO | None = None
) -> Iterator[Callable[[StatusEvent], None]]:
    """Yields a function to call with each event after the board has received it, and draws until the block ends.

    `left`: the time left in words. Without a terminal, a line is printed at least every HEARTBEAT_SECONDS, so that a
    log shows that the job is alive.
    """
    console = Console(file=stream or sys.stdout)
    started = time.monotonic()
    if console.is_terminal:
        with Live(
            console=console, get_renderable=lambda: stage_table(board, time.monotonic() - started, left())
        ) as live:
            yield lambda _event: live.refresh()
        return
    printer, ended = LinePrinter(board, _writer(stream or sys.stdout), left=left), threading.Event()

    def beat() -> None:
        while not ended.wait(1.0):
            printer.beat()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield printer
    finally:
        ended.set()
        thread.join()


def _writer(stream: TextIO) -> Callable[[str], object]:
    return lambda text: print(text, end="", file=stream, flush=True)


def stage_table(board: Board, elapsed: float, left: str = "") -> RenderableType:
    """One row a stage: name, bar, percent, seconds, state; the job's seconds and time left; what the stage does now."""
    table = Table.grid(padding=(0, 2))
    now = datetime.now(UTC)
    for view in board.stages.values():
        style = _STYLES[view.state]
        table.add_row(
            Text(view.name, style=f"bold {style}"),
            ProgressBar(
                total=1.0, completed=view.progress, width=BAR_COLUMNS, complete_style=style, finished_style=style
            ),
            Text(f"{view.progress:4.0%}", style=style),
            Text(f"{view.seconds(now):6.1f} s" if view.started else "", style=style),
            Text(view.state, style=style),
        )
    table.add_row(Text("job", style="bold"), "", "", Text(f"{elapsed:6.1f} s"), Text(f"{left} left" if left else ""))
    working = [view for view in board.stages.values() if view.state in ("running", "failed")]
    lines = [Text(f"{view.name}: {_what(view)}", overflow="ellipsis", no_wrap=True) for view in working[-1:]]
    return Group(table, *lines)


class LinePrinter:
    """A line when a stage changes state, every ten seconds while it reports, and every thirty while it does not."""

    def __init__(
        self,
        board: Board,
        write: Callable[[str], object],
        clock: Callable[[], float] = time.monotonic,
        left: TimeLeft = unknown,
    ) -> None:
        self._board, self._write, self._clock, self._left = board, write, clock, left
        self._started = self._said = clock()
        self._printed: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()  # events and heartbeats come from two threads

    def __call__(self, event: StatusEvent) -> None:
        with self._lock:
            now = self._clock()
            if event.stage is None:
                self._line(now, f"{event.type}: {printable(event.message)}")
                return
            view = self._board.stages[event.stage]
            state, at = self._printed.get(view.name, ("", float("-inf")))
            if view.state != state or now - at >= LINE_EVERY_SECONDS:
                self._stage_line(now, view)

    def beat(self) -> None:
        """Print the job's state if nothing was printed for HEARTBEAT_SECONDS."""
        with self._lock:
            now = self._clock()
            if now - self._said < HEARTBEAT_SECONDS:
                return
            running = [view for view in self._board.stages.values() if view.state == "running"]
            if running:
                self._stage_line(now, running[-1])
            else:
                self._line(now, "waiting")

    def _stage_line(self, now: float, view: StageView) -> None:
        self._printed[view.name] = (view.state, now)
        left = self._left() if view.state == "running" else ""
        self._line(
            now, f"{view.name:<10} {view.progress:4.0%}  {_what(view)}" + (f" (job: {left} left)" if left else "")
        )

    def _line(self, now: float, text: str) -> None:
        self._said = now
        self._write(f"[{now - self._started:7.1f} s] {text}\n")


def _what(view: StageView) -> str:
    attempt = f" (attempt {view.attempt})" if view.attempt > 1 else ""
    return printable(view.message or view.state) + attempt


def stop_in_order() -> None:
    """Shut down properly on Ctrl-C and SIGTERM, and say so at once, because stages take seconds to stop."""
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as `nohup` and a script's `&` set it
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    with suppress(OSError):  # nobody may read it any more
        os.write(STDERR, b"\nstopping ...\n")  # print() may be what was interrupted, and it takes no second call then
    raise KeyboardInterrupt


def printable(text: str) -> str:
    """One line for a terminal: control characters, which may be commands to it, and bidirectional marks escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)
