"""The caller, as API Gateway's JWT authorizer has verified it before the function runs."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from domain.job import owner_by_email


@dataclass(frozen=True)
class Caller:
    """`subject` is the token's `sub`; `email` its address, where the issuer has verified that."""

    subject: str
    email: str | None = None

    @classmethod
    def of(cls, claims: Mapping[str, Any]) -> Caller:
        """Raises KeyError without `sub`: no authorizer lets such a token through."""
        verified = str(claims.get("email_verified", "")).lower() == "true"  # a word in API Gateway's claims
        email = str(claims.get("email", ""))
        # other letters could become another's address in lower case
        return cls(subject=str(claims["sub"]), email=email if verified and email.isascii() and email else None)

    @property
    def owners(self) -> tuple[str, ...]:
        """Every value of a job's `owner` that means this caller."""
        return (self.subject, *((owner_by_email(self.email),) if self.email else ()))

    @property
    def prefix(self) -> str:
        """Where the caller's uploads lie in the uploads bucket."""
        return f"users/{hashlib.sha256(self.subject.encode()).hexdigest()[:16]}/"


def network_of(address: str) -> str:
    """The network that a caller without a token is counted by: an IPv4 address, also one written as IPv6
    (::ffff:192.0.2.7), or the 64 bits that one connection to the Internet has of IPv6 and can number its own calls
    within."""
    caller = ipaddress.ip_address(address)
    if isinstance(caller, ipaddress.IPv6Address) and caller.ipv4_mapped is not None:
        caller = caller.ipv4_mapped
    return str(ipaddress.ip_network((caller, 32 if caller.version == 4 else 64), strict=False))
