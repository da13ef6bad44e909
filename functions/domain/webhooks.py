"""Where a customer wants to be called, and how a call is signed: as Standard Webhooks has it, so that its libraries
verify ours (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

SECRET_PREFIX = "whsec_"
_SECRET_BYTES = 32


class Targets(StrEnum):
    """Which hosts may be called: the internet over TLS, or (on a local cloud) anything."""

    PUBLIC = "public"
    ANY = "any"

    @property
    def schemes(self) -> tuple[str, ...]:
        return ("https",) if self is Targets.PUBLIC else ("https", "http")


@dataclass(frozen=True)
class Webhook:
    url: str
    secret: str


def fault_of(url: str, targets: Targets) -> str | None:
    """Why `url` may not be called, as far as the URL itself shows; None where it may."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "url: not a URL"
    if parts.scheme not in targets.schemes:
        return f"url: must begin with {' or '.join(f'{scheme}://' for scheme in targets.schemes)}"
    if not host:
        return "url: names no host"
    if parts.username is not None or parts.fragment:
        return "url: takes no user and no fragment"
    return None


def new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """HMAC-SHA256 of id, time and body; `timestamp` in seconds since 1970."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"


class WebhookTable:
    """Partition key `owner`, as jobs have it: a token's `sub`, or `mailto:` and an address."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def save(self, owners: Iterable[str], webhook: Webhook) -> None:
        for owner in owners:
            self._table.put_item(Item={"owner": owner, "url": webhook.url, "secret": webhook.secret})

    def find(self, owner: str) -> Webhook | None:
        item = self._table.get_item(Key={"owner": owner}, ConsistentRead=True).get("Item")
        return Webhook(item["url"], item["secret"]) if item else None

    def remove(self, owners: Iterable[str]) -> None:
        for owner in owners:
            self._table.delete_item(Key={"owner": owner})
