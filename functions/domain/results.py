"""Read what stages left in S3."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from domain.stages import StageOutput, StageRun

# the state machine's data holds 256 KiB for all stages; the whole lists stay in result.json
MAX_WARNINGS = 20
MAX_LIST = 50


def split_uri(uri: str) -> tuple[str, str]:
    """`s3://bucket/some/key` → (bucket, key)."""
    parts = urlsplit(uri, allow_fragments=False)
    return parts.netloc, uri.removeprefix(f"s3://{parts.netloc}/")


def read_bytes(s3: Any, uri: str) -> bytes | None:
    """The object at `uri`, or None where there is none."""
    bucket, key = split_uri(uri)
    try:
        body: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
            return None
        raise
    return body


def read_json(s3: Any, uri: str) -> Any:
    """The JSON at `uri`, or None where there is none."""
    body = read_bytes(s3, uri)
    return None if body is None else json.loads(body)


def write_text(s3: Any, uri: str, text: str) -> None:
    bucket, key = split_uri(uri)
    s3.put_object(Bucket=bucket, Key=key, Body=text.encode())


def output_from(result: dict[str, Any], run: StageRun, uri: str, seconds: float, cost: dict[str, float]) -> StageOutput:
    """What the state machine carries on of a `result.json` that lies below `uri`."""
    return StageOutput(
        stage=run.stage,
        attempt=run.attempt,
        output_uri=uri,
        counts=result["counts"],
        metrics={n: v for n, v in result["metrics"].items() if not (isinstance(v, list) and len(v) > MAX_LIST)},
        warnings=result["warnings"][:MAX_WARNINGS],
        seconds=seconds,
        cost=cost,
    )
