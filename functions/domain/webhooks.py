"""Customers' webhooks, and the signatures of calls by Standard Webhooks, whose libraries can verify them.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from domain.dynamo import holds
from domain.job import Camel

SECRET_PREFIX = "whsec_"
OVERLAP_SECONDS = 24 * 3600
MAX_DELIVERIES = 50
_SECRET_BYTES = 32
_PORTS = (443, 8443)  # of hosts on the Internet; calls to other ports could be used to probe other services


class Targets(StrEnum):
    """Which hosts may be called: the internet over TLS, or (on a local cloud) anything."""

    PUBLIC = "public"
    ANY = "any"

    @property
    def schemes(self) -> tuple[str, ...]:
        return ("https",) if self is Targets.PUBLIC else ("https", "http")


@dataclass(frozen=True)
class Webhook:
    """The URL to call, and the secret that signs calls. After a change, the previous secret also signs them until
    `previous_until` (seconds since 1970), so that a receiver can switch without losing a call."""

    url: str
    secret: str
    previous_secret: str | None = None
    previous_until: int = 0

    def secrets_at(self, now: float) -> tuple[str, ...]:
        """The secrets that sign a call at `now`, the newest first."""
        previous = self.previous_secret
        return (self.secret, previous) if previous and now < self.previous_until else (self.secret,)


class Delivery(Camel):
    """One attempt at calling a webhook. `detail`: why it was not delivered."""

    at: datetime
    message_id: str
    type: str
    job_id: str
    attempt: int
    delivered: bool
    detail: str | None = None


def fault_of(url: str, targets: Targets) -> str | None:
    """Why `url` must not or cannot be called, as far as the URL itself shows; None if it may be called."""
    if re.search(r"[\x00-\x20\x7f]", url):
        return "url: holds a space or a control character"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "url: not a URL"
    if parts.scheme not in targets.schemes:
        return f"url: must begin with {' or '.join(f'{scheme}://' for scheme in targets.schemes)}"
    if not host:
        return "url: names no host"
    if targets is Targets.PUBLIC and port not in (None, *_PORTS):
        return f"url: the port must be {' or '.join(map(str, _PORTS))}"
    if parts.username is not None or parts.fragment:
        return "url: takes no user and no fragment"
    if not (parts.path + parts.query).isascii():
        return "url: letters beyond ASCII must be percent-encoded"
    try:
        host.encode("idna")
    except UnicodeError:
        return "url: its host cannot be looked up"
    return None


def new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def successor(previous: Webhook | None, url: str, now: float) -> Webhook:
    """The webhook with a new secret; the previous one also signs for a day, if the URL is the same."""
    if previous is None or previous.url != url:
        return Webhook(url, new_secret())
    return Webhook(url, new_secret(), previous.secret, int(now) + OVERLAP_SECONDS)


def headers_for(secrets_: Iterable[str], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of a call, with one signature for each secret, separated by spaces."""
    return {
        "Content-Type": "application/json",
        "User-Agent": "Spaceport",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signature(secret, message_id, timestamp, body) for secret in secrets_),
    }


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """HMAC-SHA256 of id, time and body; `timestamp` in seconds since 1970."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"


class WebhookTable:
    """Partition key `owner`, in the form that jobs use: a token's `sub`, or `mailto:` and an address."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def save(self, owners: Sequence[str], webhook: Webhook) -> None:
        """`owners`: the customer's token first, then the address that it carries."""
        self._forget_old_addresses(owners)
        for owner in owners:
            item = {
                "owner": owner,
                "owners": list(owners),
                "url": webhook.url,
                "secret": webhook.secret,
                "previousSecret": webhook.previous_secret,
                "previousUntil": webhook.previous_until,
            }
            self._table.put_item(Item={name: value for name, value in item.items() if value is not None})

    def find(self, owner: str) -> Webhook | None:
        item = self._table.get_item(Key={"owner": owner}, ConsistentRead=True).get("Item")
        if not item:
            return None
        return Webhook(item["url"], item["secret"], item.get("previousSecret"), int(item.get("previousUntil", 0)))

    def remove(self, owners: Sequence[str]) -> None:
        self._forget_old_addresses(owners)
        for owner in owners:
            self._table.delete_item(Key={"owner": owner})
            self._table.delete_item(Key={"owner": _log_key(owner)})

    def _forget_old_addresses(self, owners: Sequence[str]) -> None:
        """Delete webhooks that the customer set under addresses that are no longer theirs: they would receive the next
        owner's events. A webhook that the next owner has set meanwhile stays."""
        item = self._table.get_item(Key={"owner": owners[0]}, ConsistentRead=True).get("Item") or {}
        for old in set(item.get("owners", [])) - set(owners):
            holds(
                self._table.delete_item,
                Key={"owner": old},
                ConditionExpression="contains(owners, :customer)",
                ExpressionAttributeValues={":customer": owners[0]},
            )

    def log(self, owner: str, delivery: Delivery) -> None:
        """Append to the owner's log, which keeps at least the newest MAX_DELIVERIES."""
        key = {"owner": _log_key(owner)}
        entry = delivery.model_dump_json(by_alias=True, exclude_none=True)
        answer = self._table.update_item(
            Key=key,
            UpdateExpression="SET deliveries = list_append(if_not_exists(deliveries, :none), :one)",
            ExpressionAttributeValues={":none": [], ":one": [entry]},
            ReturnValues="UPDATED_NEW",
        )
        count = len(answer["Attributes"]["deliveries"])
        if count >= 2 * MAX_DELIVERIES:
            oldest = ", ".join(f"deliveries[{index}]" for index in range(count - MAX_DELIVERIES))
            holds(
                self._table.update_item,
                Key=key,
                UpdateExpression=f"REMOVE {oldest}",
                ConditionExpression="size(deliveries) = :count",  # only if no other call has shortened it meanwhile
                ExpressionAttributeValues={":count": count},
            )

    def deliveries(self, owners: Iterable[str]) -> list[Delivery]:
        """The newest MAX_DELIVERIES of the owners' logs, the newest first."""
        found: list[Delivery] = []
        for owner in owners:
            item = self._table.get_item(Key={"owner": _log_key(owner)}, ConsistentRead=True).get("Item") or {}
            found += [Delivery.model_validate_json(entry) for entry in item.get("deliveries", [])]
        return sorted(found, key=lambda delivery: delivery.at, reverse=True)[:MAX_DELIVERIES]


def _log_key(owner: str) -> str:
    """The key of an owner's log. It cannot be an owner's name: neither a token's `sub` nor an address has a space."""
    return f"log {owner}"
