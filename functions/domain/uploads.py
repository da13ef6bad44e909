"""The version of an object that was uploaded: it becomes the job, whatever is stored at its key later."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from contract.codes import ErrorCode
from domain.copying import head_object, managed_copy
from domain.errors import RejectedUpload
from domain.job import UploadedObject

# S3 answers HEAD without a body, so botocore has only the status; 400: encrypted with the customer's key (SSE-C).
# The functions may list the buckets they read, so 403 is not the answer for an object that is gone.
_REFUSED_HEAD = ("400", "403")
_REFUSED_GET = ("AccessDenied", "InvalidObjectState", "InvalidRequest")
_KMS_PASSING = ("KMS.InternalException", "KMS.ThrottlingException", "KMS.DependencyTimeoutException")


class UnreadableUpload(RejectedUpload):
    """S3 permanently refuses to let us read the object: permissions, an archived object, or a key that is not ours."""

    def __init__(self, reason: str) -> None:
        super().__init__(ErrorCode.UNREADABLE, reason)


def refused(error: ClientError) -> UnreadableUpload | None:
    """The rejection that follows from a refusal by S3; None for a fault that may not occur again."""
    code = error.response["Error"]["Code"]
    lasting = code in _REFUSED_HEAD or code in _REFUSED_GET or (code.startswith("KMS.") and code not in _KMS_PASSING)
    return UnreadableUpload(code) if lasting else None


def head_of(s3: Any, uploaded: UploadedObject) -> dict[str, Any] | None:
    """HeadObject's answer for exactly this version; None if it is gone, or its key was deleted.

    A bucket without versions has only its newest object.
    """
    head = _head(s3, uploaded, None)
    if head is not None and uploaded.version_id not in (None, head.get("VersionId")):
        head = _head(s3, uploaded, uploaded.version_id)
    return head if head is not None and head["ETag"].strip('"') == uploaded.etag.strip('"') else None


def newest_at(s3: Any, bucket: str, key: str) -> UploadedObject | None:
    """The version at `key` now; None if there is none, or if S3 does not let us see it."""
    try:
        head = head_object(s3, Bucket=bucket, Key=key)
    except ClientError as error:
        if refused(error) is None:
            raise
        return None
    if head is None:
        return None
    return UploadedObject(bucket=bucket, key=key, version_id=head.get("VersionId"), etag=head["ETag"].strip('"'))


def copy_of(s3: Any, uploaded: UploadedObject, uri: str) -> bool:
    """Copy this version to `uri` within S3, once; False if it is gone.

    SageMaker reads keys, not versions, and does so minutes or days after the job began.
    """
    version = {"VersionId": uploaded.version_id} if uploaded.version_id else {}
    return managed_copy(s3, {"Bucket": uploaded.bucket, "Key": uploaded.key, **version}, uploaded.etag, uri)


def _head(s3: Any, uploaded: UploadedObject, version_id: str | None) -> dict[str, Any] | None:
    version = {"VersionId": version_id} if version_id else {}
    try:
        return head_object(s3, Bucket=uploaded.bucket, Key=uploaded.key, **version)
    except ClientError as error:
        raise refused(error) or error from error
