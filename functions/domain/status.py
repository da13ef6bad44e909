"""Status events, which the pipeline publishes on its bus. events/schemas/status-event.schema.json is their contract."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from contract.blocks import BlockName
from contract.events import (
    FAILED_SEQUENCE,
    JOB_SEQUENCE,
    SOURCE,
    StatusType,
    progress_sequence,
    started_sequence,
)
from contract.stages import Stage
from domain.errors import JobError
from domain.job import Camel
from domain.stages import StageRun


class StatusDetail(Camel):
    """The `detail` of a status event. `progress` is 0..1: the stage's in Stage events, the job's in Job events; with
    `block` it is that block's."""

    version: Literal["1"] = "1"
    job_id: str
    stage: Stage | None = None
    attempt: int | None = None
    block: BlockName | None = None
    sequence: int
    at: datetime
    progress: float = Field(ge=0, le=1)
    message: str
    metrics: dict[str, Any] = Field(default_factory=dict)
    error: JobError | None = None
    outputs: dict[str, str] = Field(default_factory=dict)
    cost: dict[str, Any] | None = None

    @property
    def at_work(self) -> bool:
        """Whether the run has begun its work: at 0 it waits for a machine."""
        return self.progress > 0


class StatusEvent(Camel):
    type: StatusType
    detail: StatusDetail


def stage_started(run: StageRun, at: datetime, metrics: dict[str, Any] | None = None) -> StatusEvent:
    """`metrics`: for a block, its share of the stage and the number of blocks (domain/block_progress.py)."""
    detail = StatusDetail(
        job_id=run.job_id,
        stage=run.stage,
        attempt=run.attempt,
        block=run.block,
        sequence=started_sequence(run.stage, run.attempt),
        at=at,
        progress=0,
        metrics=metrics or {},
        message="waiting for a machine" if run.attempt == 1 else f"waiting for a machine, attempt {run.attempt}",
    )
    return StatusEvent(type=StatusType.STAGE_STARTED, detail=detail)


def stage_queued(run: StageRun, at: datetime) -> StatusEvent:
    """SageMaker has no machine for the run at the moment."""
    return _stage_progressed(run, 0, "waiting for capacity", at)


def stage_begun(run: StageRun, at: datetime) -> StatusEvent:
    """A run that waited for capacity has got its machine."""
    return _stage_progressed(run, 0.001, "a machine was found", at)


def stage_taken_over(run: StageRun, at: datetime) -> StatusEvent:
    """A rerun reuses a stage that an earlier run of the job has finished."""
    return _stage_progressed(run, 1, "finished by an earlier run", at)


def _stage_progressed(run: StageRun, progress: float, message: str, at: datetime) -> StatusEvent:
    detail = StatusDetail(
        job_id=run.job_id,
        stage=run.stage,
        attempt=run.attempt,
        block=run.block,
        sequence=progress_sequence(run.stage, run.attempt, progress),
        at=at,
        progress=progress,
        message=message,
    )
    return StatusEvent(type=StatusType.STAGE_PROGRESSED, detail=detail)


def job_rejected(job_id: str, error: JobError, at: datetime) -> StatusEvent:
    detail = StatusDetail(job_id=job_id, sequence=JOB_SEQUENCE, at=at, progress=0, message=error.message, error=error)
    return StatusEvent(type=StatusType.JOB_REJECTED, detail=detail)


def job_ended(type_: StatusType, job_id: str, error: JobError, at: datetime) -> StatusEvent:
    """The final event of a job whose state machine could not publish it: stopped, or timed out."""
    detail = StatusDetail(
        job_id=job_id, sequence=FAILED_SEQUENCE, at=at, progress=1, message=error.message, error=error
    )
    return StatusEvent(type=type_, detail=detail)


class StatusBus:
    """Puts status events; `events` is a boto3 EventBridge client."""

    def __init__(self, events: Any, bus_name: str) -> None:
        self._events, self._bus_name = events, bus_name

    def put(self, event: StatusEvent) -> None:
        """Publish the event. Raises RuntimeError if EventBridge does not accept it."""
        detail = event.detail.model_dump(by_alias=True, mode="json", exclude_none=True)
        answer = self._events.put_events(
            Entries=[
                {
                    "Source": SOURCE,
                    "DetailType": event.type.value,
                    "EventBusName": self._bus_name,
                    "Detail": json.dumps(detail),
                }
            ]
        )
        if answer.get("FailedEntryCount"):
            raise RuntimeError(f"status event not taken: {answer['Entries']}")
