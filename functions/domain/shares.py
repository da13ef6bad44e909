"""Links to one scene that its owner creates, names, limits and withdraws. A person with such a link needs no account.

A link's token is `<jobId>.<secret>`. The job's item keeps only the secret's hash.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime

from domain.job import Camel

MAX_SHARES = 50  # of a job
_SECRET_BYTES = 24


class Share(Camel):
    """`expires_at`: None for a link that lasts until it is withdrawn."""

    label: str
    secret_hash: str
    created_at: datetime
    expires_at: datetime | None = None

    def is_open(self, now: datetime) -> bool:
        return self.expires_at is None or now < self.expires_at


def new_secret() -> str:
    return secrets.token_urlsafe(_SECRET_BYTES)


def hash_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def opened_by(secret: str, shares: Mapping[str, Share], now: datetime) -> Share | None:
    """The share that the secret opens now. The comparison's duration reveals nothing about the others."""
    given = hash_of(secret)
    found = [share for share in shares.values() if hmac.compare_digest(share.secret_hash, given)]
    return next((share for share in found if share.is_open(now)), None)
