"""Copy objects of any size within S3, once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from domain.layout import split_uri

_GONE = ("404", "NoSuchKey", "NoSuchVersion", "405", "MethodNotAllowed", "412", "PreconditionFailed")
PART_BYTES = 256 * 1024**2  # 50 GB are 187 parts, which S3 copies in parallel
PARTS_AT_ONCE = 20


def managed_copy(s3: Any, source: Mapping[str, str], etag: str, uri: str) -> bool:
    """Copy `source` (a CopySource) to `uri`, unless an object exists there. False if `source` is gone or no longer has
    the ETag `etag`."""
    bucket, key = split_uri(uri)
    if head_object(s3, Bucket=bucket, Key=key) is not None:
        return True
    from boto3.s3.transfer import TransferConfig

    try:
        s3.copy(
            CopySource=dict(source),
            Bucket=bucket,
            Key=key,
            # the source's metadata and tags are not copied; without versions, the ETag identifies the object meant
            ExtraArgs={
                "CopySourceIfMatch": '"' + etag.strip('"') + '"',
                "MetadataDirective": "REPLACE",
                "TaggingDirective": "REPLACE",
            },
            Config=TransferConfig(
                multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=PARTS_AT_ONCE
            ),
        )
    except ClientError as error:
        if error.response["Error"]["Code"] not in _GONE:
            raise
        return False
    return True


def head_object(s3: Any, **which: str) -> dict[str, Any] | None:
    """HeadObject's answer; None if there is no such object."""
    try:
        head: dict[str, Any] = s3.head_object(**which)
    except ClientError as error:
        if error.response["Error"]["Code"] not in _GONE:
            raise
        return None
    return head
