"""Conditional writes to DynamoDB."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError


def answer_if_holds(write: Callable[..., Any], **arguments: Any) -> dict[str, Any] | None:
    """Write if the condition in `arguments` holds. Returns DynamoDB's answer, or None if the condition does not hold.
    Raises ClientError for other faults."""
    try:
        answer: dict[str, Any] = write(**arguments) or {}
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        return None
    return answer


def holds(write: Callable[..., Any], **arguments: Any) -> bool:
    """Like `answer_if_holds`, but return only whether the condition held."""
    return answer_if_holds(write, **arguments) is not None
