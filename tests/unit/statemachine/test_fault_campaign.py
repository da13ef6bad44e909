"""Forty seeded histories of faults; every night, `make campaign` plays 2,000 (tests/campaign)."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest

from tests.campaign.history import Report, play

# with coverage they take twice as long, and each line that they reach has a test of its own
pytestmark = pytest.mark.no_cover
HISTORIES, GROUPS = 40, 4


@cache
def played(seed: int) -> Report:
    return play(seed)


@pytest.mark.parametrize("group", range(GROUPS))
def test_whatever_goes_wrong_every_upload_reaches_one_end_and_one_final_event(group: int) -> None:
    reports = [played(seed) for seed in range(group, HISTORIES, GROUPS)]
    assert {f"seed {report.seed}": report.faults for report in reports if report.faults} == {}


def test_a_seed_plays_the_same_history_again() -> None:
    assert play(7) == played(7)


def test_the_histories_see_every_kind_of_end() -> None:
    ends = {status for seed in range(24) for status in played(seed).outcomes}
    assert ends == {"SUCCEEDED", "FAILED", "STOPPED", "REJECTED"}


def test_the_histories_start_jobs_by_the_api_and_beside_another_stack() -> None:
    reports = [played(seed) for seed in range(24)]
    answers = sum((report.answers for report in reports), Counter[int]())
    assert answers[202] >= 5
    assert sum(report.foreign for report in reports) >= 5
