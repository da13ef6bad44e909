"""Find the stage run that an event is about. The run's state is read from SageMaker, never from an event."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from contract.events import StatusType
from domain.stages import StageRun

_RUN = ("jobId", "stage", "attempt", "block")  # the fields of a progress event that identify its run
ENDED = ("Completed", "Failed", "Stopped")


class JobChanged(BaseModel):
    """SageMaker reports that the run's job changed its state; `ended`: the new state is final."""

    run: StageRun
    ended: bool


class ProgressMade(BaseModel):
    """The run's container reports progress."""

    run: StageRun


def parse(detail_type: str, detail: dict[str, Any]) -> JobChanged | ProgressMade | None:
    """None for SageMaker jobs that are not ours."""
    if detail_type == StatusType.STAGE_PROGRESSED:
        return ProgressMade(run=StageRun.model_validate({name: detail.get(name) for name in _RUN}))
    run = StageRun.of_event(detail)
    status = detail.get("ProcessingJobStatus") or detail.get("TrainingJobStatus")
    return JobChanged(run=run, ended=status in ENDED) if run else None
