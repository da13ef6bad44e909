"""Parse the forms in which an object's address in S3 can be written. Pure.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from contract.codes import ErrorCode
from domain.errors import RefusedRequest

_BUCKET = r"(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])"
_SERVICE = r"s3(?:[.-](?:dualstack\.)?[a-z]{2}(?:-[a-z]+)+-\d)?\.amazonaws\.com(?:\.cn)?"
_VIRTUAL_HOST = re.compile(rf"{_BUCKET}\.{_SERVICE}")
_PATH_HOST = re.compile(_SERVICE)


@dataclass(frozen=True)
class ObjectAddress:
    bucket: str
    key: str
    version_id: str | None = None


def parse_s3_url(url: str) -> ObjectAddress:
    """Parse `s3://bucket/key`, or an https URL with the bucket in the host or in the path, regional or not.

    Raises RefusedRequest(INVALID_REQUEST) for anything else.
    """
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        raise _refused(url) from None
    version = parse_qs(parts.query).get("versionId", [None])[0]
    path = parts.path.removeprefix("/")
    if parts.scheme == "s3":
        # an s3:// address is not percent-encoded: what looks like a query or a fragment belongs to the key
        bucket, _, key = url.strip().removeprefix("s3://").partition("/")
        found = ObjectAddress(bucket, key)
    elif parts.scheme != "https":
        raise _refused(url)
    elif _PATH_HOST.fullmatch(parts.netloc):
        bucket, _, key = path.partition("/")
        found = ObjectAddress(bucket, unquote(key), version)
    elif virtual := _VIRTUAL_HOST.fullmatch(parts.netloc):
        found = ObjectAddress(virtual["bucket"], unquote(path), version)
    else:
        raise _refused(url)
    if not re.fullmatch(_BUCKET, found.bucket) or not found.key:
        raise _refused(url)
    return found


def _refused(url: str) -> RefusedRequest:
    return RefusedRequest(ErrorCode.INVALID_REQUEST, f"s3Url: {url[:200]!r} is not the address of an object in S3")
