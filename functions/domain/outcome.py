"""The outcome of a stage run, decided from SageMaker's description of its job. Pure."""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from itertools import takewhile
from typing import Any

from pydantic import BaseModel

from contract.codes import ErrorCode
from domain.errors import JobError
from domain.stages import StageRun

MAX_REASON = 2000  # characters


class RunStatus(StrEnum):
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    MISSING = "MISSING"


class RunOutcome(BaseModel):
    """`error` is set when the outcome is FAILED; `seconds` is billed compute so far, on an `instance_type`."""

    status: RunStatus
    error: JobError | None = None
    seconds: float = 0.0
    instance_type: str = ""
    waiting_since: datetime | None = None
    """Since when the run has been waiting for a machine, its first or one that replaces an interrupted one; it makes no
    progress meanwhile."""
    reason: str = ""
    """The reasons that SageMaker and the container give for a failure, for operators: customers read `error`."""

    @property
    def ended(self) -> bool:
        return self.status in (RunStatus.COMPLETED, RunStatus.FAILED)


# the reason that a container leaves: `CODE: facts`
_NAMED = re.compile(rf"\b({'|'.join(ErrorCode)}): (.*)", re.S)
# SageMaker's secondary status of a training job that ended
_SECONDARY = {
    "Interrupted": ErrorCode.INTERRUPTED,
    "MaxWaitTimeExceeded": ErrorCode.CAPACITY,
    "MaxRuntimeExceeded": ErrorCode.STAGE_TIMEOUT,
}
# a training job without a machine, either not yet or no longer; after Interrupted it starts again on Spot capacity
WAITING = frozenset({"Starting", "Pending", "LaunchingMLInstances", "PreparingTrainingStack", "Interrupted"})
_STOPS = ("Stopping", "Stopped")
# messages of the kernel, the runtime or a library instead of the container's own: the only ones read in AlgorithmError
_CONTAINER_FAULTS = (
    (re.compile(r"out of memory|OutOfMemory|exit code:? 137", re.I), ErrorCode.OUT_OF_MEMORY),
    (re.compile(r"No space left|DiskFull", re.I), ErrorCode.DISK_FULL),
    (re.compile(r"uncorrectable ECC error", re.I), ErrorCode.PLATFORM_FAULT),
)
# SageMaker's own words for faults that are not the container's
_PLATFORM_FAULTS = (
    (re.compile(r"\bCapacityError\b|Insufficient ?(Instance ?)?Capacity", re.I), ErrorCode.CAPACITY),
    (re.compile(r"ResourceLimitExceeded|Throttling|Rate exceeded", re.I), ErrorCode.THROTTLED),
    (re.compile(r"instance type with more memory|larger instance", re.I), ErrorCode.OUT_OF_MEMORY),
    (re.compile(r"Insufficient disk space", re.I), ErrorCode.DISK_FULL),
    *_CONTAINER_FAULTS,
    (re.compile(r"\bSpot\b.*(taken|interrupt|reclaim|terminat)|\binterrupted\b", re.I), ErrorCode.INTERRUPTED),
    (re.compile(r"MaxRuntimeExceeded|max(imum)? ?runtime", re.I), ErrorCode.STAGE_TIMEOUT),
    (
        re.compile(
            r"InternalServerError|Internal ?Failure|internal error|Service ?Unavailable|SlowDown|\b50[0-4]\b"
            r"|CannotStartContainerError|(Artifact|Data|Model) upload failed",
            re.I,
        ),
        ErrorCode.PLATFORM_FAULT,
    ),
)


