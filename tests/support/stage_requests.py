"""A job's SageMaker requests, as the template's own settings make them."""

from __future__ import annotations

from typing import Any

from contract.blocks import BlockName
from contract.stages import Stage
from domain.job import Job
from domain.sagemaker_requests import Machine, Platform, create_request, machine_for
from domain.stage_settings import StageSettings
from domain.stages import RetryState, finished_stages
from tests.support.cloud import ENVIRONMENT
from tests.support.events import sample_event
from tests.support.runs import run_of

FINISHED = finished_stages(sample_event("deliver/full")["stages"])


def platform(spot: str = "true") -> Platform:
    return StageSettings.read({**ENVIRONMENT, "SPOT_TRAINING": spot}).platform


def job(step: str = "full", **options: Any) -> Job:
    document = sample_event("run_stage/sfm")["job"]
    del document["stages"]
    document["options"] |= {"pipelineStep": step, **options}
    return Job.model_validate(document)


def request(
    stage: Stage, attempt: int = 1, spot: str = "true", block: BlockName | None = None, **options: Any
) -> dict[str, Any]:
    return create_request(
        run_of(stage, attempt).model_copy(update={"block": block}),
        job(**options),
        FINISHED,
        platform(spot),
        RetryState(),
        machine(stage, spot=spot, **options),
        coarse=FINISHED[Stage.TRAINING],
    )


def machine(stage: Stage, affordable: int = 10**6, spot: str = "true", **options: Any) -> Machine:
    return machine_for(stage, platform(spot).machines(stage, job(**options).options.quality)[0], affordable)
