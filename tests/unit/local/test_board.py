"""A job's state from its events, in any order and with any repetitions."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.board import Board
from local.customer import StatusEvent

START = datetime(2026, 1, 1, tzinfo=UTC)


def event(
    kind: str, sequence: int, seconds: float, stage: str | None = None, progress: float = 0.0, attempt: int = 1
) -> StatusEvent:
    at = START + timedelta(seconds=seconds)
    return StatusEvent(kind, "job-1", sequence, at, progress, f"{kind} {sequence}", stage, attempt if stage else None)


# sfm is interrupted at 40 % and succeeds at the second attempt; 3dgs fails
HISTORY = [
    event("Job Started", 0, 0),
    event("Stage Started", 1_010_000, 1, "sfm"),
    event("Stage Progressed", 1_010_401, 5, "sfm", 0.4),
    event("Stage Started", 1_020_000, 10, "sfm", attempt=2),
    event("Stage Progressed", 1_020_201, 12, "sfm", 0.2, attempt=2),
    event("Stage Succeeded", 1_999_999, 20, "sfm", 1.0, attempt=2),
    event("Stage Started", 2_010_000, 21, "3dgs"),
    event("Stage Progressed", 2_010_501, 30, "3dgs", 0.5),
    event("Stage Failed", 2_999_999, 41, "3dgs", 0.5),
    event("Job Failed", 9_999_999, 42, progress=1.0),
]


def board_after(events: Iterable[StatusEvent]) -> Board:
    board = Board()
    for one in events:
        board.apply(one)
    return board


def test_the_history_as_it_happened() -> None:
    board = board_after(HISTORY)
    sfm, training, compressor = board.stages.values()
    assert (sfm.state, sfm.progress, sfm.attempt) == ("succeeded", 1.0, 2)
    assert (training.state, training.progress) == ("failed", 0.5)
    assert (compressor.state, compressor.started) == ("waiting", None)
    assert board.last is HISTORY[-1]
    assert board.seconds_by_stage(START) == {"sfm": 19.0, "3dgs": 20.0}


def test_a_running_stage_counts_until_now() -> None:
    board = board_after(HISTORY[:2])
    assert board.seconds_by_stage(START + timedelta(seconds=8)) == {"sfm": 7.0}


def test_a_second_attempt_starts_again() -> None:
    board = board_after(HISTORY[:5])
    assert (board.stages["sfm"].progress, board.stages["sfm"].attempt) == (0.2, 2)


@given(st.permutations(HISTORY), st.lists(st.sampled_from(HISTORY), max_size=10))
def test_order_and_repetition_change_nothing(shuffled: list[StatusEvent], repeated: list[StatusEvent]) -> None:
    assert board_after([*shuffled, *repeated]) == board_after(HISTORY)


def part(kind: str, block: int | Literal["coarse"], progress: float = 0.0) -> StatusEvent:
    told = {"share": 0.1 if block == "coarse" else 0.45, "blocks": 2} if kind == "Stage Started" else {}
    at = START + timedelta(seconds=22)
    return StatusEvent(kind, "job-1", 2_010_000, at, progress, "training", "3dgs", 1, block, told)


IN_BLOCKS = [
    part("Stage Started", "coarse"),
    part("Stage Progressed", "coarse", 1.0),
    part("Stage Started", 1),
    part("Stage Started", 2),
    part("Stage Progressed", 1, 1.0),
    part("Stage Progressed", 2, 0.5),
]


def test_blocks_side_by_side_are_one_stage() -> None:
    training = board_after(IN_BLOCKS).stages["3dgs"]
    assert training.progress == pytest.approx(0.1 + 0.45 + 0.225)
    assert (training.state, training.message) == ("running", "1 of 2 blocks are trained")


@given(st.permutations(IN_BLOCKS))
def test_blocks_add_up_in_any_order_and_a_stage_that_has_ended_stays_so(published: list[StatusEvent]) -> None:
    assert board_after(published).stages["3dgs"].progress == pytest.approx(0.775)
    ended = event("Stage Succeeded", 2_999_999, 60, "3dgs", 1.0)
    training = board_after([*IN_BLOCKS[:3], ended, *published]).stages["3dgs"]
    assert (training.state, training.progress) == ("succeeded", 1.0)
