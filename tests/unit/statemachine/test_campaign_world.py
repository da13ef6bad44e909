"""The campaign's virtual time: due actions run in order, and idle rounds of a schedule are skipped."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.campaign.world import Faults, World

MINUTE = 60.0


class Work:
    """A world with a schedule that is needed for an hour after each start of something."""

    def __init__(self, starts: list[float]) -> None:
        self.world = World(0, Faults())
        self.started: float | None = None
        self.asked, self.rounds = 0, list[float]()
        self.world.every(MINUTE, lambda: self.rounds.append(self.world.now), self._needed)
        for start in starts:
            self.world.after(start, self._start)

    def _needed(self) -> bool:
        self.asked += 1
        return self.started is not None and self.world.now - self.started < 3600

    def _start(self) -> None:
        self.started = self.world.now


@given(st.lists(st.integers(1, 500_000), max_size=4, unique=True))
def test_no_round_that_is_needed_is_left_out(starts: list[int]) -> None:
    work = Work([float(start) + 0.5 for start in starts])
    work.world.run(600_000)

    def needed(minute: int) -> bool:
        return any(start + 0.5 < minute * MINUTE < start + 0.5 + 3600 for start in starts)

    assert work.rounds == [minute * MINUTE for minute in range(1, 10_001) if needed(minute)]


def test_while_nothing_happens_no_round_is_looked_at() -> None:
    work = Work([400_000.0])
    work.world.run(1_000_000)

    assert len(work.rounds) == 60
    assert work.asked < 70


def test_what_is_begun_from_outside_after_a_run_has_its_rounds() -> None:
    work = Work([])
    work.world.run(86_400)
    work.world.after(30, work._start)
    work.world.run(90_000)

    assert work.rounds == [86_400 + minute * MINUTE for minute in range(1, 61)]


def test_a_function_that_begins_something_while_others_act_has_its_rounds() -> None:
    work = Work([])

    def function() -> None:
        with work.world.function():
            work.world.others_act()  # a round that is not needed yet
            work._start()

    work.world.after(59, function)
    work.world.run(10_000)

    assert work.rounds[:2] == [120, 180]
