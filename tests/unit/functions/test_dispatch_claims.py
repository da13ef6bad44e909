"""Several dispatchers at once, and runs without quota: no run is created twice, and none holds up another."""

from __future__ import annotations

from typing import Any

import pytest

from contract.codes import ErrorCode
from contract.stages import Stage
from domain.stage_runs import CLAIM_SECONDS, StageRuns
from domain.stages import StageRun
from tests.support.cloud import Cloud, invoke
from tests.support.fakes import aws_error
from tests.support.queueing import Clock, ask, ended, look_round, name
from tests.support.runs import waiting

# a crash leaves no metrics to publish, and Powertools warns about that
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")


ZERO = (
    "The account-level service limit 'ml.g4dn.xlarge for spot training job usage' is 0 Instances, with current"
    " utilization of 0 Instances and a request delta of 1 Instances."
)


def test_a_quota_that_became_0_ends_every_run_that_waits_for_it_at_once(one_machine: Cloud) -> None:
    for number in (1, 2, 3):
        ask(number)
    one_machine.sagemaker.complete(name(1))
    for _ in range(2):
        one_machine.sagemaker.refuse_next("ResourceLimitExceeded", ZERO)
    assert look_round() == []
    assert waiting(Stage.TRAINING, one_machine) == []
    for number in (2, 3):
        assert one_machine.stepfunctions.failures(f"token-{number}") == [ErrorCode.NO_QUOTA]


def test_a_task_that_cannot_be_told_of_its_quota_stops_no_other_from_being_served(
    one_machine: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 3):
        ask(number)
    one_machine.sagemaker.complete(name(1))
    one_machine.sagemaker.refuse_next("ResourceLimitExceeded", ZERO)

    def throttled(**_arguments: Any) -> Any:
        raise aws_error("ThrottlingException", "SendTaskFailure")

    monkeypatch.setattr(one_machine.stepfunctions, "send_task_failure", throttled)
    assert look_round() == [name(3)]
    assert waiting(Stage.TRAINING, one_machine) == [name(2)]


def run_of(number: int) -> StageRun:
    return StageRun(job_id=f"job-{number}", stage=Stage.TRAINING, attempt=1)


def test_two_that_serve_a_queue_at_once_create_different_jobs(one_machine: Cloud, clock: Clock) -> None:
    """A second dispatcher starts whenever the first is about to call SageMaker."""
    one_machine.sagemaker.quota = 0
    for number in (1, 2, 3):
        ask(number)
    one_machine.sagemaker.quota = 2
    second: list[str] = []
    create = one_machine.sagemaker.create_training_job
    asked = list[str]()

    def beside(**request: Any) -> Any:
        asked.append(request["TrainingJobName"])
        if len(asked) == 1:
            second.extend(invoke("dispatch", ended(9)))
        return create(**request)

    one_machine.sagemaker.create_training_job = beside  # type: ignore[method-assign]
    look_round()
    assert asked.count(name(1)) == 1
    assert one_machine.sagemaker.created == [name(2), name(3)] or one_machine.sagemaker.created == [name(2), name(1)]
    assert len(set(one_machine.sagemaker.created)) == 2


def test_a_run_that_was_refused_is_everybodys_again(one_machine: Cloud, clock: Clock) -> None:
    ask(1)
    ask(2)
    assert look_round() == []
    assert StageRuns(one_machine.table("stage-runs")).claim(run_of(2))


def test_what_somebody_is_creating_is_left_to_him_for_a_while(one_machine: Cloud, clock: Clock) -> None:
    ask(1)
    ask(2)
    one_machine.sagemaker.complete(name(1))
    runs = StageRuns(one_machine.table("stage-runs"))
    assert runs.claim(run_of(2))
    assert not runs.claim(run_of(2))
    assert look_round() == []
    clock.pass_seconds(CLAIM_SECONDS + 1)
    assert look_round() == [name(2)]
    assert not runs.claim(run_of(2)), "it has left the queue"
