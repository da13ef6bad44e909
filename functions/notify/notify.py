"""Send the mail of a job's outcome."""

from __future__ import annotations

from mimetypes import guess_type
from typing import Any

from notify.mail import Links, compose
from spaceport.jobs_table import JobsTable
from spaceport.results import read_bytes, split_uri
from spaceport.status import StatusEvent

# delivered name → what the customer reads; in this order
LINKED = {
    "viewer/index.html": "Open the scene",
    "scene.sog": "Download .sog",
    "scene.ply": "Download .ply",
    "report.html": "Report",
}


class Notifier:
    """`ses` is a boto3 SESv2 client; `link_seconds` is how long the mail's links live."""

    def __init__(self, jobs: JobsTable, s3: Any, ses: Any, sender: str, link_seconds: int) -> None:
        self._jobs, self._s3, self._ses = jobs, s3, ses
        self._sender, self._link_seconds = sender, link_seconds

    def notify(self, outcome: StatusEvent) -> str | None:
        """SES's message id, or None for a job without an address."""
        item = self._jobs.find(outcome.detail.job_id) or {}
        address = item.get("email")
        if not address:
            return None
        outputs = outcome.detail.outputs
        urls = {label: self._link(outputs[name]) for name, label in LINKED.items() if name in outputs}
        preview = read_bytes(self._s3, outputs["preview.png"]) if "preview.png" in outputs else None
        links = Links(urls=urls, hours=self._link_seconds // 3600)
        message = compose(outcome.type, str(item["name"]), outcome.detail, links, preview)
        message["From"], message["To"] = self._sender, address
        answer = self._ses.send_email(
            FromEmailAddress=self._sender,
            Destination={"ToAddresses": [address]},
            Content={"Raw": {"Data": message.as_bytes()}},
        )
        message_id: str = answer["MessageId"]
        return message_id

    def _link(self, uri: str) -> str:
        bucket, key = split_uri(uri)
        params = {"Bucket": bucket, "Key": key}
        content_type, _ = guess_type(key)
        if content_type is not None:  # whatever the upload called it: a page must open, not download
            params["ResponseContentType"] = content_type
        url: str = self._s3.generate_presigned_url("get_object", Params=params, ExpiresIn=self._link_seconds)
        return url
