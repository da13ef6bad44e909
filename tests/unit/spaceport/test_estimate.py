"""The estimated time left of a run: a range that contains the truth, narrows, and is learnt from earlier runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.options import Quality
from contract.stages import Stage
from domain.pace import Pace, in_words
from spaceport.estimate import KNOWN, Estimate, PaceFile

STAGES = tuple(Stage)


def estimate(paces: PaceFile, photos: float = 20) -> Estimate:
    known = {stage: paces.read(stage, Quality.STANDARD) for stage in STAGES}
    return Estimate(STAGES, Quality.STANDARD, known, {Stage.SFM: photos})


def play(
    told: Estimate, seconds: dict[Stage, float], paces: PaceFile | None = None
) -> list[tuple[float, float, float]]:
    """Runs through the stages at an even pace; returns the time really left beside each range."""
    now, total, seen = 0.0, sum(seconds.values()), []
    for stage, taken in seconds.items():
        told.start(stage, now)
        for step in range(1, 11):
            told.progress(stage, step / 10, now + taken * step / 10)
            seen.append((total - now - taken * step / 10, *told.left(now + taken * step / 10)))
        now += taken
        pace = told.finish(stage, now)
        if paces:
            paces.write(stage, Quality.STANDARD, pace)
    return seen


def test_the_predicted_range_holds_a_second_run_like_the_first(tmp_path: Path) -> None:
    paces = PaceFile(tmp_path / "cache" / "paces.json")
    seconds = {Stage.SFM: 60.0, Stage.TRAINING: 300.0, Stage.COMPRESSOR: 120.0}
    play(estimate(paces), seconds, paces)
    told = estimate(paces)
    low, high = told.left(0.0)
    assert low < 480 < high
    for left, low, high in play(told, seconds):
        assert low - 1 <= left <= high + 1


def test_a_slow_machine_shows_after_the_first_stage(tmp_path: Path) -> None:
    told = estimate(PaceFile(tmp_path / "paces.json"))
    before = told.left(0.0)
    told.start(Stage.SFM, 0.0)
    told.finish(Stage.SFM, 20 * 1.2 * 3)  # three times what the project's machine takes for 20 photos
    assert told.left(72.0)[1] > 2 * before[1]


def test_a_slow_first_stage_does_not_slow_down_what_was_learnt_here(tmp_path: Path) -> None:
    """The learnt pace is already that of this machine."""
    learnt = estimate(PaceFile(tmp_path / "paces.json"))
    learnt.paces[Stage.TRAINING] = Pace(waiting=0, per_unit=0.1, usual=1000, runs=1)
    learnt.stages = (Stage.SFM, Stage.TRAINING)
    learnt.start(Stage.SFM, 0.0)
    learnt.finish(Stage.SFM, 20 * 1.2 * 3)
    assert learnt.left(72.0) == pytest.approx((100 / KNOWN, 100 * KNOWN))


def test_the_range_narrows_and_ends_at_nought(tmp_path: Path) -> None:
    seen = play(
        estimate(PaceFile(tmp_path / "paces.json")), {Stage.SFM: 24.0, Stage.TRAINING: 200.0, Stage.COMPRESSOR: 20.0}
    )
    widths = [high - low for _, low, high in seen]
    assert widths[-1] == pytest.approx(0, abs=1e-6)
    assert seen[-1][1:] == pytest.approx((0, 0))
    assert widths[0] > widths[15] > widths[25]


@given(st.floats(0, 1e6), st.floats(1, 3))
def test_words_fit_and_name_the_smaller_end_first(low: float, spread: float) -> None:
    words = in_words(low, low * spread)
    assert words.startswith("about ")
    assert len(words) <= 24
    numbers = words.removeprefix("about ").split()[0].split("–")
    assert numbers == sorted(numbers, key=int)
    assert len(set(numbers)) == len(numbers)


def test_words() -> None:
    assert in_words(0, 4) == "about 10 s"
    assert in_words(31, 58) == "about 30–60 s"
    assert in_words(185, 360) == "about 3–6 min"
    assert in_words(7000, 11000) == "about 2–3 h"


def test_paces_that_cannot_be_read_or_written_count_as_not_learnt(tmp_path: Path) -> None:
    (tmp_path / "paces.json").write_text("{broken")
    paces = PaceFile(tmp_path / "paces.json")
    assert paces.read(Stage.SFM, Quality.HIGH).runs == 0
    (tmp_path / "file").write_text("")
    PaceFile(tmp_path / "file" / "paces.json").write(Stage.SFM, Quality.HIGH, paces.read(Stage.SFM, Quality.HIGH))


def test_the_file_lies_in_the_users_cache() -> None:
    assert PaceFile.of_user({"XDG_CACHE_HOME": "/c"}).path == Path("/c/spaceport/paces.json")
    assert PaceFile.of_user({"HOME": "/home/a"}).path == Path("/home/a/.cache/spaceport/paces.json")
