"""Add what MiniStack's S3 lacks for versioned objects: events on EventBridge name the version, and a version named in a
GET can be read in ranges.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
"""

from __future__ import annotations

import contextvars
import json
from typing import Any

from ministack.services import eventbridge, s3

_version: contextvars.ContextVar[str | None] = contextvars.ContextVar("version of the object", default=None)

_original_fire = s3._fire_s3_event
_original_dispatch = eventbridge._dispatch_event
_original_get = s3._get_object


def apply() -> None:
    """Patch both from now on."""
    s3._fire_s3_event = _fire
    s3._get_object = _get
    eventbridge._dispatch_event = _dispatch


def _fire(*arguments: Any, version_id: str | None = None, **named: Any) -> None:
    token = _version.set(version_id)
    try:
        _original_fire(*arguments, version_id=version_id, **named)
    finally:
        _version.reset(token)


def _dispatch(event: dict[str, Any], *more: Any, **named: Any) -> Any:
    version = _version.get()
    if version is not None and event.get("Source") == "aws.s3":
        detail = json.loads(event["Detail"])
        detail["object"]["version-id"] = version
        event = {**event, "Detail": json.dumps(detail)}
    return _original_dispatch(event, *more, **named)


def _get(bucket: str, key: str, headers: dict[str, str], query: dict[str, Any] | None = None) -> Any:
    status, answered, body = _original_get(bucket, key, headers, query)
    wanted = headers.get("range", "")
    if status != 200 or not wanted or not (query or {}).get("versionId"):
        return status, answered, body
    found = s3._parse_range(wanted, len(body))
    if found is None:
        return status, answered, body
    first, last = found
    # a checksum is of the whole object
    kept = {name: text for name, text in answered.items() if not name.lower().startswith("x-amz-checksum")}
    kept |= {"Content-Range": f"bytes {first}-{last}/{len(body)}", "Content-Length": str(last - first + 1)}
    return 206, kept, body[first : last + 1]
