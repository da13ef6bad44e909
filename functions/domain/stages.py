"""Stage runs: one attempt at a stage, its retry state and its output. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from contract.blocks import MAX_BLOCKS
from contract.codes import ErrorCode
from contract.stages import JobName, Stage
from domain.job import Camel

# a part of a large flight: a block by its number, or the coarse model; bounded, as events and names come from outside
FlightPart = Annotated[int, Field(ge=1, le=MAX_BLOCKS)] | Literal["coarse"]


class StageRun(Camel):
    """One attempt at a stage of a job, which is one SageMaker job. `block`: the part of a large flight that it trains;
    None for all of it."""

    job_id: str
    stage: Stage
    attempt: int
    block: FlightPart | None = None

    @property
    def job_name(self) -> str:
        """SageMaker's job name. Raises ValueError if it would have more than 63 characters."""
        return str(JobName(self.job_id, self.stage, self.attempt, self.block))

    @property
    def next_attempt(self) -> StageRun:
        return self.model_copy(update={"attempt": self.attempt + 1})

    @classmethod
    def parse(cls, job_name: str) -> StageRun | None:
        """The stage run that a SageMaker job name stands for, or None for a job of another system."""
        name = JobName.parse(job_name)
        return cls.model_validate(name._asdict()) if name else None

    @classmethod
    def of_event(cls, detail: Mapping[str, Any]) -> StageRun | None:
        """The stage run that a SageMaker state change is about, or None for a job of another system."""
        return cls.parse(detail.get("ProcessingJobName") or detail.get("TrainingJobName") or "")


class RetryState(Camel):
    """What an attempt inherits from earlier ones: it continues the checkpoints that `checkpoint_attempt` began, and its
    cap on Gaussians is divided by `gaussian_divisor`. `machine` counts how often no machine was found; it is the index
    of the machine choice to use."""

    gaussian_divisor: int = 1
    checkpoint_attempt: int = 1
    machine: int = 0


def next_retry_state(retry_state: RetryState, next_attempt: int, failure: ErrorCode | None) -> RetryState:
    """Continue from the checkpoint, after CAPACITY with the next choice of machine. After OUT_OF_MEMORY, start again
    with half of the Gaussians, because the checkpoint already contains too many."""
    if failure is ErrorCode.CAPACITY:
        return retry_state.model_copy(update={"machine": retry_state.machine + 1})
    if failure is ErrorCode.OUT_OF_MEMORY:
        halved = {"gaussian_divisor": 2 * retry_state.gaussian_divisor, "checkpoint_attempt": next_attempt}
        return retry_state.model_copy(update=halved)
    return retry_state


class StageOutput(Camel):
    """What a finished stage run passes to the state machine."""

    stage: Stage
    attempt: int
    output_uri: str
    counts: dict[str, int]
    metrics: dict[str, Any]
    warnings: list[dict[str, Any]]
    seconds: float
    cost: dict[str, float]


def finished_stages(stages: dict[str, Any]) -> dict[Stage, StageOutput]:
    """Read `$.stages` of the state machine's data."""
    keys = {stage.state_key: stage for stage in Stage}
    return {keys[key]: StageOutput.model_validate(value) for key, value in stages.items()}


def state_output(output: StageOutput) -> str:
    """JSON for SendTaskSuccess."""
    return json.dumps(output.model_dump(by_alias=True, mode="json"), ensure_ascii=False)
