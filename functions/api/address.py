"""The API's own URL, as the caller has it."""

from __future__ import annotations

import re
from collections.abc import Mapping

_PREFIX = re.compile(r"(/[$\w-]+){1,8}", re.ASCII)


def url_of(headers: Mapping[str, str], domain: str) -> str:
    """The URL of the API that a request with these headers was sent to; `domain` where they name no host.

    A proxy that answers for it at another path says so in headers. Any caller can write them as well, and must not make
    another host of it.
    """
    scheme = "http" if headers.get("x-forwarded-proto") == "http" else "https"
    prefix = headers.get("x-forwarded-prefix", "")
    return f"{scheme}://{headers.get('host') or domain}{prefix if _PREFIX.fullmatch(prefix) else ''}"
