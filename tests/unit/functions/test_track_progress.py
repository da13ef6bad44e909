"""track_progress: any order of events with any duplicates gives the same item, and progress never runs backwards."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.codes import ErrorCode
from contract.events import StatusType
from contract.stages import Stage
from domain.errors import JobError
from domain.event_bridge import StatusMessage
from domain.job_item import ItemUpdate, JobItem, applied, updates_for
from domain.jobs_table import JobsTable
from tests.support.archives import SIX_PHOTOS
from tests.support.cloud import Cloud, invoke
from tests.support.events import sample_event, sample_names
from tests.support.fakes import aws_error
from tests.support.sam_template import Template

JOB_ID = "meadow-0123456789ab"
INDEXES_OF_JOBS = Template.load().resources["JobsTable"]["Properties"]["GlobalSecondaryIndexes"]
FAILED = JobError.of(ErrorCode.NO_OVERLAP, "12 of 12 photos").model_dump(mode="json")
Event = dict[str, Any]


def event(type_: str, sequence: int, progress: float, **detail: Any) -> Event:
    base = {"version": "1", "jobId": JOB_ID, "at": f"2026-05-04T10:{sequence % 60:02d}:00Z", "message": f"m{sequence}"}
    sample = sample_event("status/job-started")
    return {**sample, "detail-type": type_, "detail": {**base, "sequence": sequence, "progress": progress, **detail}}


def story(attempts: Sequence[Sequence[Sequence[float]]], fails: bool) -> list[Event]:
    """The events of a whole job as they are published, with the sequences of docs/contracts.md.

    attempts[k][a]: the progress reports of attempt a + 1 at stage k. A job that `fails` fails in its last stage.
    """
    published = [event("Job Started", 0, 0)]
    stages = list(Stage)[-len(attempts) :]
    for stage, tries in zip(stages, attempts, strict=True):
        base = stage.ordinal * 1_000_000
        for attempt, reports in enumerate(tries, start=1):
            common = {"stage": stage.value, "attempt": attempt}
            published.append(event("Stage Started", base + attempt * 10_000, 0, **common))
            for permille in sorted({round(report * 1000) for report in reports}):
                metrics = {"step": permille, "psnr": permille / 40, "curve": [0.5, {"x": 1.5}]}
                sequence = base + attempt * 10_000 + 1 + permille
                published.append(event("Stage Progressed", sequence, permille / 1000, metrics=metrics, **common))
        last = {"stage": stage.value, "attempt": len(tries)}
        if fails and stage is stages[-1]:
            published.append(event("Stage Failed", base + 999_999, 1, error=FAILED, **last))
        else:
            outputs = {"output": f"s3://results/{stage}"}
            extra = {"metrics": {"psnr": 24.5}, "outputs": outputs, "cost": {"seconds": 60.5, "dollars": 0.01}}
            published.append(event("Stage Succeeded", base + 999_999, 1, **extra, **last))
    if fails:
        published.append(event("Job Failed", 9_999_999, 1, error=FAILED))
    else:
        extra = {"metrics": {"score": 74}, "outputs": {"scene.sog": "s3://results/a"}, "cost": {"seconds": 180.5}}
        published.append(event("Job Succeeded", 9_999_999, 1, **extra))
    return published


STORIES = st.builds(
    story,
    st.lists(
        st.lists(st.lists(st.floats(0, 1), max_size=4), min_size=1, max_size=3),
        min_size=1,
        max_size=3,
    ),
    st.booleans(),
)


class ItemTable:
    """DynamoDB's update_item for a conditional SET of whole attributes: no more than JobsTable.apply needs."""

    def __init__(self) -> None:
        self.item: dict[str, Any] = {}
        self.writes = 0

    def update_item(self, **request: Any) -> None:
        names, values = request["ExpressionAttributeNames"], request["ExpressionAttributeValues"]
        self.writes += 1
        for guard in re.findall(r"\(attribute_not_exists\((#\d+)\) OR #\d+ < :\d+\)", request["ConditionExpression"]):
            if names[guard] in self.item and not self.item[names[guard]] < values[guard.replace("#", ":")]:
                raise aws_error("ConditionalCheckFailedException", "UpdateItem")
        for part in re.split(r", (?=#)", request["UpdateExpression"].removeprefix("SET ")):
            if part == "#0 = if_not_exists(#0, :0)":
                assert names["#0"] == "expiresAt"
                continue
            name, value = part.split(" = ")
            self.item[names[name]] = values[value]


