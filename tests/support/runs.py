"""Stage runs as the state machine requests them, and what their jobs leave in S3."""

from __future__ import annotations

from typing import Any

from contract.stages import Stage
from domain.stage_runs import StageRuns
from domain.stages import StageRun
from tests.support.cloud import RESULTS, Cloud
from tests.support.events import sample_event

JOB_ID = "meadow-0123456789ab"
OUTPUTS = {
    Stage.SFM: f"s3://{RESULTS}/intermediates/{JOB_ID}/sfm/{{attempt}}",
    Stage.TRAINING: f"s3://{RESULTS}/intermediates/{JOB_ID}/3dgs/{JOB_ID}-3dgs-{{attempt}}/output/model",
    Stage.COMPRESSOR: f"s3://{RESULTS}/jobs/{JOB_ID}/compressor/{{attempt}}",
}


def run_of(stage: Stage = Stage.SFM, attempt: int = 1) -> StageRun:
    return StageRun(job_id=JOB_ID, stage=stage, attempt=attempt)


def job_name(stage: Stage = Stage.SFM, attempt: int = 1) -> str:
    return f"{JOB_ID}-{stage}-{attempt}"


def output_of(stage: Stage = Stage.SFM, attempt: int = 1) -> str:
    """The location of the run's output by docs/contracts.md."""
    folder = f"s3://{RESULTS}/{'jobs' if stage.spec.kept else 'intermediates'}/{JOB_ID}/{stage}/{{attempt}}"
    return OUTPUTS.get(stage, folder).format(attempt=attempt)


def ask_for(stage: Stage = Stage.SFM, token: str = "token-1") -> dict[str, Any]:
    """The payload of the stage's callback task, with every stage before it finished."""
    stages = sample_event("deliver/full")["stages"]
    before = {name: output for name, output in stages.items() if Stage(output["stage"]).ordinal < stage.ordinal}
    event = sample_event("run_stage/sfm")
    return {"taskToken": token, "stage": stage.value, "job": {**event["job"], "stages": before}}


def token_of(cloud: Cloud, stage: Stage = Stage.SFM, attempt: int = 1) -> str | None:
    """The task token of the run."""
    key = {"jobId": JOB_ID, "stageRun": f"{stage}#{attempt:04d}"}
    item = cloud.table("stage-runs").get_item(Key=key).get("Item")
    return None if item is None else str(item["taskToken"])


def job_changed(
    stage: Stage = Stage.SFM, attempt: int = 1, name: str | None = None, status: str = "Completed"
) -> dict[str, Any]:
    """SageMaker's event about a change of the run's job. It contains `status`, whatever the job's real status."""
    event = sample_event("report_stage/processing-completed")
    kind = stage.kind
    event["detail-type"] = f"SageMaker {kind} Job State Change"
    event["detail"] = {f"{kind}JobName": name or job_name(stage, attempt), f"{kind}JobStatus": status}
    return event


def waiting(stage: Stage, cloud: Cloud) -> list[str]:
    """The SageMaker job names of the queued runs, in the queue's order."""
    return [waiting.run.job_name for waiting in StageRuns(cloud.table("stage-runs")).queue(stage)]
