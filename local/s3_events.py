"""What MiniStack's S3 leaves out of the events it hands to EventBridge: which version of the object they are about.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
"""

from __future__ import annotations

import contextvars
import json
from typing import Any

from ministack.services import eventbridge, s3

_version: contextvars.ContextVar[str | None] = contextvars.ContextVar("version of the object", default=None)

_original_fire = s3._fire_s3_event
_original_dispatch = eventbridge._dispatch_event


def apply() -> None:
    """Say the version from now on."""
    s3._fire_s3_event = _fire
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
