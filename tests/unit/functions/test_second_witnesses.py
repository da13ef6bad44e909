"""Decisions that must not depend on a single event, page or address: cases in which a second check changes the
outcome."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from contract.stages import Stage
from domain.post import Undelivered, post
from domain.webhooks import Targets
from tests.support.cloud import Cloud, invoke
from tests.support.events import sample_event
from tests.support.fakes import FakeExecution
from tests.support.runs import JOB_ID, ask_for, job_changed, job_name, output_of, waiting

pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")


def ask(number: int) -> None:
    event = ask_for(Stage.TRAINING, f"token-{number}")
    event["job"] |= {"jobId": f"job-{number}", "uploadedAt": f"2026-05-04T10:{number:02d}:00Z"}
    invoke("run_stage", event)


def test_a_run_behind_one_that_was_refused_does_not_overtake_it_in_the_same_pass(cloud: Cloud) -> None:
    """The machine became free between the two calls."""
    cloud.sagemaker.quota = 1
    for number in (1, 2, 3):
        ask(number)
    cloud.sagemaker.complete("job-1-3dgs-1")
    cloud.sagemaker.refuse_next("ResourceLimitExceeded")
    assert invoke("dispatch", sample_event("dispatch/scheduled")) == {"served": []}
    assert waiting(Stage.TRAINING, cloud) == ["job-2-3dgs-1", "job-3-3dgs-1"]
    assert invoke("dispatch", sample_event("dispatch/scheduled")) == {"served": ["job-2-3dgs-1"]}


@pytest.mark.parametrize("addresses", [["93.184.216.34", "10.0.0.8"], ["10.0.0.8", "93.184.216.34"], ["127.0.0.1"]])
def test_a_name_of_which_any_address_is_private_is_not_called(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    def resolve(_host: str, port: int, **_hints: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    def connect(address: tuple[str, int], _timeout: float) -> socket.socket:
        raise AssertionError(f"{address} was called")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(Undelivered, match="not on the internet"):
        post("https://hooks.example.com/in", b"{}", {}, Targets.PUBLIC)


def spent(capsys: pytest.CaptureFixture[str]) -> list[float]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    return [value for line in lines for value in line.get("Spend", [])]


def test_a_run_is_billed_when_it_has_ended_and_not_while_it_runs(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    """SageMaker already counts billable seconds while a Spot job runs; a cost is stored once."""
    invoke("run_stage", ask_for(Stage.TRAINING))
    job = cloud.sagemaker.jobs[job_name(Stage.TRAINING)]
    cloud.sagemaker.start(job.name)
    job.said["BillableTimeInSeconds"] = 600
    invoke("report_stage", job_changed(Stage.TRAINING, status="InProgress"))
    assert spent(capsys) == []
    cloud.put_result(output_of(Stage.TRAINING))
    cloud.sagemaker.complete(job.name, 3600)
    job.said["BillableTimeInSeconds"] = 3600
    invoke("report_stage", job_changed(Stage.TRAINING))
    (whole,) = spent(capsys)
    assert whole > 0.5


@pytest.mark.parametrize("gone", ["time_out", "invalidate", "forget_task"])
def test_an_answer_to_a_task_that_is_over_is_no_fault(cloud: Cloud, gone: str) -> None:
    invoke("run_stage", ask_for())
    cloud.put_result(output_of())
    cloud.sagemaker.complete(job_name())
    getattr(cloud.stepfunctions, gone)("token-1")
    assert invoke("report_stage", job_changed()) == {"reported": "COMPLETED"}
    assert cloud.stepfunctions.answers == []


@pytest.mark.parametrize("execution", [None, FakeExecution({}, "ABORTED"), FakeExecution({}, "SUCCEEDED")])
def test_a_job_without_a_running_execution_is_stopped_at_its_next_event(
    cloud: Cloud, execution: FakeExecution | None
) -> None:
    """None: Step Functions deletes an execution after 90 days, or its state machine was deleted."""
    invoke("run_stage", ask_for())
    cloud.stepfunctions.time_out("token-1")
    if execution is not None:
        cloud.stepfunctions.executions[JOB_ID] = execution
    invoke("report_stage", job_changed(status="InProgress"))
    assert cloud.sagemaker.stopped == [job_name()]


def test_a_job_whose_execution_runs_on_is_not_stopped(cloud: Cloud) -> None:
    """Between two attempts of a task, no token is waiting."""
    invoke("run_stage", ask_for())
    cloud.stepfunctions.time_out("token-1")
    cloud.stepfunctions.executions[JOB_ID] = FakeExecution({})
    invoke("report_stage", job_changed(status="InProgress"))
    assert cloud.sagemaker.stopped == []


def test_a_job_that_this_stack_never_began_is_left_alone(cloud: Cloud) -> None:
    """Another stack of the account may have started it, and its execution is not ours to describe."""
    invoke("run_stage", ask_for())
    known = cloud.sagemaker.jobs[job_name()]
    cloud.sagemaker.jobs["flight-0123456789ab-sfm-1"] = known
    event = sample_event("status/stage-progressed")
    event["detail"] |= {"jobId": "flight-0123456789ab", "stage": "sfm", "attempt": 1}
    invoke("report_stage", event)
    assert cloud.sagemaker.stopped == []
