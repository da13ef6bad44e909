"""Status events: who publishes them, their types, and the numbers that order the events of a job.

Events arrive in any order and more than once; a consumer keeps the one with the highest sequence. docs/contracts.md has
the table.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from contract.stages import Stage

SOURCE = "spaceport.pipeline"
VERSION = "1"

JOB_SEQUENCE = 0  # Job Started, Job Rejected
# below success: an execution that failed may be redriven and succeed, and nothing turns a success back
FAILED_SEQUENCE = 9_999_998
LAST_SEQUENCE = 9_999_999
_STAGE, _ATTEMPT = 1_000_000, 10_000
MAX_ATTEMPT = 98  # later attempts share its numbers: the stage's last two events stay above them

# EventBridge refuses events of more than 256 KiB, and the state machine's data, with the metrics of all stages, may not
# exceed them either. All metrics are in result.json.
MAX_METRICS_BYTES = 20_000


class StatusType(StrEnum):
    """An event's detail type."""

    JOB_STARTED = "Job Started"
    JOB_REJECTED = "Job Rejected"
    JOB_SUCCEEDED = "Job Succeeded"
    JOB_FAILED = "Job Failed"
    JOB_STOPPED = "Job Stopped"
    STAGE_STARTED = "Stage Started"
    STAGE_PROGRESSED = "Stage Progressed"
    STAGE_SUCCEEDED = "Stage Succeeded"
    STAGE_FAILED = "Stage Failed"


# the final events of a job, and the job's status after each
JOB_STATUS = {
    StatusType.JOB_REJECTED: "REJECTED",
    StatusType.JOB_SUCCEEDED: "SUCCEEDED",
    StatusType.JOB_FAILED: "FAILED",
    StatusType.JOB_STOPPED: "STOPPED",
}


def started_sequence(stage: Stage, attempt: int) -> int:
    """Of Stage Started."""
    return stage.ordinal * _STAGE + min(attempt, MAX_ATTEMPT) * _ATTEMPT


def progress_sequence(stage: Stage, attempt: int, progress: float) -> int:
    """Of Stage Progressed, at `progress` 0..1: in permille after the attempt's start."""
    return started_sequence(stage, attempt) + 1 + round(progress * 1000)


def failed_sequence(stage: Stage) -> int:
    """Of Stage Failed."""
    return stage.ordinal * _STAGE + _STAGE - 2


def succeeded_sequence(stage: Stage) -> int:
    """Of Stage Succeeded."""
    return stage.ordinal * _STAGE + _STAGE - 1


def event_metrics(counts: Mapping[str, int], metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a stage that has ended, as its events carry them: counts, then metrics, in their own order.

    Of those that do not fit into MAX_METRICS_BYTES, the largest are left out.
    """
    figures = {**counts, **metrics}
    sizes = {name: len(json.dumps({name: value}, ensure_ascii=False).encode()) for name, value in figures.items()}
    kept, total = set[str](), 0
    for name in sorted(sizes, key=lambda name: (sizes[name], name)):
        total += sizes[name]
        if total > MAX_METRICS_BYTES:
            break
        kept.add(name)
    return {name: value for name, value in figures.items() if name in kept}
