"""Tickets to a streamed scene: anyone who opened its page by a link may request links to its parts while that link is
valid.

A ticket is `<jobId>.<seconds since 1970>.<MAC>`. The MAC's key is generated when the job is recorded, and stored in its
item. When a scene is deleted, the key is deleted too, and its tickets open nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from datetime import UTC, datetime

from domain.job_item import JobItem

_KEY_BYTES, _MAC_BYTES = 24, 24


def new_key() -> str:
    return secrets.token_urlsafe(_KEY_BYTES)


def ticket_of(item: JobItem, until: datetime) -> str | None:
    """A ticket that is valid until then; None for a job whose item has no key."""
    if item.scene_key is None:
        return None
    text = f"{item.job_id}.{int(until.timestamp())}"
    return f"{text}.{_mac(item.scene_key, text)}"


def good_until(ticket: str, item: JobItem, now: datetime) -> datetime | None:
    """When the ticket to the item's scene expires; None if it is invalid or has expired."""
    text, _, mac = ticket.rpartition(".")
    job_id, _, seconds = text.partition(".")
    if item.scene_key is None or job_id != item.job_id or not hmac.compare_digest(_mac(item.scene_key, text), mac):
        return None
    until = datetime.fromtimestamp(int(seconds), UTC)
    return until if now < until else None


def _mac(key: str, text: str) -> str:
    digest = hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest[:_MAC_BYTES]).decode()
