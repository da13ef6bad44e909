"""The time that compression takes: estimated, reported, kept to, with the best file so far at its end."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor.encode import prepared
from compressor.encode.compress import compress
from compressor.encode.encoder import Coarseness
from compressor.encode.pace import Pace, seconds_for
from compressor.encode.presets import Preset
from compressor.encode.quality import HeldOut
from compressor.encode.search import MAX_TRIES, Found, rounded_at, search
from compressor.framing import frame_scene
from compressor.sog.codes import Codes
from compressor.sog.container import read_codes
from splat.gaussians import Gaussians

MakeSplat = Callable[..., Gaussians]
NO_CODES = cast(Codes, None)


class Clock:
    """A clock that a test advances."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Tries:
    """Attempts that take a second each; the error is λ to the given power."""

    def __init__(self, clock: Clock, power: float) -> None:
        self._clock, self._power = clock, power
        self.errors: list[float] = []

    def __call__(self, lambda_: float, _within: Found | None) -> Found:
        self._clock.now += 1
        self.errors.append(lambda_**self._power)
        return Found(NO_CODES, Coarseness(lambda_), self.errors[-1])


@given(preset=st.sampled_from(Preset), count=st.integers(1, 5_000_000), training=st.floats(60, 1e6))
def test_a_trained_splat_gets_a_share_of_its_training(preset: Preset, count: int, training: float) -> None:
    assert seconds_for(preset, count, training) < 0.3 * training
    assert seconds_for(Preset.TINY, count, training) <= seconds_for(preset, count, training)
    assert seconds_for(Preset.TINY, count, None) <= seconds_for(preset, count, None)
    assert seconds_for(Preset.WEB, 1_000_000, None) <= 90


@given(seconds=st.floats(0.5, 8), start=st.floats(-3, 3), power=st.floats(0.7, 1.3))
def test_a_search_ends_with_its_time_and_with_the_best_so_far(seconds: float, start: float, power: float) -> None:
    clock = Clock()
    tries = Tries(clock, power)
    found = search(tries, float(np.exp(start)), 1.0, Pace(seconds, clock=clock))
    within = [error for error in tries.errors if error <= 1]
    assert (found.mean_squared_error if found else None) == (max(within) if within else None)
    # one try whatever the time, and a last, cautious one if none was within the budget
    assert clock.now <= max(seconds, 1) + 1
    assert found is not None or len(tries.errors) >= 2


def test_the_last_try_of_a_late_search_plays_safe() -> None:
    clock = Clock()
    tries = Tries(clock, 1.0)
    found = search(tries, 3.0, 1.0, Pace(0.5, clock=clock))
    assert found is not None
    assert len(tries.errors) == 2
    assert found.mean_squared_error < 0.9


def test_a_search_without_end_of_time_takes_few_tries() -> None:
    tried = []

    def attempt(lambda_: float, _within: Found | None) -> Found:
        tried.append(lambda_)
        return Found(NO_CODES, Coarseness(lambda_), 2.0)

    assert search(attempt, 1.0, 1.0, Pace()) is None
    assert len(tried) == MAX_TRIES + 1  # the last one is the cautious one


@pytest.fixture
def held_out(make_splat: MakeSplat) -> HeldOut:
    """Grey photos: no file comes near enough to its target for the search to end by itself."""
    framing = frame_scene(make_splat(300, 1), [], z_up=True)
    cameras = [framing.camera(turn, 96, 64) for turn in (0, 120)]
    return HeldOut(["0", "1"], cameras, [np.full((64, 96, 3), 90, np.uint8)] * 2)


def test_compression_reports_its_progress_between_views_and_keeps_its_time(
    make_splat: MakeSplat, held_out: HeldOut
) -> None:
    """Every step advances the clock by a second; nothing else does."""
    splat, clock = make_splat(300, 1), Clock()
    shares: list[float] = []

    def step() -> None:
        clock.now += 1

    for seconds in (40.0, 80.0):
        clock.now = 0
        shares.clear()
        framing = frame_scene(splat, [], z_up=True)
        pace = Pace(seconds, lambda share, _text: shares.append(share), step, clock)
        result = compress(splat, [], held_out, framing, Preset.WEB, pace)
        assert len(read_codes(result.sog)) == 300
        assert len(shares) > 36
        assert shares == sorted(shares)
        assert all(0 <= share < 1 for share in shares)
        assert clock.now < seconds + 30, "what is begun may end, and no more"


def test_a_preview_takes_fixed_steps(make_splat: MakeSplat, held_out: HeldOut, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[float] = []

    def counted(lambda_: float, *rest: object) -> Found:
        tried.append(lambda_)
        return rounded_at(lambda_, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(prepared, "rounded_at", counted)
    splat = make_splat(300, 1)
    compress(splat, [], held_out, frame_scene(splat, [], z_up=True), Preset.TINY, Pace())
    assert 1 <= len(tried) <= 4


@given(begin=st.floats(0, 0.9), length=st.floats(0.05, 1), shares=st.lists(st.floats(0, 1), min_size=1))
def test_a_part_of_a_pace_has_its_share_of_the_time_and_of_the_progress(
    begin: float, length: float, shares: list[float]
) -> None:
    end = min(1.0, begin + length)
    said: list[float] = []
    times = itertools.count()
    whole = Pace(100.0, lambda share, _text: said.append(share), clock=lambda: next(times))
    part = whole.part(begin, end)
    assert part.seconds == pytest.approx(100 * (end - begin))
    assert part.spent < whole.spent
    for share in shares:
        part.report(share, "")
    assert all(begin - 1e-9 <= share <= end + 1e-9 for share in said)
    assert whole.part(0.0, 1.0) is whole
