"""Find the API's own URL as the caller sees it."""

from __future__ import annotations

import re
from collections.abc import Mapping

_PREFIX = re.compile(r"(/[$\w-]+){1,8}", re.ASCII)


def url_of(headers: Mapping[str, str], domain: str) -> str:
    """The URL of the API to which a request with these headers was sent; `domain` is used if they contain no host.

    A proxy that serves the API at another path states the path in a header. Any caller can set that header too, so the
    path is checked: it must not turn the URL into one of another host.
    """
    scheme = "http" if headers.get("x-forwarded-proto") == "http" else "https"
    prefix = headers.get("x-forwarded-prefix", "")
    return f"{scheme}://{headers.get('host') or domain}{prefix if _PREFIX.fullmatch(prefix) else ''}"
