"""Read what stages left in S3."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError


def split_uri(uri: str) -> tuple[str, str]:
    """`s3://bucket/some/key` → (bucket, key)."""
    parts = urlsplit(uri, allow_fragments=False)
    return parts.netloc, uri.removeprefix(f"s3://{parts.netloc}/")


def read_json(s3: Any, uri: str) -> dict[str, Any] | None:
    """The JSON object at `uri`, or None where there is none."""
    bucket, key = split_uri(uri)
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
            return None
        raise
    value: dict[str, Any] = json.loads(body)
    return value
