"""Show a job's progress on a terminal, or as plain lines without one."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from local.board import Board, StageView
from local.customer import StatusEvent

LINE_EVERY_SECONDS = 10.0
_STYLES = {"waiting": "dim", "running": "cyan", "succeeded": "green", "failed": "red"}


@contextmanager
def progress_display(board: Board) -> Iterator[Callable[[StatusEvent], None]]:
    """Yields a function that takes each event once the board has it, and draws until the block ends."""
    console = Console()
    if not console.is_terminal:
        yield LinePrinter(board, sys.stdout.write)
        return
    started = time.monotonic()
    with Live(console=console, get_renderable=lambda: stage_table(board, time.monotonic() - started)) as live:
        yield lambda _event: live.refresh()


def stage_table(board: Board, elapsed: float) -> RenderableType:
    """One row a stage: name, bar, percent, seconds, what it does; and the job's own seconds below."""
    table = Table.grid(padding=(0, 2))
    now = datetime.now(UTC)
    for view in board.stages.values():
        style = _STYLES[view.state]
        table.add_row(
            Text(view.name, style=f"bold {style}"),
            ProgressBar(total=1.0, completed=view.progress, width=30, complete_style=style, finished_style=style),
            Text(f"{view.progress:4.0%}", style=style),
            Text(f"{view.seconds(now):6.1f} s" if view.started else "", style=style),
            Text(_what(view), style=style, overflow="ellipsis", no_wrap=True),
        )
    table.add_row(Text("job", style="bold"), "", "", Text(f"{elapsed:6.1f} s"), Text(board.job_id or ""))
    return table


class LinePrinter:
    """A line when a stage changes state, and every ten seconds while it works."""

    def __init__(
        self, board: Board, write: Callable[[str], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._board, self._write, self._clock = board, write, clock
        self._started = clock()
        self._printed: dict[str, tuple[str, float]] = {}

    def __call__(self, event: StatusEvent) -> None:
        now = self._clock()
        elapsed = now - self._started
        if event.stage is None:
            self._write(f"[{elapsed:7.1f} s] {event.type}: {printable(event.message)}\n")
            return
        view = self._board.stages[event.stage]
        state, at = self._printed.get(view.name, ("", float("-inf")))
        if view.state != state or now - at >= LINE_EVERY_SECONDS:
            self._printed[view.name] = (view.state, now)
            self._write(f"[{elapsed:7.1f} s] {view.name:<10} {view.progress:4.0%}  {_what(view)}\n")


def _what(view: StageView) -> str:
    attempt = f" (attempt {view.attempt})" if view.attempt > 1 else ""
    return printable(view.message or view.state) + attempt


def printable(text: str) -> str:
    """One line for a terminal: control characters, which may be commands to it, and bidirectional marks escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)
