"""The mails of the sample events: their job, the mail that notify sends, and the mail's contents."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

from PIL import Image

from domain.job import JobOptions, UploadedObject, job_of
from domain.jobs_table import JobsTable
from notify.mail import MailLinks
from tests.support.cloud import Cloud, invoke
from tests.support.events import sample_event

JOB_ID = "meadow-0123456789ab"
AT = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
OUTCOMES = ["job-succeeded", "job-failed", "job-rejected", "job-stopped"]
MAILED = ["job-started", *OUTCOMES]
PAGE, API = "https://page.example.com/", "https://api.example.com"
LINKS = MailLinks(
    {"Report": "https://example.com/?a=1&b=2"}, hours=6, job=f"{PAGE}#job=j", stop=f"{PAGE}#unsubscribe=a.b"
)


def png() -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((600, 340)).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


PREVIEW = png()


def recorded(
    cloud: Cloud,
    name: str = "meadow",
    email: str | None = "pilot@example.com",
    remarks: tuple[str, ...] = (),
    owner: str | None = None,
    **texts: str,
) -> None:
    """Records the job of the sample events, as start_job does."""
    upload = UploadedObject(bucket="b", key="meadow.zip", version_id="v", etag="e")
    job = job_of(
        upload, JOB_ID, JobOptions.model_validate({"email": email, "name": name, **texts}), AT, owner, remarks=remarks
    )
    JobsTable(cloud.table("jobs")).record(job)


def outcome(name: str) -> dict[str, Any]:
    return sample_event(f"status/{name}")


def succeeded(cloud: Cloud, preview: bytes | None = PREVIEW) -> EmailMessage:
    """The mail about the sample's success."""
    recorded(cloud)
    event = outcome("job-succeeded")
    if preview is not None:
        cloud.put(event["detail"]["outputs"]["preview.png"], preview)
    invoke("notify", event)
    (mail,) = cloud.mails()
    return mail


def part(mail: EmailMessage, subtype: str) -> str:
    found = mail.get_body((subtype,))
    assert isinstance(found, EmailMessage)
    return str(found.get_content())


def text(mail: EmailMessage) -> str:
    return part(mail, "plain")


def html(mail: EmailMessage) -> str:
    return part(mail, "html")
