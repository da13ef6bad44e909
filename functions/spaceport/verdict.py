"""What became of a stage run, decided from what SageMaker itself says of the job. Pure."""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel

from spaceport.errors import ErrorCode, JobError
from spaceport.stages import StageRun


class Fate(StrEnum):
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    MISSING = "MISSING"


class Verdict(BaseModel):
    """`error` is set when fate is FAILED; `seconds` is billed compute so far."""

    fate: Fate
    error: JobError | None = None
    seconds: float = 0.0


# SageMaker's own words for trouble that is not the container's
_PLATFORM_FAULTS = (
    (re.compile(r"CapacityError|Insufficient ?Capacity|capacity", re.I), ErrorCode.CAPACITY),
    (re.compile(r"ResourceLimitExceeded|Throttling|Rate exceeded", re.I), ErrorCode.THROTTLED),
    (re.compile(r"Spot|MaxWaitTimeExceeded|interrupt", re.I), ErrorCode.INTERRUPTED),
    (re.compile(r"MaxRuntimeExceeded", re.I), ErrorCode.STAGE_TIMEOUT),
    (re.compile(r"out of memory|OutOfMemory|exit code:? 137", re.I), ErrorCode.OUT_OF_MEMORY),
    (re.compile(r"No space left|DiskFull", re.I), ErrorCode.DISK_FULL),
)


def judge(run: StageRun, described: dict[str, Any] | None) -> Verdict:
    """`described` is DescribeProcessingJob's or DescribeTrainingJob's answer, None where there is no such job."""
    if described is None:
        return Verdict(fate=Fate.MISSING)
    status = described[f"{run.stage.kind}JobStatus"]
    seconds = _billed_seconds(run, described)
    if status in ("InProgress", "Stopping"):
        return Verdict(fate=Fate.RUNNING, seconds=seconds)
    if status == "Completed":
        return Verdict(fate=Fate.COMPLETED, seconds=seconds)
    return Verdict(fate=Fate.FAILED, error=_error_of(status, described), seconds=seconds)


def _error_of(status: str, described: dict[str, Any]) -> JobError:
    secondary = described.get("SecondaryStatus", "")
    reason = described.get("FailureReason", "")
    # the container's own words come first: `CODE: facts` in output/message (processing) or output/failure (training)
    for text in (described.get("ExitMessage", ""), reason):
        named = re.search(r"\b([A-Z][A-Z_0-9]+): (.*)", text, re.S)
        if named and named[1] in ErrorCode.__members__:
            facts = re.sub(r",? ?exit code:? \d+$", "", named[2].strip())
            return JobError.of(ErrorCode(named[1]), "" if named[1] == ErrorCode.INTERNAL else facts)
    for pattern, code in _PLATFORM_FAULTS:
        if pattern.search(f"{secondary} {reason}"):
            return JobError.of(code)
    return JobError.of(ErrorCode.INTERRUPTED if status == "Stopped" else ErrorCode.INTERNAL)


def _billed_seconds(run: StageRun, described: dict[str, Any]) -> float:
    if "BillableTimeInSeconds" in described:
        return float(described["BillableTimeInSeconds"])
    start = described.get(f"{run.stage.kind}StartTime")
    end = described.get(f"{run.stage.kind}EndTime")
    if isinstance(start, datetime) and isinstance(end, datetime):
        return (end - start).total_seconds()
    return 0.0
