"""Check a request's body before Powertools parses it: it must be JSON within the limits of Python's parser. Pure."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from api.models import Problem
from api.problem import plain_problem, problem_of
from contract.codes import ErrorCode
from domain.errors import JobError


def body_problem(event: Mapping[str, Any]) -> Problem | None:
    """Why the body of API Gateway's event is refused; None if it is left to the validation."""
    if event.get("body") and not _is_json(event["headers"].get("content-type", "")):
        return plain_problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body of a request must be JSON (application/json)."
        )
    fault = body_fault(event)
    return None if fault is None else problem_of(JobError.of(ErrorCode.INVALID_REQUEST, fault))


def _is_json(content_type: str) -> bool:
    """Only JSON is accepted: Powertools would also read forms, and fail on malformed ones."""
    return content_type.partition(";")[0].strip().lower() in ("", "application/json")


def body_fault(event: Mapping[str, Any]) -> str | None:
    """What is wrong with the body, other than a syntax error, which the validation reports; None if nothing is."""
    body = event.get("body") or ""
    try:
        json.loads(base64.b64decode(body) if event.get("isBase64Encoded") else body)
    except (json.JSONDecodeError, UnicodeDecodeError, binascii.Error):
        return None
    except RecursionError:
        return "the body is nested too deeply"
    except ValueError:  # raised by int() for a number of more than 4,300 digits
        return "a number in the body has too many digits"
    return None
