"""Links of old jobs: to files that are still there, and to no others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from api.views import view_of
from domain.job import JobOptions, UploadedObject, job_of
from domain.job_item import JobItem
from domain.jobs_table import JobsTable
from domain.layout import EXPIRING, KEPT
from tests.support.cloud import RESULTS, UPLOADS, Cloud, invoke
from tests.support.events import sample_event
from tests.support.http_api import call
from tests.support.pilot import JOB_ID


@pytest.mark.parametrize(("days", "linked"), [(59, ["sfm/cloud.json", "scene.sog"]), (61, ["scene.sog"])])
def test_links_to_intermediate_files_end_with_the_files(cloud: Cloud, days: int, linked: list[str]) -> None:
    at = datetime.now(UTC) - timedelta(days=days)
    upload = UploadedObject(bucket=UPLOADS, key="meadow.zip", version_id="v", etag="e")
    job = job_of(upload, JOB_ID, JobOptions(), at, "pilot-1")
    JobsTable(cloud.table("jobs"), clock=at.timestamp).record(job)
    event = sample_event("status/job-succeeded")
    event["detail"]["outputs"] = {
        "sfm/cloud.json": f"s3://{RESULTS}/{EXPIRING}/{JOB_ID}/sfm/1/cloud.json",
        "scene.sog": f"s3://{RESULTS}/{KEPT}/{JOB_ID}/compressor/1/scene.sog",
    }
    invoke("track_progress", event)
    assert list(call("GET", f"/jobs/{JOB_ID}").json["links"]) == linked


def test_what_a_rerun_made_itself_is_as_old_as_the_rerun() -> None:
    uploaded = datetime(2026, 1, 1, tzinfo=UTC)
    rerun = JobItem(
        job_id=f"{JOB_ID}-r2",
        uploaded_at=uploaded.isoformat(),
        started_at=uploaded + timedelta(days=50),
        outputs={
            "sfm/cloud.json": f"s3://{RESULTS}/{EXPIRING}/{JOB_ID}/sfm/1/cloud.json",
            "3dgs/held_out.png": f"s3://{RESULTS}/{EXPIRING}/{JOB_ID}-r2/3dgs/1/held_out.png",
        },
    )

    def linked(days: int) -> list[str]:
        now = uploaded + timedelta(days=days)
        return list(view_of(rerun, lambda _job, uris, _title: dict(uris), {}, now, now).links)

    assert linked(59) == ["sfm/cloud.json", "3dgs/held_out.png"]
    assert linked(61) == ["3dgs/held_out.png"]
    assert linked(111) == []
