"""Conditional writes to DynamoDB."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError


def holds(write: Callable[..., Any], **arguments: Any) -> bool:
    """Write if the condition in `arguments` holds; returns whether it did. Raises ClientError for other faults."""
    try:
        write(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        return False
    return True
