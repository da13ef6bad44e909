"""The uploaded object as it lies in S3 now."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from contract.codes import ErrorCode
from domain.errors import RejectedUpload
from domain.job import UploadedObject

# S3 answers HEAD without a body, so botocore has the status alone; 400: the object is under the customer's key (SSE-C).
# The functions may list the buckets they read, so 403 is not the answer for an object that is gone.
_REFUSED_HEAD = ("400", "403")
_REFUSED_GET = ("AccessDenied", "InvalidObjectState", "InvalidRequest")
_KMS_PASSING = ("KMS.InternalException", "KMS.ThrottlingException", "KMS.DependencyTimeoutException")


class UnreadableUpload(RejectedUpload):
    """S3 refuses to let us read the object, and will again: rights, an archived object, a key that is not ours."""

    def __init__(self, reason: str) -> None:
        super().__init__(ErrorCode.UNREADABLE, reason)


def refused(error: ClientError) -> UnreadableUpload | None:
    """The rejection that a refusal of S3 stands for; None for a fault that another try may not meet."""
    code = error.response["Error"]["Code"]
    lasting = code in _REFUSED_HEAD or code in _REFUSED_GET or (code.startswith("KMS.") and code not in _KMS_PASSING)
    return UnreadableUpload(code) if lasting else None


def head_of(s3: Any, uploaded: UploadedObject) -> dict[str, Any] | None:
    """HeadObject's answer; None unless the key still holds this very version, which is what the stages will read."""
    try:
        head: dict[str, Any] = s3.head_object(Bucket=uploaded.bucket, Key=uploaded.key)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
            return None
        raise refused(error) or error from error
    same_version = uploaded.version_id in (None, head.get("VersionId"))
    return head if same_version and head["ETag"].strip('"') == uploaded.etag.strip('"') else None
