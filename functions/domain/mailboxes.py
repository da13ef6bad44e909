"""The addresses that mails go to, including those that unsubscribed and those that bounce."""

from __future__ import annotations

import base64
import binascii
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from domain.dynamo import holds
from domain.job import MAX_ADDRESS


class Closed(StrEnum):
    """Why no more mails go to an address."""

    UNSUBSCRIBED = "UNSUBSCRIBED"
    BOUNCED = "BOUNCED"
    COMPLAINED = "COMPLAINED"
    REFUSED = "REFUSED"  # SES accepts no mail to it


@dataclass(frozen=True)
class Mailbox:
    """Only the mails to the address contain `key`, so that nobody else can close the mailbox."""

    address: str
    key: str
    closed: Closed | None = None

    @property
    def reference(self) -> str:
        """Address and key as one word that fits a URL's path."""
        return f"{base64.urlsafe_b64encode(self.address.encode()).decode().rstrip('=')}.{self.key}"


def mailbox_of(address: str) -> str:
    """The mailbox that an address belongs to: in lower case and without the part after a plus (RFC 5233), so that no
    mail reaches somebody who unsubscribed under another form of the address."""
    local, _, domain = address.lower().rpartition("@")
    return f"{local.partition('+')[0] or local}@{domain}"


class MailboxTable:
    """Partition key `address`, in the form of `mailbox_of`."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def open(self, address: str) -> Mailbox:
        """The mailbox of `address`; its key is generated with the first mail."""
        answer = self._table.update_item(
            Key={"address": mailbox_of(address)},
            UpdateExpression="SET #key = if_not_exists(#key, :key)",
            ExpressionAttributeNames={"#key": "key"},
            ExpressionAttributeValues={":key": secrets.token_urlsafe(16)},
            ReturnValues="ALL_NEW",
        )["Attributes"]
        return Mailbox(answer["address"], answer["key"], Closed(answer["closed"]) if "closed" in answer else None)

    def close(self, address: str, reason: Closed, at: datetime) -> None:
        """Stop mails to `address`. A bounce or a complaint overrides an earlier request."""
        self._table.update_item(
            Key={"address": mailbox_of(address)},
            UpdateExpression="SET closed = :reason, closedAt = :at",
            ExpressionAttributeValues={":reason": reason.value, ":at": at.isoformat()},
        )

    def unsubscribe(self, reference: str, at: datetime) -> bool:
        """Close the mailbox that a mail's `reference` names; False if there is no such mailbox."""
        return self._change(
            reference,
            "SET closed = if_not_exists(closed, :unsubscribed), closedAt = if_not_exists(closedAt, :at)",
            {":unsubscribed": Closed.UNSUBSCRIBED.value, ":at": at.isoformat()},
            "#key = :key",
        )

    def subscribe(self, reference: str) -> bool:
        """Reopen the mailbox if its owner had closed it; False if it does not exist or stays closed."""
        return self._change(
            reference,
            "REMOVE closed, closedAt",
            {":unsubscribed": Closed.UNSUBSCRIBED.value},
            "#key = :key AND (attribute_not_exists(closed) OR closed = :unsubscribed)",
        )

    def _change(self, reference: str, update: str, values: dict[str, str], condition: str) -> bool:
        address, key = _read(reference)
        if not 0 < len(address) <= MAX_ADDRESS:  # DynamoDB rejects longer keys
            return False
        return holds(
            self._table.update_item,
            Key={"address": address},
            UpdateExpression=update,
            ConditionExpression=condition,
            ExpressionAttributeNames={"#key": "key"},
            ExpressionAttributeValues={**values, ":key": key},
        )


def _read(reference: str) -> tuple[str, str]:
    """Address and key; empty strings for a reference that no mail of ours contains."""
    coded, _, key = reference.partition(".")
    try:
        return base64.b64decode(coded + "=" * (-len(coded) % 4), altchars=b"-_", validate=True).decode(), key
    except (binascii.Error, ValueError):
        return "", ""
