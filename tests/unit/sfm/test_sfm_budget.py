"""The time limit of the stage."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from sfm.budget import OutOfTimeError, TimeBudget, job_seconds


def test_the_limit_is_that_of_the_processing_job(tmp_path: Path) -> None:
    assert job_seconds(tmp_path) == math.inf
    path = tmp_path / "config" / "processingjobconfig.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"StoppingCondition": {"MaxRuntimeInSeconds": 10800}}))
    assert job_seconds(tmp_path) == 10800
    for broken in ("{}", "[]", "not json", '{"StoppingCondition": null}'):
        path.write_text(broken)
        assert job_seconds(tmp_path) == math.inf


def test_a_part_ends_when_its_share_is_used() -> None:
    now = 0.0
    budget = TimeBudget(100, lambda: now)
    shares: list[float] = []
    progress = budget.ending(0.5, shares.append)
    now = 49.0
    progress(0.3)
    assert budget.left(0.5) == 1
    now = 51.0
    with pytest.raises(OutOfTimeError):
        progress(0.4)
    assert shares == [0.3]
    assert budget.left(0.5) == 0
    assert budget.left(0.8) == 29


def test_without_a_limit_nothing_ends() -> None:
    budget = TimeBudget(math.inf, lambda: 1e9)
    assert budget.left(0.5) == math.inf
    budget.ending(0.5, lambda _share: None)(0.1)
