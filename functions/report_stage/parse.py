"""Which stage run an event is about. The run's state is read from SageMaker, never from an event."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from contract.events import StatusType
from contract.stages import Stage
from domain.stages import StageRun

ENDED = ("Completed", "Failed", "Stopped")


class JobChanged(BaseModel):
    """SageMaker reports that the run's job changed its state; `ended`: to one that it does not leave again."""

    run: StageRun
    ended: bool


class ProgressMade(BaseModel):
    """The run's container reports progress."""

    run: StageRun


def parse(detail_type: str, detail: dict[str, Any]) -> JobChanged | ProgressMade | None:
    """None for SageMaker jobs that are not ours."""
    if detail_type == StatusType.STAGE_PROGRESSED:
        stage, attempt = Stage(detail["stage"]), int(detail["attempt"])
        return ProgressMade(run=StageRun(job_id=detail["jobId"], stage=stage, attempt=attempt))
    run = StageRun.of_event(detail)
    status = detail.get("ProcessingJobStatus") or detail.get("TrainingJobStatus")
    return JobChanged(run=run, ended=status in ENDED) if run else None
