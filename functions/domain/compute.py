"""SageMaker, as far as the pipeline needs it: create, describe and stop the job of a stage run."""

from __future__ import annotations

import re
from typing import Any

from botocore.exceptions import ClientError

from contract.codes import ErrorCode
from domain.errors import JobError
from domain.stages import StageRun

# error codes of Create… after which a later attempt may succeed
_RETRY_LATER = {
    "ResourceLimitExceeded": ErrorCode.CAPACITY,
    "ThrottlingException": ErrorCode.THROTTLED,
    "Throttling": ErrorCode.THROTTLED,
    "TooManyRequestsException": ErrorCode.THROTTLED,
}


class CannotStart(Exception):
    """SageMaker refused the job for a quota, or because of throttling."""

    def __init__(self, error: JobError) -> None:
        self.error = error
        super().__init__(error.code)


class Compute:
    """`sagemaker` is a boto3 client. Every call is safe to repeat."""

    def __init__(self, sagemaker: Any) -> None:
        self._sagemaker = sagemaker

    def create(self, run: StageRun, request: dict[str, Any]) -> None:
        """Start the job; a job that already exists counts as success. Raises CannotStart for throttling and for quotas
        (NO_QUOTA if the quota is 0, because waiting would not help)."""
        create = getattr(self._sagemaker, f"create_{run.stage.kind.lower()}_job")
        try:
            create(**request)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "ResourceInUse":
                return
            unavailable = _quota_of_zero(error)
            if unavailable is not None:
                raise CannotStart(JobError.of(ErrorCode.NO_QUOTA, unavailable)) from error
            if code in _RETRY_LATER:
                raise CannotStart(JobError.of(_RETRY_LATER[code])) from error
            raise

    def describe(self, run: StageRun) -> dict[str, Any] | None:
        """SageMaker's description of the job, or None when it was never created."""
        describe = getattr(self._sagemaker, f"describe_{run.stage.kind.lower()}_job")
        try:
            answer: dict[str, Any] = describe(**{f"{run.stage.kind}JobName": run.job_name})
        except ClientError as error:
            if _not_found(error):
                return None
            raise
        return answer

    def stop(self, run: StageRun) -> None:
        """Request the job to stop. A job that has ended, or never existed, counts as stopped."""
        stop = getattr(self._sagemaker, f"stop_{run.stage.kind.lower()}_job")
        try:
            stop(**{f"{run.stage.kind}JobName": run.job_name})
        except ClientError as error:
            if not _not_found(error) and error.response["Error"]["Code"] != "ValidationException":
                raise


def _quota_of_zero(error: ClientError) -> str | None:
    """The quota's name where SageMaker refused the job because that quota is 0, as it is in a new account: "The
    account-level service limit 'ml.g5.xlarge for training job usage' is 0 Instances, with current utilization of …"."""
    if error.response["Error"]["Code"] != "ResourceLimitExceeded":
        return None
    found = re.search(r"limit '([^']+)' is 0 (?:Instances|GBs)\b", error.response["Error"].get("Message", ""))
    return found[1] if found else None


def _not_found(error: ClientError) -> bool:
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "").lower()
    return code in ("ResourceNotFound", "ResourceNotFoundException") or (
        code == "ValidationException" and ("not find" in message or "not found" in message)
    )
