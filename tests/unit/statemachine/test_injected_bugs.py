"""The list of injected bugs matches the code, and a sample is found (`python -m tests.campaign.mutants` tries all)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.campaign.bugs import BUGS, Bug
from tests.campaign.mutants import try_bug

ROOT = Path(__file__).parents[3]
each = pytest.mark.parametrize("bug", BUGS, ids=[bug.name for bug in BUGS])


@each
def test_a_bug_can_be_injected_in_one_place(bug: Bug) -> None:
    text = (ROOT / bug.path).read_text("utf-8")
    assert bug.injected(text) != text


def test_there_are_enough_of_them_and_each_has_a_name_of_its_own() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 40


SAMPLE = ("nothing is started", "the watch comes every ten minutes")  # one by the campaign, one by a unit test


@pytest.mark.parametrize("name", SAMPLE)
def test_a_sample_of_the_bugs_is_found(name: str) -> None:
    (bug,) = [bug for bug in BUGS if bug.name == name]
    assert try_bug(bug).found
