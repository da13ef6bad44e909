"""stop_job through its handler: nothing keeps running, and the customer gets the job's final event."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from contract.codes import ErrorCode
from contract.stages import Stage
from tests.support.cloud import Cloud, Crash, invoke
from tests.support.events import sample_event
from tests.support.fakes import FakeExecution
from tests.support.runs import JOB_ID, ask_for, job_name, waiting


def ended(cloud: Cloud, status: str = "ABORTED", *states: str) -> dict[str, Any]:
    """The event of the end of the job's execution with this status, after it had been in these states."""
    cloud.stepfunctions.executions[JOB_ID] = FakeExecution({}, status, states=list(states))
    event = sample_event("stop_job/execution-aborted")
    event["detail"]["status"] = status
    return event


def test_stopping_an_execution_stops_the_job_that_runs(cloud: Cloud) -> None:
    invoke("run_stage", ask_for())
    assert invoke("stop_job", ended(cloud)) == {"stopped": [job_name()]}
    assert cloud.sagemaker.stopped == [job_name()]


def test_only_what_runs_is_stopped(cloud: Cloud) -> None:
    invoke("run_stage", ask_for(Stage.SFM))
    cloud.sagemaker.complete(job_name(Stage.SFM))
    invoke("run_stage", ask_for(Stage.TRAINING, "token-2"))
    cloud.sagemaker.fail(job_name(Stage.TRAINING), FailureReason="Spot")
    invoke("run_stage", ask_for(Stage.TRAINING, "token-3"))
    assert invoke("stop_job", ended(cloud)) == {"stopped": [job_name(Stage.TRAINING, 2)]}


def test_a_run_whose_job_was_never_created_needs_no_stop(cloud: Cloud) -> None:
    cloud.sagemaker.refuse_next()
    invoke("run_stage", ask_for())
    assert invoke("stop_job", ended(cloud)) == {"stopped": []}
    assert waiting(Stage.SFM, cloud) == []


def test_a_job_that_ends_between_the_look_and_the_stop_is_stopped(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke("run_stage", ask_for())
    stop = cloud.sagemaker.stop_processing_job

    def too_late(**request: str) -> dict[str, Any]:
        cloud.sagemaker.complete(job_name())
        return stop(**request)

    monkeypatch.setattr(cloud.sagemaker, "stop_processing_job", too_late)
    invoke("stop_job", ended(cloud))
    assert cloud.said()[-1] == "Job Stopped"


@pytest.mark.parametrize(
    ("status", "said", "code"),
    [
        ("ABORTED", "Job Stopped", ErrorCode.STOPPED),
        ("TIMED_OUT", "Job Failed", ErrorCode.STAGE_TIMEOUT),
        ("FAILED", "Job Failed", ErrorCode.INTERNAL),
    ],
)
def test_a_job_without_a_final_event_of_its_own_gets_one(cloud: Cloud, status: str, said: str, code: ErrorCode) -> None:
    invoke("stop_job", ended(cloud, status, "JobStarted", "FirstStage", "RunSfm"))
    (event,) = cloud.heard()
    assert (event["detail-type"], event["detail"]["error"]["code"]) == (said, code)
    assert (event["detail"]["jobId"], event["detail"]["sequence"]) == (JOB_ID, 9_999_998)


@pytest.mark.parametrize("last", [["JobFailed", "Failed"], ["JobFailed"], ["JobSucceeded", "Done"], ["JobSucceeded"]])
@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "ABORTED"])
def test_a_job_that_published_or_began_its_own_final_event_gets_no_second(
    cloud: Cloud, status: str, last: list[str]
) -> None:
    invoke("stop_job", ended(cloud, status, "JobStarted", *last))
    assert cloud.heard() == []


def test_the_final_event_is_dated_when_the_execution_ended(cloud: Cloud) -> None:
    invoke("stop_job", ended(cloud))
    assert cloud.heard()[0]["detail"]["at"] == sample_event("stop_job/execution-aborted")["time"]


def test_an_execution_that_was_redriven_since_is_left_alone(cloud: Cloud) -> None:
    """Its dead letter is given back after the operator has continued the job."""
    invoke("run_stage", ask_for())
    event = ended(cloud)
    execution = cloud.stepfunctions.executions[JOB_ID]
    execution.status, execution.redriven_at = "RUNNING", datetime.fromisoformat(event["time"]) + timedelta(hours=1)
    assert invoke("stop_job", event) == {"stopped": []}
    assert cloud.sagemaker.stopped == []
    assert "Job Stopped" not in cloud.said()


@pytest.mark.parametrize("arrives", [False, True], ids=["before the call", "after the call"])
def test_a_crash_at_any_call_and_a_second_delivery_leave_nothing_running(cloud: Cloud, arrives: bool) -> None:
    invoke("run_stage", ask_for())
    event = ended(cloud)
    cloud.watch.calls.clear()
    invoke("stop_job", event)
    calls = list(cloud.watch.calls)
    assert len(calls) == 6
    for crash_at in range(len(calls)):
        cloud.sagemaker.jobs[job_name()].status = "InProgress"
        cloud.watch.calls.clear()
        cloud.watch.crash_at, cloud.watch.arrives = crash_at, arrives
        with pytest.raises(Crash):
            invoke("stop_job", event)
        cloud.watch.crash_at = None
        heard = len(cloud.heard())
        invoke("stop_job", event)
        assert cloud.sagemaker.jobs[job_name()].status == "Stopping", calls[crash_at]
        assert len(cloud.heard()) == heard + 1, calls[crash_at]
