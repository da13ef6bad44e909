"""The outcome of a stage run, from every status and reason that SageMaker gives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.codes import FAILURES, ErrorCode
from contract.stages import Stage
from domain.outcome import WAITING, RunOutcome, RunStatus, outcome_of
from tests.support.runs import run_of

START = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)


def described(stage: Stage, status: str, seconds: float = 60, **said: Any) -> dict[str, Any]:
    times = {f"{stage.kind}StartTime": START, f"{stage.kind}EndTime": START + timedelta(seconds=seconds)}
    return {f"{stage.kind}JobStatus": status, **times, **said}


def outcome(status: str, stage: Stage = Stage.SFM, seconds: float = 60, **said: Any) -> RunOutcome:
    return outcome_of(run_of(stage), described(stage, status, seconds, **said))


def code(status: str, stage: Stage = Stage.SFM, seconds: float = 60, **said: Any) -> ErrorCode | None:
    found = outcome(status, stage, seconds, **said)
    assert found.status is RunStatus.FAILED
    return found.error.code if found.error else None


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("InProgress", RunStatus.RUNNING),
        ("Stopping", RunStatus.RUNNING),
        ("Completed", RunStatus.COMPLETED),
        ("Failed", RunStatus.FAILED),
        ("Stopped", RunStatus.FAILED),
    ],
)
def test_every_status_of_sagemaker_has_an_outcome(stage: Stage, status: str, expected: RunStatus) -> None:
    assert outcome(status, stage).status is expected


def waits(stage: Stage, **described: Any) -> datetime | None:
    found = outcome_of(run_of(stage), {f"{stage.kind}JobStatus": "InProgress", "CreationTime": START, **described})
    return found.waiting_since


def test_every_secondary_status_of_sagemaker_waits_works_or_has_ended() -> None:
    known = botocore.session.get_session().get_service_model("sagemaker").shape_for("SecondaryStatus").enum
    at_work = {"Downloading", "DownloadingTrainingImage", "Training", "Uploading", "Updating", "Restarting"}
    ended = {"Stopping", "Stopped", "MaxRuntimeExceeded", "MaxWaitTimeExceeded", "Completed", "Failed"}
    assert set(known) == WAITING | at_work | ended
    for status in known:
        assert (waits(Stage.TRAINING, SecondaryStatus=status) is not None) is (status in WAITING)


def test_a_processing_job_waits_until_it_has_started() -> None:
    assert waits(Stage.SFM) == START
    assert waits(Stage.SFM, ProcessingStartTime=START) is None


def transitions(*statuses: str) -> dict[str, Any]:
    moves = [{"Status": one, "StartTime": START + timedelta(hours=n)} for n, one in enumerate(statuses)]
    return {"SecondaryStatus": statuses[-1], "SecondaryStatusTransitions": moves}


@pytest.mark.parametrize(
    ("statuses", "hours"),
    [
        (("Starting",), 0),
        (("Starting", "Pending", "Starting"), 0),
        (("Starting", "Training", "Interrupted", "Starting", "Pending"), 2),
        (("Starting", "Training"), None),
    ],
)
def test_a_wait_begins_with_the_first_of_the_last_statuses_that_wait(
    statuses: tuple[str, ...], hours: int | None
) -> None:
    expected = None if hours is None else START + timedelta(hours=hours)
    assert waits(Stage.TRAINING, **transitions(*statuses)) == expected


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (("Starting", "Stopping", "Stopped"), ErrorCode.CAPACITY),
        (("Starting", "Training", "Interrupted", "Stopping", "Stopped"), ErrorCode.CAPACITY),
        (("Starting", "Training", "Interrupted", "MaxWaitTimeExceeded"), ErrorCode.CAPACITY),
        (("Starting", "Training", "Stopping", "Stopped"), ErrorCode.INTERRUPTED),
        (("Starting", "Training", "Stopping", "MaxRuntimeExceeded"), ErrorCode.STAGE_TIMEOUT),
    ],
)
def test_a_job_that_was_stopped_while_it_waited_found_no_machine(
    statuses: tuple[str, ...], expected: ErrorCode
) -> None:
    assert code("Stopped", Stage.TRAINING, **transitions(*statuses)) is expected


def test_a_processing_job_that_was_stopped_before_it_started_found_no_machine() -> None:
    found = outcome_of(run_of(), {"ProcessingJobStatus": "Stopped", "CreationTime": START})
    assert found.error is not None
    assert found.error.code is ErrorCode.CAPACITY


def test_a_job_that_sagemaker_does_not_know_is_missing() -> None:
    assert outcome_of(run_of(), None) == RunOutcome(status=RunStatus.MISSING)


@pytest.mark.parametrize("status", ["InProgress", "Stopping", "Completed"])
def test_only_a_failed_run_has_an_error(status: str) -> None:
    assert outcome(status, FailureReason="NO_OVERLAP: left over").error is None


@pytest.mark.parametrize("named", ErrorCode)
def test_a_processing_containers_own_code_is_believed(named: ErrorCode) -> None:
    reason = "AlgorithmError: See job logs for more information"
    assert code("Failed", FailureReason=reason, ExitMessage=f"{named}: some facts") is named


@pytest.mark.parametrize("named", ErrorCode)
def test_a_training_containers_own_code_is_believed(named: ErrorCode) -> None:
    assert code("Failed", Stage.TRAINING, FailureReason=f"AlgorithmError: {named}: some facts, exit code: 1") is named


def test_the_facts_reach_the_customer_without_the_exit_code() -> None:
    error = outcome(
        "Failed", Stage.TRAINING, FailureReason="AlgorithmError: LOW_QUALITY: PSNR 9 dB, exit code: 1"
    ).error
    assert error is not None
    assert error.message == f"{FAILURES[ErrorCode.LOW_QUALITY].sentence} (PSNR 9 dB)"


def test_facts_of_several_lines_are_one() -> None:
    error = outcome("Failed", ExitMessage="NO_OVERLAP: one\ntwo").error
    assert error is not None
    assert "(one two)" in error.message


def test_the_facts_of_an_internal_fault_are_not_for_the_customer() -> None:
    error = outcome("Failed", ExitMessage="INTERNAL: KeyError: '/opt/ml/secret'").error
    assert error is not None
    assert error.message == FAILURES[ErrorCode.INTERNAL].sentence


def test_a_code_after_other_words_in_capitals_is_found() -> None:
    assert code("Failed", ExitMessage="ERROR: NO_FEATURES: 12 photos") is ErrorCode.NO_FEATURES


@pytest.mark.parametrize("reason", ["SOMETHING_ELSE: facts", "AlgorithmError: exit code: 1", "MYNO_OVERLAP: x", ""])
def test_a_reason_that_names_no_code_is_our_own_fault(reason: str) -> None:
    assert code("Failed", FailureReason=reason) is ErrorCode.INTERNAL


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("CapacityError: Unable to provision requested ML compute capacity.", ErrorCode.CAPACITY),
        ("InsufficientCapacityError: no ml.g5.xlarge", ErrorCode.CAPACITY),
        ("InternalServerError: Insufficient capacity", ErrorCode.CAPACITY),
        ("ResourceLimitExceeded: account-level limit", ErrorCode.THROTTLED),
        ("ClientError: Rate exceeded", ErrorCode.THROTTLED),
        ("InternalServerError: Spot instance was taken", ErrorCode.INTERRUPTED),
        ("ClientError: training was interrupted", ErrorCode.INTERRUPTED),
        ("ClientError: the job exceeded its MaxRuntime", ErrorCode.STAGE_TIMEOUT),
        ("AlgorithmError: , exit code: 137", ErrorCode.OUT_OF_MEMORY),
        ("AlgorithmError: torch.OutOfMemoryError", ErrorCode.OUT_OF_MEMORY),
        ("AlgorithmError: CUDA out of memory. Tried to allocate 2 GiB", ErrorCode.OUT_OF_MEMORY),
        ("ClientError: Please use an instance type with more memory, or OutOfMemory", ErrorCode.OUT_OF_MEMORY),
        ("AlgorithmError: OSError: [Errno 28] No space left on device", ErrorCode.DISK_FULL),
        ("ClientError: DiskFull while downloading", ErrorCode.DISK_FULL),
        # as quoted by users: aws/sagemaker-spark 76, DIAGNijmegen/rse-grand-challenge, aws/sagemaker-python-sdk issues
        ("InternalServerError: We encountered an internal error. Please try again.", ErrorCode.PLATFORM_FAULT),
        ("InternalServerError: We encountered an internal error.  Please try again.", ErrorCode.PLATFORM_FAULT),
        (
            "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML "
            "instance type.",
            ErrorCode.CAPACITY,
        ),
        (
            "ClientError: Please use an instance type with more memory, or reduce the size of job data processed on an "
            "instance.",
            ErrorCode.OUT_OF_MEMORY,
        ),
        ("ClientError: Artifact upload failed:Insufficient disk space", ErrorCode.DISK_FULL),
        ("ClientError: Artifact upload failed: please try again", ErrorCode.PLATFORM_FAULT),
        ("AlgorithmError: CUDA error: uncorrectable ECC error encountered, exit code: 1", ErrorCode.PLATFORM_FAULT),
        # a container's own message is not SageMaker's
        ("AlgorithmError: buffer capacity of 4096 exceeded, exit code: 1", ErrorCode.INTERNAL),
        ("AlgorithmError: interrupted by an assertion, exit code: 1", ErrorCode.INTERNAL),
        ("ClientError: Data download failed: S3 key: s3://b/a//k has an illegal char sub-sequence", ErrorCode.INTERNAL),
        ("ClientError: Cannot pull image", ErrorCode.INTERNAL),
    ],
)
def test_the_platforms_own_words_are_understood(reason: str, expected: ErrorCode) -> None:
    assert code("Failed", Stage.TRAINING, FailureReason=reason) is expected


def test_the_containers_word_goes_before_the_platforms() -> None:
    assert code("Failed", ExitMessage="LOW_QUALITY: x", FailureReason="CapacityError") is ErrorCode.LOW_QUALITY


@pytest.mark.parametrize(
    ("secondary", "expected"),
    [
        ("Interrupted", ErrorCode.INTERRUPTED),
        ("MaxWaitTimeExceeded", ErrorCode.CAPACITY),
        ("MaxRuntimeExceeded", ErrorCode.STAGE_TIMEOUT),
        ("Stopped", ErrorCode.INTERRUPTED),
    ],
)
def test_the_secondary_status_decides_why_training_stopped(secondary: str, expected: ErrorCode) -> None:
    assert code("Stopped", Stage.TRAINING, SecondaryStatus=secondary) is expected


def test_training_out_of_time_is_no_interruption_whatever_its_container_reports() -> None:
    # an interruption is retried: the same six hours, three more times
    left = "INTERRUPTED: checkpoint written"
    found = code("Stopped", Stage.TRAINING, SecondaryStatus="MaxRuntimeExceeded", FailureReason=left)
    assert found is ErrorCode.STAGE_TIMEOUT


@pytest.mark.parametrize("stage", [Stage.SFM, Stage.COMPRESSOR])
@pytest.mark.parametrize(("over", "expected"), [(0, ErrorCode.STAGE_TIMEOUT), (-1, ErrorCode.INTERRUPTED)])
def test_a_processing_job_stopped_at_its_longest_runtime_is_out_of_time(
    stage: Stage, over: int, expected: ErrorCode
) -> None:
    seconds = stage.spec.max_runtime + over
    assert code("Stopped", stage, seconds, ExitMessage="INTERRUPTED: SIGTERM") is expected


def test_seconds_are_from_start_to_end() -> None:
    assert outcome("Completed", seconds=61.5).seconds == 61.5


def test_training_seconds_are_those_that_are_billed() -> None:
    assert outcome("Completed", Stage.TRAINING, seconds=100, BillableTimeInSeconds=30).seconds == 30


@pytest.mark.parametrize("missing", ["ProcessingStartTime", "ProcessingEndTime"])
def test_a_job_without_both_its_times_has_used_no_seconds(missing: str) -> None:
    answer = described(Stage.SFM, "Failed")
    del answer[missing]
    assert outcome_of(run_of(), answer).seconds == 0


@given(
    st.sampled_from(Stage),
    st.sampled_from(["InProgress", "Stopping", "Completed", "Failed", "Stopped"]),
    st.text(max_size=200),
    st.text(max_size=200),
    st.text(max_size=30),
)
def test_whatever_sagemaker_reports_an_error_is_set_exactly_when_the_run_failed(
    stage: Stage, status: str, reason: str, message: str, secondary: str
) -> None:
    found = outcome(status, stage, FailureReason=reason, ExitMessage=message, SecondaryStatus=secondary)
    assert (found.error is not None) == (found.status is RunStatus.FAILED)


@pytest.mark.parametrize("stage", Stage)
def test_a_run_that_its_jobs_budget_cut_short_says_so(stage: Stage) -> None:
    said: dict[str, Any] = {"StoppingCondition": {"MaxRuntimeInSeconds": 600}}
    if stage.kind == "Training":
        said["SecondaryStatus"] = "MaxRuntimeExceeded"
    assert code("Stopped", stage, seconds=600, **said) is ErrorCode.BUDGET_SPENT


@pytest.mark.parametrize("stage", [Stage.SFM, Stage.COMPRESSOR])
def test_a_run_that_was_stopped_before_its_budget_was_spent_was_interrupted(stage: Stage) -> None:
    assert code("Stopped", stage, 599, StoppingCondition={"MaxRuntimeInSeconds": 600}) is ErrorCode.INTERRUPTED
