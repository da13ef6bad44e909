"""A job's item as the API shows it. Pure but for the signing of links, which is handed in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from api.models import ErrorView, JobSummary, JobView, StageView
from contract.events import StatusType
from contract.stages import PipelineStep, Stage

# what a running job already shows, of the outputs of its finished stages
EARLY = {Stage.SFM: ("cloud.json", "thumbnails.jpg", "cameras.png", "photos.json")}
_STAGE_STATUS = {
    StatusType.STAGE_STARTED: "RUNNING",
    StatusType.STAGE_PROGRESSED: "RUNNING",
    StatusType.STAGE_SUCCEEDED: "SUCCEEDED",
    StatusType.STAGE_FAILED: "FAILED",
}


def summary_of(item: Mapping[str, Any]) -> JobSummary:
    return JobSummary(**_summary(item))


def view_of(
    item: Mapping[str, Any], sign: Callable[[str], str], more: Mapping[str, str], now: datetime, expire: datetime
) -> JobView:
    """`sign` makes a link of an s3 URI; `more` are URIs by name that the item does not know of."""
    step = PipelineStep(item["pipelineStep"])
    left = _seconds_left(item, now)
    stages = [_stage(stage, item, left.get(stage)) for stage in step.stages]
    uris = {**_early(item), **more, **item.get("outputs", {})}
    return JobView(
        **_summary(item),
        pipeline_step=step,
        message=item.get("message", "waiting to start"),
        seconds_left=left.get(step.stages[-1]),
        stages=stages,
        metrics=plain(item.get("metrics", {})),
        cost=plain(item.get("cost")),
        error=ErrorView.model_validate(item["error"]) if item.get("error") else None,
        links={name: sign(uri) for name, uri in uris.items()},
        links_expire_at=expire,
    )


def _summary(item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "job_id": item["jobId"],
        "name": item["name"],
        "status": item.get("status", "STARTING"),
        "stage": item.get("stage"),
        "progress": float(item.get("progress", 0)),
        "uploaded_at": item["uploadedAt"],
        "rerun_of": item.get("rerunOf"),
    }


def _stage(stage: Stage, item: Mapping[str, Any], seconds_left: float | None) -> StageView:
    told = item.get(stage.state_key)
    if told is None:
        return StageView(stage=stage, status="WAITING", progress=0, seconds_left=seconds_left)
    again = item.get("rerunFrom")
    reused = again is not None and stage.ordinal < Stage(again).ordinal
    status = "REUSED" if reused else _STAGE_STATUS[StatusType(told["status"])]
    return StageView(
        stage=stage,
        status=status,
        seconds_left=seconds_left if status == "RUNNING" else None,
        progress=float(told.get("progress", 0)),
        message=told.get("message", ""),
        attempt=int(told["attempt"]) if "attempt" in told else None,
        metrics=plain(told.get("metrics", {})),
        cost=plain(told.get("cost")),
    )


def _early(item: Mapping[str, Any]) -> dict[str, str]:
    outputs = {stage: item.get(stage.state_key, {}).get("outputs", {}).get("output") for stage in EARLY}
    return {
        f"{stage}/{name}": f"{output}/{name}" for stage, output in outputs.items() if output for name in EARLY[stage]
    }


def _seconds_left(item: Mapping[str, Any], now: datetime) -> dict[Stage, float]:
    """To the end of the current stage and of each after it; empty for a job that does not run or told nothing yet."""
    etas = item.get("etas", {}) if item.get("status") == "RUNNING" else {}
    return {
        Stage(stage): max(0.0, round((datetime.fromisoformat(eta) - now).total_seconds(), 1))
        for stage, eta in etas.items()
    }


def plain(value: Any) -> Any:
    """DynamoDB's numbers as JSON's."""
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if hasattr(value, "as_integer_ratio") and not isinstance(value, (bool, int, float)):
        return int(value) if value == int(value) else float(value)
    return value