def outcome_of(run: StageRun, described: dict[str, Any] | None) -> RunOutcome:
    """The outcome of `run`; `described`: the answer of DescribeProcessingJob or DescribeTrainingJob, None if there is
    no such job."""
    if described is None:
        return RunOutcome(status=RunStatus.MISSING)
    status = described[f"{run.stage.kind}JobStatus"]
    reason = {"reason": _reason(described)} if status in ("Failed", "Stopped") else {}
    bill = reason | {"seconds": _billed_seconds(run, described), "instance_type": _instance_type(described)}
    if status in ("InProgress", "Stopping"):
        return RunOutcome(status=RunStatus.RUNNING, waiting_since=_waiting_since(run, described), **bill)
    if status == "Completed":
        return RunOutcome(status=RunStatus.COMPLETED, **bill)
    if status == "Stopped" and _overran(run, described):
        # checked first: the container reports the SIGTERM as an interruption, which would be retried
        short = _max_runtime(run, described) < run.stage.spec.max_runtime
        code = ErrorCode.BUDGET_SPENT if short else ErrorCode.STAGE_TIMEOUT
        return RunOutcome(status=RunStatus.FAILED, error=JobError.of(code), **bill)
    return RunOutcome(status=RunStatus.FAILED, error=_error_of(run, status, described), **bill)


def _waiting_since(run: StageRun, described: dict[str, Any]) -> datetime | None:
    """Since when the job has been waiting for its machine, or had been when it was stopped. A processing job has a
    machine from its start time on; a training job records each change of status."""
    created: datetime | None = described.get("CreationTime")
    if run.stage.kind == "Processing":
        return None if "ProcessingStartTime" in described else created
    moves = [one for one in described.get("SecondaryStatusTransitions", []) if one["Status"] not in _STOPS]
    if (moves[-1]["Status"] if moves else described.get("SecondaryStatus")) not in WAITING:
        return None
    waited = list(takewhile(lambda one: one["Status"] in WAITING, reversed(moves)))
    return waited[-1]["StartTime"] if waited else created


def _overran(run: StageRun, described: dict[str, Any]) -> bool:
    """A training job reports it; for a stopped processing job it follows from the run time."""
    if "SecondaryStatus" in described:
        return bool(described["SecondaryStatus"] == "MaxRuntimeExceeded")
    return _wall_seconds(run, described) >= _max_runtime(run, described)


def _max_runtime(run: StageRun, described: dict[str, Any]) -> int:
    """The run's time limit, which is below the stage's limit if the job's budget paid for less."""
    given: int = described.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", run.stage.spec.max_runtime)
    return given


def _instance_type(described: dict[str, Any]) -> str:
    cluster = described.get("ResourceConfig") or described.get("ProcessingResources", {}).get("ClusterConfig", {})
    return str(cluster.get("InstanceType", ""))


def _error_of(run: StageRun, status: str, described: dict[str, Any]) -> JobError:
    secondary = described.get("SecondaryStatus", "")
    reason = described.get("FailureReason", "")
    # the container's own reason comes first: `CODE: facts` in output/message (processing) or output/failure (training)
    for text in (described.get("ExitMessage", ""), reason):
        named = _NAMED.search(text)
        if named:
            facts = re.sub(r",? ?exit code:? \d+$", "", named[2].strip())
            return JobError.of(ErrorCode(named[1]), "" if named[1] == ErrorCode.INTERNAL else facts)
    if secondary in _SECONDARY:
        return JobError.of(_SECONDARY[secondary])
    for pattern, code in _CONTAINER_FAULTS if reason.startswith("AlgorithmError") else _PLATFORM_FAULTS:
        if pattern.search(reason):
            return JobError.of(code)
    if status == "Stopped":
        return JobError.of(ErrorCode.CAPACITY if _waiting_since(run, described) else ErrorCode.INTERRUPTED)
    return JobError.of(ErrorCode.INTERNAL)


def _reason(described: dict[str, Any]) -> str:
    names = ("FailureReason", "ExitMessage", "SecondaryStatus")
    return "; ".join(f"{name}: {described[name]}" for name in names if described.get(name))[:MAX_REASON]


def _billed_seconds(run: StageRun, described: dict[str, Any]) -> float:
    if "BillableTimeInSeconds" in described:
        return float(described["BillableTimeInSeconds"])
    return _wall_seconds(run, described)


def _wall_seconds(run: StageRun, described: dict[str, Any]) -> float:
    start = described.get(f"{run.stage.kind}StartTime")
    end = described.get(f"{run.stage.kind}EndTime")
    if isinstance(start, datetime) and isinstance(end, datetime):
        return (end - start).total_seconds()
    return 0.0
