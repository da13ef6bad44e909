"""Call the webhook of the job's owner about a status event, with a signature."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from domain.job_item import JobItem
from domain.jobs_table import JobsTable
from domain.links import Links
from domain.post import Undelivered
from domain.status import StatusEvent
from domain.streaming import manifest_of
from domain.webhooks import Delivery, WebhookTable, headers_for

MIN_WAIT, MAX_WAIT = 5, 12 * 3600  # seconds; SQS hides a message no longer than twelve hours


class Caller:
    """`post(url, body, headers)` delivers or raises Undelivered; `log(owner, delivery)` never raises; `clock` returns
    seconds since 1970."""

    def __init__(
        self,
        jobs: JobsTable,
        webhooks: WebhookTable,
        post: Callable[[str, bytes, Mapping[str, str]], None],
        clock: Callable[[], float],
        log: Callable[[str, Delivery], None],
        links: Links,
        page_url: str,
        api_url: str,
    ) -> None:
        self._jobs, self._webhooks, self._post, self._clock = jobs, webhooks, post, clock
        self._log, self._links, self._page_url, self._api_url = log, links, page_url, api_url

    def call(self, event: StatusEvent, attempt: int) -> str | None:
        """Call the webhook. Returns the message's id, which is the same for every attempt, or None if no webhook is
        set.

        Raises Undelivered, after logging it for the owner.
        """
        item = self._jobs.find(event.detail.job_id)
        webhook = self._webhooks.find(item.owner) if item is not None and item.owner else None
        if item is None or item.owner is None or webhook is None:
            return None
        message_id = f"{event.detail.job_id}-{event.type.value.lower().replace(' ', '-')}"
        now = self._clock()
        body = json.dumps({**content_of(event, item), "links": self._links_of(event, item, now)}).encode()
        headers = headers_for(webhook.secrets_at(now), message_id, int(now), body)
        detail = None
        try:
            self._post(webhook.url, body, headers)
        except Undelivered as failure:
            detail = str(failure)
            raise
        finally:
            self._log(
                item.owner,
                Delivery(
                    at=datetime.fromtimestamp(now, UTC),
                    message_id=message_id,
                    type=event.type,
                    job_id=item.job_id,
                    attempt=attempt,
                    delivered=detail is None,
                    detail=detail,
                ),
            )
        return message_id

    def _links_of(self, event: StatusEvent, item: JobItem, now: float) -> dict[str, Any]:
        """The job's page, and links to its files, which expire; GET /jobs/{jobId} makes new ones."""
        detail = event.detail
        manifest = manifest_of(self._api_url, item, self._links.until)
        files = self._links.of_job(detail.job_id, detail.outputs or {}, item.name, manifest)
        expiry = datetime.fromtimestamp(now + self._links.seconds, UTC).isoformat(timespec="seconds")
        page = f"{self._page_url}#job={detail.job_id}"
        return {"page": page, "files": files, **({"expireAt": expiry} if files else {})}


def content_of(event: StatusEvent, item: JobItem) -> dict[str, Any]:
    """The part of the event itself that the receiver gets."""
    detail = event.detail.model_dump(by_alias=True, mode="json", exclude_none=True)
    names = ("jobId", "sequence", "progress", "message", "metrics", "error", "cost")
    data = {"name": item.name, **{name: detail[name] for name in names if name in detail}}
    return {"type": event.type.value, "timestamp": detail["at"], "data": data}


def wait_after(attempts: int) -> int:
    """Seconds until the next attempt: 5 s, then four times as long each time, at most MAX_WAIT."""
    return int(min(MIN_WAIT * 4 ** (attempts - 1), MAX_WAIT))
