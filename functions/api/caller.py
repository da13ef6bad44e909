"""Identify the caller by a token that API Gateway's JWT authorizer has verified, and the jobs that are the caller's."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contract.codes import ErrorCode
from domain.errors import RefusedRequest
from domain.job import owner_by_email
from domain.job_item import JobItem
from domain.jobs_table import JobsTable


@dataclass(frozen=True)
class Caller:
    """`subject` is the token's `sub`; `email` is its address, if the issuer has verified it."""

    subject: str
    email: str | None = None

    @classmethod
    def of(cls, claims: Mapping[str, Any]) -> Caller:
        """Read the claims. Raises KeyError without `sub`, but no authorizer accepts such a token."""
        verified = str(claims.get("email_verified", "")).lower() == "true"  # API Gateway passes claims as text
        email = str(claims.get("email", ""))
        # only ASCII: in lower case, other letters could turn into somebody else's address
        return cls(subject=str(claims["sub"]), email=email if verified and email.isascii() and email else None)

    @property
    def owners(self) -> tuple[str, ...]:
        """The values of a job's `owner` that stand for this caller."""
        return (self.subject, *((owner_by_email(self.email),) if self.email else ()))

    @property
    def prefix(self) -> str:
        """The prefix of the caller's uploads in the uploads bucket."""
        return f"users/{hashlib.sha256(self.subject.encode()).hexdigest()[:16]}/"


def owned_job(jobs: JobsTable, job_id: str, caller: Caller) -> JobItem:
    """The item of a job of the caller's. Raises RefusedRequest(NO_SUCH_JOB) for somebody else's job as for a job that
    does not exist.
    """
    item = jobs.find(job_id)
    if item is None or item.owner not in caller.owners:
        raise RefusedRequest(ErrorCode.NO_SUCH_JOB, job_id)
    return item


def network_of(address: str) -> str:
    """The network under which calls without a token are counted: an IPv4 address, even if it is written as IPv6
    (::ffff:192.0.2.7), or the first 64 bits of an IPv6 address, because one Internet connection usually has a whole
    /64 and could call from any address in it."""
    caller = ipaddress.ip_address(address)
    if isinstance(caller, ipaddress.IPv6Address) and caller.ipv4_mapped is not None:
        caller = caller.ipv4_mapped
    return str(ipaddress.ip_network((caller, 32 if caller.version == 4 else 64), strict=False))
