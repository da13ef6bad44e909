"""scripts/job.py on injected failures: the output of one command explains each."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from contract.blocks import COARSE
from contract.stages import Stage
from scripts.job import attempt_lines, cost_lines, execution_lines, function_lines, item_lines
from tests.support.cloud import Cloud, cloud_of, invoke
from tests.support.fakes import aws_error
from tests.support.large_flights import has_plan, run_block
from tests.support.runs import JOB_ID, ask_for, job_changed, job_name

AT = datetime(2026, 5, 4, 10, tzinfo=UTC)
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Any:
    with cloud_of(monkeypatch) as fresh:
        yield fresh


class Logs:
    """A log group with one stream."""

    def __init__(self, *lines: str) -> None:
        self._events = [{"timestamp": AT.timestamp() * 1000, "message": line} for line in lines]

    def describe_log_streams(self, logStreamNamePrefix: str, **_: Any) -> dict[str, Any]:
        return {"logStreams": [{"logStreamName": f"{logStreamNamePrefix}/algo-1"}]}

    def get_log_events(self, limit: int, **_: Any) -> dict[str, Any]:
        return {"events": self._events[-limit:]}

    def filter_log_events(self, filterPattern: str, **_: Any) -> dict[str, Any]:
        return {"events": [event for event in self._events if filterPattern.strip('"') in str(event["message"])]}


def attempts(cloud: Cloud, *log: str) -> str:
    runs = cloud.table("stage-runs").scan()["Items"]
    return "\n".join(line for run in runs for line in attempt_lines(cloud.sagemaker, Logs(*log), run))


def fail(cloud: Cloud, stage: Stage = Stage.SFM, **said: str) -> None:
    invoke("run_stage", ask_for(stage))
    cloud.sagemaker.fail(job_name(stage), 60, **said)
    invoke("report_stage", job_changed(stage))


def test_a_bug_of_a_container(cloud: Cloud) -> None:
    fail(cloud, ExitMessage="INTERNAL: KeyError: 'focal_length' in sfm/exif.py")
    told = attempts(cloud, "Traceback (most recent call last):", "KeyError: 'focal_length'")
    assert "ExitMessage: INTERNAL: KeyError: 'focal_length' in sfm/exif.py" in told
    assert "| KeyError: 'focal_length'" in told


def test_a_fault_of_sagemaker(cloud: Cloud) -> None:
    fail(cloud, Stage.TRAINING, FailureReason="InternalServerError: We encountered an internal error.")
    assert "reason" in attempts(cloud)
    assert "InternalServerError: We encountered an internal error." in attempts(cloud)


def test_a_run_that_waits_for_a_machine(cloud: Cloud) -> None:
    cloud.sagemaker.quota = 0
    invoke("run_stage", ask_for())
    told = attempts(cloud)
    assert "queuedAt" in told
    assert "Could not find requested job" in told


def test_the_blocks_of_a_large_flight_are_found_by_their_own_names(cloud: Cloud) -> None:
    has_plan(cloud, 2)
    run_block(cloud, COARSE)
    run_block(cloud, 2)
    told = attempts(cloud)
    assert f"{JOB_ID}-3dgs-coarse-1" in told
    assert f"{JOB_ID}-3dgs-b02-1" in told
    assert "Could not find requested job" not in told
    assert told.count("SageMaker: InProgress") == 2


def test_a_state_that_raised() -> None:
    history = [
        {"timestamp": AT, "type": "TaskStateEntered", "stateEnteredEventDetails": {"name": "Deliver"}},
        {
            "timestamp": AT,
            "type": "LambdaFunctionFailed",
            "lambdaFunctionFailedEventDetails": {"error": "ValueError", "cause": "no result at s3://results/x"},
        },
    ]
    stepfunctions = SimpleNamespace(
        describe_execution=lambda **_: {"status": "FAILED", "startDate": AT, "stopDate": AT},
        get_paginator=lambda _: SimpleNamespace(paginate=lambda **_: [{"events": history}]),
    )
    told = "\n".join(execution_lines(stepfunctions, "arn"))
    assert "entered Deliver" in told
    assert "ValueError no result at s3://results/x" in told


def test_a_job_that_was_recorded_and_never_started(cloud: Cloud) -> None:
    def missing(**_: Any) -> None:
        raise aws_error("ExecutionDoesNotExist", "DescribeExecution")

    item = {"jobId": JOB_ID, "startingAt": AT.isoformat(), "startWith": "{}"}
    assert "startingAt" in "\n".join(item_lines(item))
    told = "\n".join(execution_lines(SimpleNamespace(describe_execution=missing), "arn"))
    assert "never started" in told
    logged = list(function_lines(Logs(f"{JOB_ID} ThrottlingException", "another job"), "group", JOB_ID))
    assert len(logged) == 1
    assert "ThrottlingException" in logged[0]


def test_tokens_and_requests_stay_out(cloud: Cloud) -> None:
    invoke("run_stage", ask_for())
    assert "token-1" not in attempts(cloud)


def test_what_the_attempts_cost() -> None:
    assert list(cost_lines([{"dollars": 0.5}, {"dollars": 0.25}, {}])) == ["0.7500 dollars of machines in 3 attempts"]
