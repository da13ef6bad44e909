"""The report's score: from quality figures to points, and the sentence about them."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from deliver.report import Quality, score_parts

GOOD = Quality(psnr=30.0, gmsd=0.1, off_path=16.0, seen=0.9, photos=20, registered=20)


RUINED = Quality(psnr=12.0, gmsd=0.35, off_path=-3.0, seen=0.05, photos=20, registered=9)


def points(quality: Quality) -> float:
    return sum(part.points for part in score_parts(quality))


def test_the_score_runs_from_ruined_to_as_good_as_the_photos() -> None:
    assert points(GOOD) == 100
    assert points(RUINED) == 0
    assert sum(part.most for part in score_parts(GOOD)) == 100


def test_a_poor_part_says_what_it_often_comes_from_and_a_good_one_does_not() -> None:
    assert all(part.cause not in part.why for part in score_parts(GOOD))
    assert all(part.cause in part.why for part in score_parts(RUINED))
    foggy = {part.name: part for part in score_parts(replace(GOOD, off_path=1.5))}
    assert "Fly a ring" in foggy["From all sides"].why
    assert points(replace(GOOD, off_path=1.5)) < 70  # sharp where photos were taken, fog everywhere else


@given(
    st.floats(0, 60), st.floats(0, 0.6), st.floats(-10, 30), st.floats(0, 1), st.integers(0, 50),
    st.sampled_from(["psnr", "gmsd", "off_path", "seen", "registered"]), st.floats(0, 1),
)  # fmt: skip
def test_a_score_is_0_to_100_and_nothing_better_lowers_it(
    psnr: float, gmsd: float, off_path: float, seen: float, registered: int, which: str, by: float
) -> None:
    given = Quality(psnr, gmsd, off_path, seen, 50, registered)
    value = getattr(given, which)
    better = {"psnr": value + 20 * by, "seen": min(1, value + by), "registered": min(50, value + round(20 * by))}
    better |= {"gmsd": value * (1 - by), "off_path": value + 20 * by}
    assert 0 <= points(given) <= points(replace(given, **{which: better[which]})) + 1e-9 <= 100 + 1e-6
