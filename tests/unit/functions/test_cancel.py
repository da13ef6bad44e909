"""A cancelled job: its execution ends, and stop_job does the rest."""

from __future__ import annotations

import pytest

from contract.codes import ErrorCode
from domain.cancel import Cancellation, Canceller
from domain.errors import RefusedRequest
from domain.executions import Executions
from tests.support.cloud import ENVIRONMENT, Cloud, invoke
from tests.support.events import sample_event
from tests.support.fakes import FakeExecution
from tests.support.http_api import call
from tests.support.pilot import is_problem, recorded, track
from tests.support.runs import JOB_ID, ask_for, job_name

# a mail that was sent before is not counted again, and Powertools warns about that
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")


@pytest.fixture
def canceller(cloud: Cloud) -> Canceller:
    return Canceller(Executions(cloud.client("stepfunctions"), ENVIRONMENT["PIPELINE_ARN"]))


def test_the_execution_is_aborted_with_the_code_of_a_stop(cloud: Cloud, canceller: Canceller) -> None:
    cloud.stepfunctions.executions[JOB_ID] = execution = FakeExecution({})
    assert canceller.cancel(JOB_ID) == Cancellation(job_id=JOB_ID, status="RUNNING", stopping=True)
    assert (execution.status, execution.error) == ("ABORTED", "STOPPED")


def test_its_sagemaker_job_is_stopped_an_event_published_and_one_mail_sent(cloud: Cloud, canceller: Canceller) -> None:
    cloud.stepfunctions.executions[JOB_ID] = FakeExecution({})
    cloud.table("jobs").put_item(Item={"jobId": JOB_ID, "name": "meadow", "email": "pilot@example.com"})
    invoke("run_stage", ask_for())
    canceller.cancel(JOB_ID)
    aborted = sample_event("stop_job/execution-aborted")
    for _ in range(2):  # EventBridge may deliver the event twice
        invoke("stop_job", aborted)
    for said in [said for said in cloud.heard() if said["detail-type"] == "Job Stopped"]:
        invoke("notify", {"account": "123456789012", **said})  # moto omits the account
    assert cloud.sagemaker.stopped == [job_name()]
    assert [mail["Subject"] for mail in cloud.mails()] == ["Your 3D scene “meadow” was stopped"]


@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"])
def test_a_job_that_has_ended_stays_as_it_is(cloud: Cloud, canceller: Canceller, status: str) -> None:
    cloud.stepfunctions.executions[JOB_ID] = FakeExecution({}, status)
    assert canceller.cancel(JOB_ID) == Cancellation(job_id=JOB_ID, status=status, stopping=False)
    assert "stepfunctions.stop_execution" not in cloud.watch.calls


def test_cancelling_twice_is_cancelling_once(cloud: Cloud, canceller: Canceller) -> None:
    cloud.stepfunctions.executions[JOB_ID] = FakeExecution({})
    assert [canceller.cancel(JOB_ID).stopping for _ in range(2)] == [True, False]


def test_a_job_that_never_was_is_refused_by_name(canceller: Canceller) -> None:
    with pytest.raises(RefusedRequest) as refused:
        canceller.cancel(JOB_ID)
    assert refused.value.error.code is ErrorCode.NO_SUCH_JOB
    assert JOB_ID in refused.value.error.message


@pytest.mark.parametrize("ended", ["job-rejected", "job-succeeded"])
def test_a_job_that_has_ended_and_has_no_execution_stays_as_it_is(cloud: Cloud, ended: str) -> None:
    recorded(cloud)
    track(ended)
    answer = call("POST", f"/jobs/{JOB_ID}/stop")
    assert (answer.status, answer.json) == (202, {"jobId": JOB_ID, "stopping": False})
    assert "stepfunctions.stop_execution" not in cloud.watch.calls


def test_a_job_that_has_neither_begun_nor_ended_cannot_be_stopped(cloud: Cloud) -> None:
    recorded(cloud)
    assert is_problem(call("POST", f"/jobs/{JOB_ID}/stop"), 404, "NO_SUCH_JOB")
