"""sweep_jobs through its handler: an outcome whose final event is missing gets one, once."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from contract.stages import Stage
from domain.job_item import JobItem
from domain.jobs_table import JobsTable
from domain.status import StatusBus
from sweep_jobs.sweep import GRACE, LOOK_BACK, MAX_JOB_AGE, Unswept, oldest_begin
from tests.support.archives import SIX_PHOTOS
from tests.support.cloud import Cloud, invoke
from tests.support.events import sample_event
from tests.support.fakes import FakeExecution, FakeStepFunctions, aws_error
from tests.support.runs import JOB_ID, ask_for, job_name

# a second sweep adds nothing to the metrics, and Powertools warns about that
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")

NOW = datetime.fromisoformat(sample_event("sweep_jobs/scheduled")["time"])


def ended(cloud: Cloud, status: str, minutes_ago: float, *states: str, job_id: str = JOB_ID) -> None:
    at = NOW - timedelta(minutes=minutes_ago)
    started = at - timedelta(hours=1)
    execution = FakeExecution({}, status, states=list(states), started_at=started, stopped_at=at)
    cloud.stepfunctions.executions[job_id] = execution
    cloud.table("jobs").put_item(Item={"jobId": job_id, "owner": "pilot-1"})  # start_job recorded it


def sweep() -> list[str]:
    swept: list[str] = invoke("sweep_jobs", sample_event("sweep_jobs/scheduled"))["swept"]
    return swept


@pytest.mark.parametrize(
    ("status", "said"), [("ABORTED", "Job Stopped"), ("TIMED_OUT", "Job Failed"), ("FAILED", "Job Failed")]
)
def test_an_outcome_whose_event_was_lost_is_published(cloud: Cloud, status: str, said: str) -> None:
    invoke("run_stage", ask_for(Stage.TRAINING))
    ended(cloud, status, 11, "JobStarted", "FirstStage", "RunTraining")
    assert sweep() == [JOB_ID]
    assert cloud.said()[-1] == said
    assert cloud.sagemaker.stopped == [job_name(Stage.TRAINING)]


def test_what_was_published_is_not_published_again(cloud: Cloud) -> None:
    ended(cloud, "ABORTED", 11)
    sweep()
    (said,) = cloud.heard()
    invoke("track_progress", {"account": "123456789012", **said})
    assert sweep() == []
    assert len(cloud.heard()) == 1


@pytest.mark.parametrize("minutes_ago", [0, 9.9, 241])
def test_an_end_is_left_alone_while_its_events_may_still_come_and_when_it_is_long_past(
    cloud: Cloud, minutes_ago: float
) -> None:
    ended(cloud, "ABORTED", minutes_ago)
    assert sweep() == []


def test_a_final_event_that_was_started_and_never_arrived_is_published_after_all(cloud: Cloud) -> None:
    ended(cloud, "ABORTED", 11, "JobStarted", "JobFailed")
    sweep()
    assert cloud.said() == ["Job Stopped"]


def test_a_final_event_that_was_sent_is_not_published_again_however_late_it_is(cloud: Cloud) -> None:
    ended(cloud, "FAILED", 11, "JobStarted", "JobFailed", "Failed")
    sweep()
    assert cloud.said() == []


@pytest.mark.parametrize(
    ("status", "states"), [("ABORTED", ("JobStarted", "RunSfm")), ("FAILED", ("JobStarted", "JobFailed", "Failed"))]
)
def test_a_job_that_its_owner_has_deleted_is_left_alone(cloud: Cloud, status: str, states: tuple[str, ...]) -> None:
    """Its final event was there, or it could not have been deleted; another would bring its item back without owner."""
    ended(cloud, status, 11, *states)
    JobsTable(cloud.table("jobs")).delete(JobItem(job_id=JOB_ID))
    assert sweep() == []
    assert cloud.said() == []


def test_every_page_is_read(cloud: Cloud) -> None:
    for number in range(5):
        ended(cloud, "ABORTED", 20 + number, job_id=f"job-{number}")
    assert sorted(sweep()) == [f"job-{number}" for number in range(5)]


def test_the_fault_of_one_job_keeps_no_other_from_being_swept(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event is delivered again with its own time, and so is its dead letter: no end is too old to be considered."""
    for number in range(4):
        ended(cloud, "ABORTED", 20 + number, job_id=f"job-{number}")
    original = cloud.stepfunctions.get_execution_history

    def refusing(**arguments: Any) -> Any:
        if arguments["executionArn"].endswith("job-2"):
            raise aws_error("InternalError", "GetExecutionHistory")
        return original(**arguments)

    monkeypatch.setattr(cloud.stepfunctions, "get_execution_history", refusing)
    with pytest.raises(Unswept, match="job-2"):
        sweep()
    assert sorted(event["detail"]["jobId"] for event in cloud.heard()) == ["job-0", "job-1", "job-3"]


