"""start_job crashes at any of its calls, and S3 delivers the event again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.jobs_table import JobsTable
from domain.starting import REPLACED
from tests.support.archives import SIX_PHOTOS, TWO_PHOTOS
from tests.support.cloud import UPLOADS, Cloud, Crash, invoke, job_id

# a crash leaves no metrics to publish, and Powertools warns about that
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")


def final_state(cloud: Cloud, event: dict[str, Any]) -> dict[str, Any]:
    item = cloud.item(job_id(event))
    assert item is not None
    drawn = ("expiresAt", "uploadedAt", "startedAt", "sceneKey")
    return {
        "item": {name: value for name, value in item.items() if name not in drawn},
        "executions": [execution.input["jobId"] for execution in cloud.stepfunctions.executions.values()],
        "said": {(said["detail-type"], said["detail"]["error"]["code"]) for said in cloud.heard()},
    }


@pytest.mark.parametrize("arrives", [False, True], ids=["before the call", "after the call"])
@pytest.mark.parametrize(
    "body", [SIX_PHOTOS, TWO_PHOTOS, b"no zip at all" * 10], ids=["accepted", "rejected", "not a zip"]
)
def test_a_crash_at_any_call_and_a_second_delivery_end_as_if_nothing_had_happened(
    cloud: Cloud, body: bytes, arrives: bool
) -> None:
    reference = cloud.upload("a/scene.zip", body, email="pilot@example.com")
    invoke("start_job", reference)
    expected = final_state(cloud, reference)
    calls = list(cloud.watch.calls)
    assert len(calls) >= 4
    for crash_at in range(len(calls)):
        event = cloud.upload("a/scene.zip", body, email="pilot@example.com")
        already = len(cloud.stepfunctions.executions), len(cloud.heard())
        cloud.watch.calls.clear()
        cloud.watch.crash_at, cloud.watch.arrives = crash_at, arrives
        with pytest.raises(Crash):
            invoke("start_job", event)
        cloud.watch.crash_at = None
        invoke("start_job", event)
        state = final_state(cloud, event)
        own = {"jobId": job_id(event), "versionId": event["detail"]["object"]["version-id"]}
        assert state["item"] == {**expected["item"], **own}, calls[crash_at]
        assert len(state["executions"]) - already[0] == len(expected["executions"]), calls[crash_at]
        assert state["said"] == expected["said"], calls[crash_at]


def test_a_job_that_was_recorded_and_whose_upload_was_deleted_before_it_began_is_closed(cloud: Cloud) -> None:
    """The start crashed in between, and at S3's next delivery the upload is missing."""
    event = cloud.upload("meadow.zip", SIX_PHOTOS)
    cloud.watch.crash_at = next_call(cloud, event, "stepfunctions.start_execution")
    with pytest.raises(Crash):
        invoke("start_job", event)
    cloud.watch.crash_at = None
    cloud.s3.delete_object(Bucket=UPLOADS, Key="meadow.zip")
    assert invoke("start_job", event)["executionName"] is None
    item = cloud.item(job_id(event))
    assert item is not None
    assert (item["status"], item["message"]) == ("REJECTED", REPLACED)
    assert JobsTable(cloud.table("jobs")).not_started(datetime.now(UTC) + timedelta(hours=1)) == []


def next_call(cloud: Cloud, event: dict[str, Any], name: str) -> int:
    """The number of calls before the call of that name, counted while another upload of the same kind is started."""
    other = cloud.upload("other.zip", SIX_PHOTOS)
    cloud.watch.calls.clear()
    invoke("start_job", other)
    before = cloud.watch.calls.index(name)
    cloud.watch.calls.clear()
    return before
