"""What the terminal shows."""

import io
from datetime import UTC, datetime

from rich.console import Console

from local.board import Board
from local.customer import StatusEvent
from local.display import LinePrinter, stage_table

LONG = "matching pairs of photos by their place and looks: 136 of 190"


def progressed(progress: float, kind: str = "Stage Progressed", message: str = "matching") -> StatusEvent:
    sequence = 1_999_999 if kind == "Stage Succeeded" else 1_010_001 + round(progress * 1000)
    return StatusEvent(kind, "job-1", sequence, datetime.now(UTC), progress, message, "sfm", 1)


def test_lines_come_at_changes_and_every_ten_seconds() -> None:
    now = [100.0]
    lines: list[str] = []
    board = Board()
    printer = LinePrinter(board, lines.append, lambda: now[0])
    for seconds, event in [
        (0, progressed(0.0, "Stage Started", "waiting for a machine")),
        (4, progressed(0.1)),
        (9.9, progressed(0.2)),
        (10, progressed(0.3)),
        (11, progressed(1.0, "Stage Succeeded", "done")),
    ]:
        now[0] = 100.0 + seconds
        board.apply(event)
        printer(event)
    assert [line.split() for line in lines] == [
        ["[", "0.0", "s]", "sfm", "0%", "waiting", "for", "a", "machine"],
        ["[", "10.0", "s]", "sfm", "30%", "matching"],
        ["[", "11.0", "s]", "sfm", "100%", "done"],
    ]


def test_the_jobs_own_events_are_lines_too() -> None:
    lines: list[str] = []
    rejected = StatusEvent("Job Rejected", "job-1", 0, datetime.now(UTC), 0.0, "not a ZIP")
    LinePrinter(Board(), lines.append)(rejected)
    assert lines[0].endswith("Job Rejected: not a ZIP\n")


def test_the_table_has_a_row_a_stage() -> None:
    board = Board()
    board.apply(progressed(0.25, message=LONG))
    shown = io.StringIO()
    console = Console(file=shown, width=80, color_system=None)
    console.print(stage_table(board, 12.0, "about 2–5 min"))
    sfm, training, compressor, job, now = shown.getvalue().splitlines()
    assert "25%" in sfm
    assert "running" in sfm
    assert "waiting" in training
    assert "waiting" in compressor
    assert "12.0 s" in job
    assert "about 2–5 min left" in job
    assert now == f"sfm: {LONG}"


def test_a_line_comes_every_thirty_seconds_while_nothing_is_reported() -> None:
    now, lines, board = [0.0], list[str](), Board()
    printer = LinePrinter(board, lines.append, lambda: now[0], lambda: "about 1 min")
    board.apply(progressed(0.2))
    printer(progressed(0.2))
    for second in range(1, 100):
        now[0] = float(second)
        printer.beat()
    assert [line.split("]")[0] for line in lines] == ["[    0.0 s", "[   30.0 s", "[   60.0 s", "[   90.0 s"]
    assert all(line.endswith("sfm         20%  matching (job: about 1 min left)\n") for line in lines)


def test_a_log_shows_that_a_job_lives_before_its_first_stage_reports() -> None:
    now, lines = [0.0], list[str]()
    printer = LinePrinter(Board(), lines.append, lambda: now[0])
    now[0] = 30.0
    printer.beat()
    assert lines == ["[   30.0 s] waiting\n"]
