"""The contract of the status events: events/schemas/status-event.schema.json, checked with its date-times."""

from __future__ import annotations

import json
from datetime import datetime
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from tests.support.events import EVENTS

SCHEMA_FILE = EVENTS / "schemas" / "status-event.schema.json"
_formats = FormatChecker(formats=())


@_formats.checks("date-time", raises=ValueError)
def _is_moment(value: object) -> bool:
    """RFC 3339: a date-time without a time zone is not allowed."""
    return not isinstance(value, str) or ("T" in value and datetime.fromisoformat(value).tzinfo is not None)


@cache
def validator() -> Draft202012Validator:
    return Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")), format_checker=_formats)


def faults(event: dict[str, Any]) -> list[str]:
    """What is wrong with an event as a subscriber receives it; an empty list for a valid one."""
    return [f"{fault.json_path}: {fault.message}" for fault in validator().iter_errors(event)]


def entry_faults(entry: dict[str, Any]) -> list[str]:
    """The same for an entry of PutEvents, whose detail is JSON or, in a state machine, a document."""
    detail = entry["Detail"]
    return faults(
        {
            "source": entry["Source"],
            "detail-type": entry["DetailType"],
            "detail": json.loads(detail) if isinstance(detail, str) else detail,
        }
    )