def items_after_each(events: Sequence[Event]) -> Iterator[dict[str, Any]]:
    table = ItemTable()
    for published in events:
        JobsTable(table).apply(JOB_ID, updates_for(StatusMessage.model_validate(published).status))
        yield table.item


def item_after(events: Sequence[Event]) -> dict[str, Any]:
    *_, last = items_after_each(events)
    return last


@settings(max_examples=100, deadline=None)
@given(STORIES, st.data())
def test_any_order_with_any_duplicates_gives_the_same_item(published: list[Event], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(published), max_size=8))
    shuffled = data.draw(st.permutations(published + again))
    assert item_after(shuffled) == item_after(published)


@settings(max_examples=100, deadline=None)
@given(STORIES, st.data())
def test_progress_never_runs_backwards(published: list[Event], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(published))
    seen = [item.get("progress", Decimal(0)) for item in items_after_each(shuffled)]
    assert seen == sorted(seen)


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**6))
def test_dynamodb_itself_agrees_whatever_the_order(cloud: Cloud, seed: int) -> None:
    published = story([[[0.2, 0.9]], [[0.5], [0.3]], [[0.7]]], fails=False)
    renamed = [{**one, "detail": {**one["detail"], "jobId": f"job-{seed}"}} for one in published]
    random.Random(seed).shuffle(renamed)
    for one in (*renamed, *renamed[:5]):
        invoke("track_progress", one)
    item = cloud.item(f"job-{seed}")
    assert item is not None
    # the times at which first events arrived are kept for the estimate and are not part of the job's state
    assert {name: value for name, value in item.items() if name in item_after(published)} == item_after(published)
    heard = re.compile(r"(sfm|training|compressor)\d+(Asked|Began|At\d|Ended)|jobId|expiresAt")
    assert [name for name in item if name not in item_after(published) and not heard.fullmatch(name)] == []


def test_the_headline_is_the_newest_event(cloud: Cloud) -> None:
    for name in ("job-started", "stage-started", "stage-progressed"):
        invoke("track_progress", sample_event(f"status/{name}"))
    item = cloud.item(JOB_ID) or {}
    assert (item["status"], item["stage"], item["message"]) == ("RUNNING", "3dgs", "training")
    assert item["progress"] == Decimal("0.523")


def test_a_stages_own_state_keeps_its_attempt_progress_and_figures(cloud: Cloud) -> None:
    invoke("track_progress", sample_event("status/stage-progressed"))
    training = (cloud.item(JOB_ID) or {})["training"]
    assert (training["status"], training["attempt"], training["progress"]) == ("Stage Progressed", 1, Decimal("0.42"))
    assert training["metrics"]["psnr"] == Decimal("22.9")


def test_news_of_an_earlier_stage_still_fills_in_that_stage(cloud: Cloud) -> None:
    invoke("track_progress", sample_event("status/stage-succeeded"))
    assert invoke("track_progress", sample_event("status/stage-failed")) == {"updates": 1}
    item = cloud.item(JOB_ID) or {}
    assert item["sfm"]["error"]["code"] == "NO_OVERLAP"
    assert (item["stage"], item["error"]) == ("3dgs", None)


@pytest.mark.parametrize("name", sample_names("status"))
def test_a_duplicate_of_any_event_changes_nothing(cloud: Cloud, name: str) -> None:
    assert invoke("track_progress", sample_event(name))["updates"] > 0
    before = cloud.item(JOB_ID)
    assert invoke("track_progress", sample_event(name)) == {"updates": 0}
    assert cloud.item(JOB_ID) == before


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("job-started", "RUNNING"),
        ("stage-failed", "RUNNING"),
        ("job-rejected", "REJECTED"),
        ("job-succeeded", "SUCCEEDED"),
        ("job-failed", "FAILED"),
        ("job-stopped", "STOPPED"),
    ],
)
def test_a_job_has_the_status_of_its_newest_event(cloud: Cloud, name: str, status: str) -> None:
    invoke("track_progress", sample_event(f"status/{name}"))
    assert (cloud.item(JOB_ID) or {})["status"] == status


