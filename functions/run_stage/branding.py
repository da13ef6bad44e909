"""Copy the company's logo into a job's folder, where the run that writes the quality report reads it.

A run may wait for its machine for hours, and SageMaker fails a job whose input is gone by then. The run therefore reads
a copy, which always exists: an empty copy stands for a logo that cannot be read, and the container reports that.
"""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from contract.branding import LOGO, MAX_LOGO_BYTES
from contract.stages import Stage
from domain.job import Job
from domain.layout import branding_folder, split_uri
from domain.observability import logger
from domain.sagemaker_requests import Platform, survey_source
from domain.stages import StageOutput, StageRun

_UNREADABLE = ("NoSuchKey", "AccessDenied", "InvalidRange")  # InvalidRange: the object is empty


def copy_logo(s3: Any, platform: Platform, run: StageRun, job: Job, finished: dict[Stage, StageOutput]) -> None:
    """Safe to repeat. Raises ClientError for faults of S3."""
    if not platform.company.logo or survey_source(run, job, finished) is None:
        return
    bucket, key = split_uri(f"{branding_folder(job.job_id, platform.results_bucket)}/{LOGO}")
    s3.put_object(Bucket=bucket, Key=key, Body=_beginning(s3, platform.results_bucket, platform.company.logo))


def _beginning(s3: Any, bucket: str, key: str) -> bytes:
    """The object's content, at most one byte more than is allowed, so that the container recognises one too large."""
    try:
        content: bytes = s3.get_object(Bucket=bucket, Key=key, Range=f"bytes=0-{MAX_LOGO_BYTES}")["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] not in _UNREADABLE:
            raise
        logger.warning("the company's logo cannot be read", key=key, refusal=str(error))
        return b""
    return content