def test_a_job_that_was_recorded_and_never_started_is_started(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    original = FakeStepFunctions.start_execution

    def throttled(*_: Any, **__: Any) -> Any:
        raise aws_error("ThrottlingException", "StartExecution")

    monkeypatch.setattr(FakeStepFunctions, "start_execution", throttled)
    with pytest.raises(ClientError):
        invoke("start_job", cloud.upload("meadow.zip", SIX_PHOTOS))
    monkeypatch.setattr(FakeStepFunctions, "start_execution", original)
    (item,) = cloud.table("jobs").scan()["Items"]
    assert sweep() == [], "its caller may be at it still"
    _record_earlier(cloud, item["jobId"])
    assert sweep() == [item["jobId"]]
    assert list(cloud.stepfunctions.executions) == [item["jobId"]]
    assert sweep() == []


def test_a_rejection_that_was_recorded_and_never_published_is_published(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = cloud.upload("meadow.zip", b"no zip")
    with monkeypatch.context() as patch:
        patch.setattr(StatusBus, "put", _refuse)
        with pytest.raises(RuntimeError):
            invoke("start_job", upload)
    (item,) = cloud.table("jobs").scan()["Items"]
    _record_earlier(cloud, item["jobId"])
    assert sweep() == [item["jobId"]]
    assert cloud.said() == ["Job Rejected"]


def _refuse(*_: Any) -> None:
    raise RuntimeError("status event not taken")


def _record_earlier(cloud: Cloud, job_id: str) -> None:
    """The sample event has a fixed time."""
    at = (NOW - timedelta(minutes=11)).isoformat()
    key, value = {"jobId": job_id}, {":at": at}
    cloud.table("jobs").update_item(Key=key, UpdateExpression="SET startingAt = :at", ExpressionAttributeValues=value)


def test_a_success_is_nobodys_business(cloud: Cloud) -> None:
    ended(cloud, "SUCCEEDED", 11)
    assert sweep() == []


def hours(capsys: pytest.CaptureFixture[str]) -> list[float]:
    """The metric that the alarm on the oldest job watches."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    return [value for line in lines for value in line["OldestJobHours"]]


def test_the_oldest_running_job_is_measured(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    for number, age in enumerate([3, 30, 12]):
        begun = NOW - timedelta(hours=age)
        cloud.stepfunctions.executions[f"job-{number}"] = FakeExecution({}, "RUNNING", started_at=begun)
    ended(cloud, "SUCCEEDED", 60 * 40, job_id="long-past")
    sweep()
    assert hours(capsys) == [30.0]


def test_where_nothing_runs_nothing_is_old(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    sweep()
    assert hours(capsys) == [0.0]


def sweep_at(minute: int) -> list[str]:
    event = sample_event("sweep_jobs/scheduled") | {"time": NOW.replace(minute=minute).isoformat()}
    swept: list[str] = invoke("sweep_jobs", event)["swept"]
    return swept


def test_executions_that_began_long_ago_are_looked_at_once_an_hour(cloud: Cloud) -> None:
    """Step Functions lists by start, here in pages of two, and hardly any execution that started long ago has just
    ended."""
    for days in (0, 3, 46):
        ended(cloud, "TIMED_OUT", 60, job_id=f"{days}-days")
        cloud.stepfunctions.executions[f"{days}-days"].started_at = NOW - timedelta(days=days)
    assert ["46-days" in sweep_at(minute) for minute in (19, 59, 9)] == [False, False, True]


def test_each_end_is_seen_by_several_whole_sweeps() -> None:
    hourly = [datetime(2026, 5, 4, hour, 5, tzinfo=UTC) for hour in range(24)]
    at = datetime(2026, 5, 4, 9, 59, tzinfo=UTC)
    seeing = [now for now in hourly if now - LOOK_BACK <= at < now - GRACE and oldest_begin(now) == MAX_JOB_AGE]
    assert len(seeing) >= 3
    scheduled = [datetime(2026, 5, 4, 9, first + 10 * k, tzinfo=UTC) for first in range(10) for k in range(6)]
    assert sum(oldest_begin(now) == MAX_JOB_AGE for now in scheduled) == 10, "one in each hour, whenever sweeps begin"
