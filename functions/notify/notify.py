"""Send the mail of a job's outcome."""

from __future__ import annotations

from typing import Any

from notify.mail import MailLinks, compose
from spaceport.jobs_table import JobsTable
from spaceport.links import Links
from spaceport.results import read_bytes
from spaceport.status import StatusEvent
from track_progress.progress import JOB_STATUS, updates_for

# delivered name → what the customer reads; in this order
LINKED = {
    "viewer/index.html": "Open the scene",
    "scene.sog": "Download .sog",
    "scene.ply": "Download .ply",
    "report.html": "Report",
}


class Notifier:
    """`ses` is a boto3 SESv2 client."""

    def __init__(self, jobs: JobsTable, s3: Any, ses: Any, links: Links, sender: str) -> None:
        self._jobs, self._s3, self._ses = jobs, s3, ses
        self._links, self._sender = links, sender

    def notify(self, outcome: StatusEvent) -> str | None:
        """SES's message id, or None where there is nothing to say or nobody to say it to.

        Two may say how one job ended: the state machine, and whoever cleaned up after it before its word arrived.
        Whichever reaches the job's item first is what happened, and the only one that is mailed.
        """
        self._jobs.apply(outcome.detail.job_id, updates_for(outcome))
        item = self._jobs.find(outcome.detail.job_id) or {}
        address = item.get("email")
        if not address or item["status"] != JOB_STATUS[outcome.type]:
            return None
        outputs = outcome.detail.outputs
        urls = {label: self._links.sign(outputs[name]) for name, label in LINKED.items() if name in outputs}
        preview = read_bytes(self._s3, outputs["preview.png"]) if "preview.png" in outputs else None
        links = MailLinks(urls=urls, hours=self._links.seconds // 3600)
        message = compose(outcome.type, str(item["name"]), outcome.detail, links, preview)
        message["From"], message["To"] = self._sender, address
        answer = self._ses.send_email(
            FromEmailAddress=self._sender,
            Destination={"ToAddresses": [address]},
            Content={"Raw": {"Data": message.as_bytes()}},
        )
        message_id: str = answer["MessageId"]
        return message_id
