"""The day's spending limit: runs that would exceed it wait, and runs that cost less than their maximum make room."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.stages import Stage
from domain.owner_spending import OwnerSpending
from domain.spending import DailySpending
from tests.support.archives import photos, zip_of
from tests.support.cloud import Cloud, invoke
from tests.support.events import sample_event
from tests.support.runs import ask_for, job_changed, job_name, output_of, waiting

SFM_AT_MOST = 2.448  # three hours of ml.c6i.4xlarge


def ask(number: int) -> None:
    event = ask_for(Stage.SFM, f"token-{number}")
    event["job"] |= {"jobId": f"job-{number}"}
    invoke("run_stage", event)


@pytest.fixture
def tight(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """A day's limit that is lower than the maximum cost of three runs of structure from motion."""
    monkeypatch.setenv("DAILY_SPEND_DOLLARS", "5.1")
    for number in range(1, 5):
        cloud.has_upload(f"job-{number}")
    return cloud


def held(capsys: pytest.CaptureFixture[str]) -> int:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    return sum(int(sum(line.get("HeldBySpending", []))) for line in lines)


def test_a_run_beyond_the_days_limit_waits_and_rings(tight: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (1, 2, 3):
        ask(number)
    assert tight.sagemaker.created == ["job-1-sfm-1", "job-2-sfm-1"]
    assert waiting(Stage.SFM, tight) == ["job-3-sfm-1"]
    assert tight.stepfunctions.answers == []
    assert held(capsys) == 1
    assert invoke("dispatch", sample_event("dispatch/scheduled"))["served"] == []
    assert held(capsys) == 1


def test_a_run_that_cost_less_than_it_might_makes_room_for_the_next(tight: Cloud) -> None:
    for number in (1, 2, 3):
        ask(number)
    tight.put_result(output_of().replace("meadow-0123456789ab", "job-1"))
    tight.sagemaker.complete("job-1-sfm-1", seconds=600)
    for _ in range(3):
        invoke("report_stage", job_changed(name="job-1-sfm-1"))
    assert invoke("dispatch", sample_event("dispatch/scheduled"))["served"] == ["job-3-sfm-1"]


def test_a_run_that_sagemaker_refuses_holds_no_money(tight: Cloud) -> None:
    tight.sagemaker.quota = 0
    for number in (1, 2, 3, 4):
        ask(number)
    tight.sagemaker.quota = None
    assert len(invoke("dispatch", sample_event("dispatch/scheduled"))["served"]) == 2


def test_asking_again_for_a_run_that_is_there_reserves_once(tight: Cloud) -> None:
    for _ in range(3):
        invoke("run_stage", ask_for())
    ask(1)
    assert tight.sagemaker.created == [job_name(), "job-1-sfm-1"]


@pytest.mark.parametrize("end", ["complete", "fail", "end_stopped"])
def test_every_run_that_has_ended_counts_on_its_owners_day(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setenv("OWNER_DAILY_DOLLARS", "1.5")
    ran(cloud, "pilot-1", end)
    assert "1.63 of 1.50" in refusal_of(cloud, "pilot-1", "first.zip")
    assert refusal_of(cloud, "pilot-2", "second.zip") == ""


def test_a_run_counts_once_and_a_deleted_job_too(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWNER_DAILY_DOLLARS", "3")
    ran(cloud, "pilot-1")
    assert refusal_of(cloud, "pilot-1", "first.zip") == ""
    ran(cloud, "pilot-1", number=2)
    cloud.table("jobs").delete_item(Key={"jobId": "job-1"})
    assert "3.26 of 3.00" in refusal_of(cloud, "pilot-1", "second.zip")


def test_a_run_without_an_owner_counts_on_no_owners_day(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWNER_DAILY_DOLLARS", "1")
    ran(cloud, None)
    assert refusal_of(cloud, "pilot-1", "first.zip") == refusal_of(cloud, None, "second.zip") == ""


def test_an_owners_day_begins_with_nothing_spent(cloud: Cloud) -> None:
    calendar = Calendar()
    spending = OwnerSpending(cloud.table("limits"), calendar)
    spending.charge("pilot-1", 0.75)
    spending.charge("pilot-1", 0.5)
    assert (spending.spent_today("pilot-1"), spending.spent_today("pilot-2")) == (1.25, 0)
    calendar.now += timedelta(hours=2)
    assert spending.spent_today("pilot-1") == 0


def ran(cloud: Cloud, owner: str | None, end: str = "complete", number: int = 1) -> None:
    """Structure from motion at work for two hours of 0.816 dollars; its end is reported twice."""
    job_id = f"job-{number}"
    cloud.has_upload(job_id)
    event = ask_for(Stage.SFM, f"token-{number}")
    event["job"] |= {"jobId": job_id, "owner": owner}
    invoke("run_stage", event)
    cloud.put_result(output_of().replace("meadow-0123456789ab", job_id))
    getattr(cloud.sagemaker, end)(f"{job_id}-sfm-1", seconds=7200)
    for _ in range(2):
        invoke("report_stage", job_changed(name=f"{job_id}-sfm-1"))


def refusal_of(cloud: Cloud, owner: str | None, key: str) -> str:
    """Why a further upload of the owner is refused; empty if its job starts."""
    metadata = {"owner": owner} if owner else {}
    error = invoke("start_job", cloud.upload(key, zip_of(photos(8)), **metadata))["error"]
    assert error is None or error["code"] == "LIMIT_REACHED"
    return "" if error is None else str(error["message"])


class Calendar:
    def __init__(self) -> None:
        self.now = datetime(2026, 5, 4, 23, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.floats(0.1, 4), st.floats(0, 1)), max_size=12), st.integers(0, 10**6))
def test_a_day_never_costs_more_than_its_limit(cloud: Cloud, runs: list[tuple[float, float]], day: int) -> None:
    calendar = Calendar()
    calendar.now += timedelta(days=day)
    spending, spent = DailySpending(cloud.table("limits"), calendar), 0.0
    for most, share in runs:
        reservation = spending.reserve(most, 6.0)
        if reservation:
            spent += most * share
            spending.settle(reservation, most * share)
    assert spent <= 6.001


def test_the_next_day_begins_with_nothing_spent(cloud: Cloud) -> None:
    calendar = Calendar()
    spending = DailySpending(cloud.table("limits"), calendar)
    first = spending.reserve(6.0, 6.0)
    assert first is not None
    assert spending.reserve(0.1, 6.0) is None
    calendar.now += timedelta(hours=2)
    assert spending.reserve(6.0, 6.0) is not None
    spending.settle(first, 1.0)  # of the previous day
    assert spending.reserve(0.1, 6.0) is None


def test_a_limit_below_the_price_of_one_run_lets_one_run_a_day(cloud: Cloud) -> None:
    spending = DailySpending(cloud.table("limits"), Calendar())
    assert spending.reserve(SFM_AT_MOST, 1.0) is not None
    assert spending.reserve(SFM_AT_MOST, 1.0) is None


def test_a_refusal_by_sagemaker_leaves_room_for_the_days_first_run(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAILY_SPEND_DOLLARS", "1.0")
    cloud.sagemaker.quota = 0
    invoke("run_stage", ask_for())
    cloud.sagemaker.quota = None
    assert invoke("dispatch", sample_event("dispatch/scheduled"))["served"] == [job_name()]
    ask(1)
    assert cloud.sagemaker.created == [job_name()]
