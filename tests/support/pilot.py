"""The pilot of the sample events and his job, for tests of the API."""

from __future__ import annotations

from datetime import UTC, datetime

from domain.job import UploadedObject, job_of, parse_options
from domain.jobs_table import JobsTable
from tests.support.archives import photos, zip_of
from tests.support.cloud import UPLOADS, Cloud, invoke
from tests.support.events import sample_event
from tests.support.http_api import Answer

STRANGER = {"sub": "stranger-2", "email": "stranger@example.com", "email_verified": "true"}
AT = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
JOB_ID = "meadow-0123456789ab"
PHOTOS = zip_of(photos(8))


def put_photos(cloud: Cloud, key: str = "meadow.zip", **metadata: str) -> None:
    """Uploads photos that belong to the pilot, unless the metadata name another owner."""
    cloud.s3.put_object(Bucket=UPLOADS, Key=key, Body=PHOTOS, Metadata=metadata or {"owner": "pilot-1"})


def recorded(cloud: Cloud, owner: str = "pilot-1", job_id: str = JOB_ID, at: datetime = AT) -> None:
    upload = UploadedObject(bucket=UPLOADS, key="meadow.zip", version_id="v", etag="e")
    job = job_of(upload, job_id, parse_options({"name": "Meadow"}), at, owner)
    JobsTable(cloud.table("jobs")).record(job)


def track(*names: str) -> None:
    for name in names:
        invoke("track_progress", sample_event(f"status/{name}"))


def is_problem(answer: Answer, status: int, code: str) -> bool:
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json
    assert problem["type"] == f"urn:spaceport:error:{code}"
    assert problem["title"]
    assert problem["hint"]
    return bool(problem["code"] == code)
