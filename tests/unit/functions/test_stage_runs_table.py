"""The stage runs table under invocations that still run after Step Functions has given them up.

Each write is conditional on the token that the invocation has, so that an expired token never replaces the current
one.
"""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from contract.stages import Stage
from domain.stage_runs import CLAIM_SECONDS, StageRuns, WaitingRun
from tests.support.cloud import Cloud, invoke
from tests.support.runs import ask_for, run_of, token_of, waiting

REFUSED = "ConditionalCheckFailed"


@pytest.fixture
def runs(cloud: Cloud) -> StageRuns:
    return StageRuns(cloud.table("stage-runs"))


def known(runs: StageRuns) -> WaitingRun:
    """A run as `run_stage` stores it, with the token token-1."""
    invoke("run_stage", ask_for(token="token-1"))
    found = runs.find(run_of())
    assert found is not None
    return found


def test_a_token_does_not_replace_another_that_waits_for_the_same_run(cloud: Cloud, runs: StageRuns) -> None:
    found = known(runs)
    with pytest.raises(ClientError, match=REFUSED):
        runs.remember(found.run, "dead-token", found.retry_state, 0)
    assert token_of(cloud) == "token-1"


def test_the_same_invocation_may_store_its_token_again(cloud: Cloud, runs: StageRuns) -> None:
    found = known(runs)
    runs.remember(found.run, "token-1", found.retry_state, 0)
    assert token_of(cloud) == "token-1"


def test_a_run_is_adopted_from_the_token_that_was_read(cloud: Cloud, runs: StageRuns) -> None:
    found = known(runs)
    runs.adopt(found, "token-2")
    with pytest.raises(ClientError, match=REFUSED):
        runs.adopt(found, "dead-token")
    assert token_of(cloud) == "token-2"


def test_a_run_that_another_token_took_over_is_not_queued(cloud: Cloud, runs: StageRuns) -> None:
    found = known(runs)
    runs.adopt(found, "token-2")
    with pytest.raises(ClientError, match=REFUSED):
        runs.queue_up(found.run, "token-1", {}, 0)
    assert waiting(Stage.SFM, cloud) == []
    runs.queue_up(found.run, "token-2", {}, 0)
    assert waiting(Stage.SFM, cloud) == [found.run.job_name]


def test_a_run_leaves_the_queue_once(runs: StageRuns) -> None:
    found = known(runs)
    assert not runs.leave_queue(found.run)
    runs.queue_up(found.run, "token-1", {}, 0)
    assert [runs.leave_queue(found.run) for _ in range(2)] == [True, False]


def test_a_run_that_is_unknown_leaves_nothing_behind_by_leaving_the_queue(cloud: Cloud, runs: StageRuns) -> None:
    assert not runs.leave_queue(run_of())
    assert cloud.table("stage-runs").scan()["Items"] == []


def test_a_queue_of_several_pages_is_read_to_its_end_and_in_order(runs: StageRuns) -> None:
    found = known(runs)
    numbers = range(120)
    for number in numbers:
        run = found.run.model_copy(update={"job_id": f"job-{number:03d}"})
        runs.remember(run, f"token-{number}", found.retry_state, number)
        runs.queue_up(run, f"token-{number}", {}, number)
    assert [queued.run.job_id for queued in runs.queue(Stage.SFM)] == [f"job-{number:03d}" for number in numbers]


class Replica:
    """A table whose eventually consistent reads return none of the writes yet, as DynamoDB may do for a moment."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def get_item(self, **arguments: Any) -> Any:
        return self._table.get_item(**arguments) if arguments.get("ConsistentRead") else {}

    def query(self, **arguments: Any) -> Any:
        return self._table.query(**arguments) if arguments.get("ConsistentRead") else {"Items": []}


def test_a_run_is_found_as_soon_as_it_was_written(cloud: Cloud, runs: StageRuns) -> None:
    found = known(runs)
    behind = StageRuns(Replica(cloud.table("stage-runs")))
    assert behind.find(found.run) == found
    assert behind.of_job(found.run.job_id) == [found]


def test_who_comes_late_frees_nobody_elses_claim(cloud: Cloud) -> None:
    now = 1_800_000_000.0
    runs = StageRuns(cloud.table("stage-runs"), lambda: now)
    found = known(runs)
    runs.queue_up(found.run, "token-1", {}, 0)
    first = runs.claim(found.run)
    now += CLAIM_SECONDS + 1
    second = runs.claim(found.run)
    assert first
    assert second
    runs.release(found.run, first)
    assert not runs.claim(found.run), "the second is creating its job"
    runs.release(found.run, second)
    assert runs.claim(found.run)


def test_freeing_what_has_left_leaves_nothing_behind(cloud: Cloud, runs: StageRuns) -> None:
    runs.release(run_of(), "2026-05-04T10:00:00.000+00:00")
    assert cloud.table("stage-runs").scan()["Items"] == []
