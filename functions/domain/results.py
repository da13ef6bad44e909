"""Read the results that stages left in S3."""

from __future__ import annotations

import json
from typing import Any, Literal

from botocore.exceptions import ClientError
from pydantic import Field, ValidationError

from contract.codes import ErrorCode
from contract.events import event_metrics
from contract.stages import Stage
from contract.warning_codes import WarningCode
from domain.errors import JobError
from domain.job import Camel, first_job_id
from domain.layout import RESULT, split_uri
from domain.stages import StageOutput, StageRun

# The state machine's data is limited to 256 KiB for the whole job, and Step Functions ends an execution that exceeds it
# without a Catch. All warnings are in result.json, which the report reads.
MAX_WARNINGS = 20
MAX_MESSAGE_CHARACTERS = 300


def read_bytes(s3: Any, uri: str) -> bytes | None:
    """The object at `uri`, or None if there is none."""
    bucket, key = split_uri(uri)
    try:
        body: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
            return None
        raise
    return body


def read_json(s3: Any, uri: str) -> Any:
    """The JSON document at `uri`, or None if there is none."""
    body = read_bytes(s3, uri)
    return None if body is None else json.loads(body)


class StageWarning(Camel):
    """A code of the closed list, the facts, and the names of the photos or points concerned."""

    code: WarningCode
    message: str
    names: list[str] = Field(default_factory=list)


class ResultFile(Camel):
    path: str
    bytes: int
    sha256: str = ""


class StageResult(Camel):
    """The parts of `result.json` (events/schemas/result-<stage>.schema.json) that the control plane reads."""

    version: Literal[1]
    stage: Stage
    job_id: str
    attempt: int
    counts: dict[str, int]
    metrics: dict[str, Any]
    timings: dict[str, float]
    warnings: list[StageWarning]
    files: list[ResultFile]
    resources: dict[str, float] = Field(default_factory=dict)


class DamagedResult(Exception):
    """A result.json is malformed or belongs to another run; carries the coded reason."""

    def __init__(self, facts: str) -> None:
        self.error = JobError.of(ErrorCode.RESULT_DAMAGED, facts)
        super().__init__(self.error.message)


def read_result(s3: Any, uri: str, run: StageRun) -> StageResult | None:
    """The result below `uri`, or None if there is none. Raises DamagedResult unless it is a result of `run`.

    A rerun also reads results of the job's earlier runs, whose job ids differ only in the run number.
    """
    body = read_bytes(s3, f"{uri}/{RESULT}")
    if body is None:
        return None
    try:
        result = StageResult.model_validate_json(body)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()[:3])
        raise DamagedResult(f"{run.stage}: {faults}") from error
    found = (first_job_id(result.job_id), result.stage, result.attempt)
    if found != (first_job_id(run.job_id), run.stage, run.attempt):
        raise DamagedResult(f"{run.stage}: it is the result of {result.job_id}-{result.stage}-{result.attempt}")
    return result


def output_from(result: StageResult, uri: str, seconds: float, cost: dict[str, float]) -> StageOutput:
    """The part of the result below `uri` that the state machine's data contains."""
    return StageOutput(
        stage=result.stage,
        attempt=result.attempt,
        output_uri=uri,
        counts=result.counts,
        metrics=event_metrics(result.counts, result.metrics),
        warnings=[
            {"code": warning.code.value, "message": warning.message[:MAX_MESSAGE_CHARACTERS]}
            for warning in result.warnings[:MAX_WARNINGS]
        ],
        seconds=seconds,
        cost=cost,
    )
