"""A status event → one signed call to the webhook of the job's owner."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from domain.job_item import JobItem
from domain.jobs_table import JobsTable
from domain.status import StatusEvent
from domain.webhooks import WebhookTable, signature

MIN_WAIT, MAX_WAIT = 5, 12 * 3600  # seconds; SQS hides a message no longer than twelve hours


class Caller:
    """`post(url, body, headers)` delivers or raises; `clock` returns seconds since 1970."""

    def __init__(
        self,
        jobs: JobsTable,
        webhooks: WebhookTable,
        post: Callable[[str, bytes, Mapping[str, str]], None],
        clock: Callable[[], float],
    ) -> None:
        self._jobs, self._webhooks, self._post, self._clock = jobs, webhooks, post, clock

    def call(self, event: StatusEvent) -> str | None:
        """The message's id, the same for every attempt; None where no webhook is set."""
        item = self._jobs.find(event.detail.job_id)
        webhook = self._webhooks.find(item.owner) if item is not None and item.owner else None
        if item is None or webhook is None:
            return None
        message_id = f"{event.detail.job_id}-{event.type.value.lower().replace(' ', '-')}"
        body = json.dumps(content_of(event, item)).encode()
        timestamp = int(self._clock())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Spaceport",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(webhook.secret, message_id, timestamp, body),
        }
        self._post(webhook.url, body, headers)
        return message_id


def content_of(event: StatusEvent, item: JobItem) -> dict[str, Any]:
    """What the receiver reads. Links are not in it: they expire, and GET /jobs/{jobId} makes new ones."""
    detail = event.detail.model_dump(by_alias=True, mode="json", exclude_none=True)
    names = ("jobId", "sequence", "progress", "message", "metrics", "error", "cost")
    data = {"name": item.name, **{name: detail[name] for name in names if name in detail}}
    return {"type": event.type.value, "timestamp": detail["at"], "data": data}


def wait_after(attempts: int) -> int:
    """Seconds until the next attempt: 5 s, then four times as long each time."""
    return int(min(MIN_WAIT * 4 ** (attempts - 1), MAX_WAIT))
