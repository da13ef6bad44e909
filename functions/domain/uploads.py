"""The uploaded object as it lies in S3 now."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from domain.job import UploadedObject


def head_of(s3: Any, uploaded: UploadedObject) -> dict[str, Any] | None:
    """HeadObject's answer; None unless the key still holds this very version, which is what the stages will read."""
    try:
        head: dict[str, Any] = s3.head_object(Bucket=uploaded.bucket, Key=uploaded.key)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
            return None
        raise
    same_version = uploaded.version_id in (None, head.get("VersionId"))
    return head if same_version and head["ETag"].strip('"') == uploaded.etag.strip('"') else None
