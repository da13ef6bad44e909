"""settle_stage through its handler: the outcome of a stage whose task failed, by SageMaker's description."""

from __future__ import annotations

from typing import Any

import pytest

from contract.codes import FAILURES, ErrorCode
from contract.stages import Stage
from domain.errors import JobError
from settle_stage.settle import TaskFailure, error_of
from tests.support.cloud import Cloud, invoke
from tests.support.events import sample_event
from tests.support.runs import JOB_ID, ask_for, job_name, output_of, waiting


def settle(stage: Stage = Stage.SFM, error: str = "States.HeartbeatTimeout", cause: str = "") -> dict[str, Any]:
    failure = {"Error": error, "Cause": cause}
    answer: dict[str, Any] = invoke("settle_stage", {"jobId": JOB_ID, "stage": stage, "failure": failure})
    return answer


@pytest.mark.parametrize("stage", Stage)
def test_a_job_that_completed_counts_though_its_event_was_lost(cloud: Cloud, stage: Stage) -> None:
    invoke("run_stage", ask_for(stage))
    cloud.put_result(output_of(stage), counts={"photos": 18})
    cloud.sagemaker.complete(job_name(stage), 45)
    answer = settle(stage)
    assert answer["succeeded"] is True
    assert answer["output"]["outputUri"] == output_of(stage)
    assert (answer["output"]["counts"], answer["output"]["seconds"]) == ({"photos": 18}, 45.0)


def test_the_output_of_a_late_success_is_what_its_task_would_have_been_given(cloud: Cloud) -> None:
    invoke("run_stage", ask_for())
    cloud.put_result(output_of(), metrics={"gpsRms": 0.3})
    cloud.sagemaker.complete(job_name())
    invoke("report_stage", sample_event("report_stage/processing-completed"))
    assert settle()["output"] == cloud.stepfunctions.successes("token-1")[0]


def test_a_completed_job_without_a_result_has_failed(cloud: Cloud) -> None:
    invoke("run_stage", ask_for())
    cloud.sagemaker.complete(job_name())
    answer = settle(error="INTERNAL", cause=JobError.of(ErrorCode.INTERNAL).model_dump_json())
    assert (answer["succeeded"], answer["error"]["code"]) == (False, "INTERNAL")
    assert cloud.sagemaker.stopped == []


@pytest.mark.parametrize("stage", Stage)
def test_a_job_that_still_runs_without_a_heartbeat_has_stalled_and_is_stopped(cloud: Cloud, stage: Stage) -> None:
    invoke("run_stage", ask_for(stage))
    cloud.sagemaker.start(job_name(stage))
    answer = settle(stage)
    assert (answer["succeeded"], answer["error"]["code"]) == (False, "STALLED")
    assert cloud.sagemaker.stopped == [job_name(stage)]


def test_a_job_that_is_being_stopped_already_may_be_settled_again(cloud: Cloud) -> None:
    invoke("run_stage", ask_for())
    assert settle() == settle()
    assert cloud.sagemaker.stopped == [job_name()]


def test_sagemakers_reason_goes_before_the_state_machines(cloud: Cloud) -> None:
    invoke("run_stage", ask_for())
    cloud.sagemaker.fail(job_name(), ExitMessage="NO_FEATURES: 12 photos of water")
    assert settle(error="States.Timeout")["error"]["code"] == "NO_FEATURES"


def test_the_attempt_that_is_settled_is_the_latest(cloud: Cloud) -> None:
    invoke("run_stage", ask_for(token="token-1"))
    cloud.sagemaker.fail(job_name(), FailureReason="InternalServerError: Spot instance was taken")
    invoke("run_stage", ask_for(token="token-2"))
    cloud.sagemaker.fail(job_name(attempt=2), ExitMessage="NO_OVERLAP: x")
    answer = settle()
    assert (answer["attempt"], answer["error"]["code"]) == (2, "NO_OVERLAP")


def test_a_stage_is_not_settled_by_another_stages_run(cloud: Cloud) -> None:
    invoke("run_stage", ask_for(Stage.SFM))
    settle(Stage.TRAINING)
    assert cloud.sagemaker.stopped == []


def test_a_refusal_for_lack_of_capacity_is_reported_as_such(cloud: Cloud) -> None:
    cloud.sagemaker.refuse_next()
    invoke("run_stage", ask_for())
    cause = JobError.of(ErrorCode.CAPACITY).model_dump_json()
    assert settle(error="CAPACITY", cause=cause)["error"]["code"] == "CAPACITY"


def test_the_sample_event_of_a_run_that_never_was_settles_as_stalled(cloud: Cloud) -> None:
    answer = invoke("settle_stage", sample_event("settle_stage/heartbeat-timeout"))
    assert answer == {
        "stage": "sfm",
        "attempt": 1,
        "succeeded": False,
        "output": None,
        "error": JobError.of(ErrorCode.STALLED).model_dump(mode="json"),
    }


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("States.HeartbeatTimeout", ErrorCode.STALLED),
        ("States.Timeout", ErrorCode.STALLED),
        ("Lambda.TooManyRequestsException", ErrorCode.INTERNAL),
        ("ClientError", ErrorCode.INTERNAL),
        *[(code.value, code) for code in ErrorCode],
    ],
)
def test_every_failure_of_a_task_has_a_code(error: str, expected: ErrorCode) -> None:
    assert error_of(TaskFailure(error=error)) == JobError.of(expected)


def test_a_cause_that_holds_the_error_keeps_its_facts() -> None:
    expected = JobError.of(ErrorCode.NO_OVERLAP, "12 of 12 photos")
    assert error_of(TaskFailure(error="NO_OVERLAP", cause=expected.model_dump_json())) == expected


@pytest.mark.parametrize("cause", ["", "not json", "{}", '{"code": "NO_SUCH_CODE"}'])
def test_a_cause_that_holds_none_still_gives_the_codes_own_words(cause: str) -> None:
    assert error_of(TaskFailure(error="CAPACITY", cause=cause)).message == FAILURES[ErrorCode.CAPACITY].sentence


@pytest.mark.parametrize("stage", Stage)
def test_a_job_that_still_waits_for_its_machine_did_not_stall(cloud: Cloud, stage: Stage) -> None:
    invoke("run_stage", ask_for(stage))
    answer = settle(stage, error="States.HeartbeatTimeout")
    assert (answer["succeeded"], answer["error"]["code"]) == (False, "CAPACITY")
    assert cloud.sagemaker.stopped == [job_name(stage)]


def test_a_fault_on_the_way_to_a_job_that_waits_is_no_want_of_machines(cloud: Cloud) -> None:
    invoke("run_stage", ask_for())
    assert settle(error="Lambda.Unknown")["error"]["code"] == "INTERNAL"


def test_a_run_that_waits_for_a_machine_in_vain_ends_for_want_of_capacity(cloud: Cloud) -> None:
    cloud.sagemaker.refuse_next()
    invoke("run_stage", ask_for())
    answer = settle(error="States.Timeout")
    assert (answer["succeeded"], answer["error"]["code"]) == (False, "CAPACITY")
    assert waiting(Stage.SFM, cloud) == []