@pytest.mark.parametrize("end", ["job-failed", "job-stopped"])
def test_a_job_that_did_not_succeed_stays_where_it_was(cloud: Cloud, end: str) -> None:
    invoke("track_progress", event("Stage Progressed", 1_010_401, 0.4, stage="sfm", attempt=1))
    invoke("track_progress", sample_event("status/stage-failed"))
    invoke("track_progress", sample_event(f"status/{end}"))
    assert (cloud.item(JOB_ID) or {})["progress"] == Decimal("0.1")


def test_a_job_that_succeeded_is_all_done_and_has_its_outputs(cloud: Cloud) -> None:
    invoke("track_progress", sample_event("status/job-succeeded"))
    item = cloud.item(JOB_ID) or {}
    assert item["progress"] == 1
    assert item["outputs"] == sample_event("status/job-succeeded")["detail"]["outputs"]
    assert (item["metrics"]["score"], item["cost"]["dollars"]) == (74, Decimal("0.0428"))


def test_a_retried_stage_does_not_turn_progress_back(cloud: Cloud) -> None:
    invoke("track_progress", event("Stage Progressed", 2_010_901, 0.9, stage="3dgs", attempt=1))
    reached = (cloud.item(JOB_ID) or {})["progress"]
    invoke("track_progress", event("Stage Started", 2_020_000, 0, stage="3dgs", attempt=2))
    item = cloud.item(JOB_ID) or {}
    assert item["progress"] == reached
    assert item["training"]["attempt"] == 2


@pytest.mark.parametrize("fault", ["ProvisionedThroughputExceededException", "ResourceNotFoundException"])
def test_another_fault_of_dynamodb_is_raised(fault: str) -> None:
    class Refusing:
        def update_item(self, **_request: Any) -> None:
            raise aws_error(fault, "UpdateItem")

    with pytest.raises(ClientError, match=fault):
        JobsTable(Refusing()).apply(JOB_ID, [ItemUpdate(guard="sequence", values={"sequence": 1})])


@pytest.mark.parametrize("type_", StatusType)
def test_there_is_a_sample_of_every_status_event(type_: StatusType) -> None:
    assert sample_event(f"status/{type_.lower().replace(' ', '-')}")["detail-type"] == type_


def test_an_event_that_comes_in_its_turn_is_one_read_and_one_write(cloud: Cloud) -> None:
    """A job has 119 progress events, and DynamoDB bills a write for the whole item and for each of its indexes."""
    invoke("start_job", cloud.upload("meadow.zip", SIX_PHOTOS))
    (job_id,) = [item["jobId"] for item in cloud.table("jobs").scan()["Items"]]
    for permille in (100, 101, 350, 352):
        cloud.watch.calls.clear()
        published = event("Stage Progressed", 1_010_001 + permille, permille / 1000, stage="sfm", attempt=1)
        published["detail"]["jobId"] = job_id
        assert invoke("track_progress", published)["updates"] == 4
        calls = Counter(call for call in cloud.watch.calls if call.startswith("dynamodb"))
        item = cloud.item(job_id) or {}
        assert {"etas", "sfm1Began"} <= item.keys()
        assert calls["dynamodb.update_item"] == 1
        # the job's item, and the pace of each stage
        assert calls["dynamodb.get_item"] <= 4


def test_the_index_of_owners_gets_no_write_of_progress() -> None:
    (index,) = (one for one in INDEXES_OF_JOBS if one["IndexName"] == "byOwner")
    assert index["Projection"] == {"ProjectionType": "KEYS_ONLY"}


@settings(max_examples=50, deadline=None)
@given(STORIES, st.data())
def test_what_is_foreseen_of_an_item_is_what_dynamodb_makes_of_it(published: list[Event], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(published))
    table = ItemTable()
    for one in shuffled:
        updates = updates_for(StatusMessage.model_validate(one).status)
        foreseen = JobItem.of({"jobId": JOB_ID, **applied(table.item, updates, {})})
        JobsTable(table).apply(JOB_ID, updates)
        assert JobItem.of({"jobId": JOB_ID, **table.item}) == foreseen
