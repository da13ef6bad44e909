"""Present a job's item as the API shows it. Pure, except for the signing of links, which is passed in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from api.models import ErrorView, JobView, ListedJob, StageView, TimeLeft
from contract.events import StatusType
from contract.stages import PipelineStep, Stage
from domain.job_item import JobItem
from domain.layout import INTERMEDIATES_DAYS, expiring_job

# outputs of finished stages that a running job already shows
EARLY = {Stage.SFM: ("cloud.json", "thumbnails.jpg", "cameras.png", "overlap.png", "photos.json")}
POSTER = "poster.jpg"
_STAGE_STATUS = {
    StatusType.STAGE_STARTED: "RUNNING",
    StatusType.STAGE_PROGRESSED: "RUNNING",
    StatusType.STAGE_SUCCEEDED: "SUCCEEDED",
    StatusType.STAGE_FAILED: "FAILED",
}


LinksOf = Callable[[str, Mapping[str, str], str], dict[str, str]]


def summary_of(item: JobItem, links_of: LinksOf) -> ListedJob:
    pictures = links_of(
        item.job_id, {name: item.outputs[name] for name in (POSTER,) if name in item.outputs}, item.name
    )
    return ListedJob(**_summary(item), thumbnail=pictures.get(POSTER))


def view_of(
    item: JobItem,
    links_of: LinksOf,
    more: Mapping[str, str],
    now: datetime,
    expire: datetime,
) -> JobView:
    """A job as GET /jobs/{jobId} returns it. `links_of` signs links for the job's s3 URIs; `more`: URIs, by name, that
    the item does not contain and whose objects exist; `expire`: when the links expire."""
    step = item.pipeline_step or PipelineStep.FULL
    left = _seconds_left(item, now)
    stages = [_stage(stage, item, left.get(stage)) for stage in step.stages]
    known = {**_early(item), **item.outputs}
    uris = {**{name: uri for name, uri in known.items() if not _expired(uri, item, now)}, **more}
    return JobView(
        **_summary(item),
        pipeline_step=step,
        message=item.message or "waiting to start",
        seconds_left=left.get(step.stages[-1]),
        time_left=_range(left.get(step.stages[-1]), item.eta_spread),
        stages=stages,
        metrics=item.metrics,
        cost=item.cost,
        error=ErrorView(**item.error.model_dump()) if item.error else None,
        links=links_of(item.job_id, uris, item.name),
        links_expire_at=expire,
    )


def _summary(item: JobItem) -> dict[str, Any]:
    return {
        "job_id": item.job_id,
        "name": item.name,
        "status": item.status or "STARTING",
        "stage": item.stage,
        "progress": item.progress,
        "uploaded_at": item.uploaded_at,
        "rerun_of": item.rerun_of,
    }


def _stage(stage: Stage, item: JobItem, seconds_left: float | None) -> StageView:
    reported = item.stages.get(stage)
    if reported is None:
        return StageView(stage=stage, status="WAITING", progress=0, seconds_left=seconds_left)
    again = item.rerun_from
    reused = again is not None and stage.ordinal < again.ordinal
    status = "REUSED" if reused else _STAGE_STATUS[reported.status]
    return StageView(
        stage=stage,
        status=status,
        seconds_left=seconds_left if status == "RUNNING" else None,
        progress=reported.progress,
        message=reported.message,
        attempt=reported.attempt,
        metrics=reported.metrics,
        cost=reported.cost,
    )


def _early(item: JobItem) -> dict[str, str]:
    outputs = {stage: reported.outputs.get("output") for stage in EARLY if (reported := item.stages.get(stage))}
    return {
        f"{stage}/{name}": f"{output}/{name}" for stage, output in outputs.items() if output for name in EARLY[stage]
    }


def _expired(uri: str, item: JobItem, now: datetime) -> bool:
    """Whether the results bucket has deleted an intermediate file. One that a rerun reuses may be as old as the
    upload."""
    run = expiring_job(uri)
    if run is None:
        return False
    made = item.started_at.isoformat() if item.started_at and run == item.job_id else item.uploaded_at
    return made < (now - timedelta(days=INTERMEDIATES_DAYS)).isoformat()


def _seconds_left(item: JobItem, now: datetime) -> dict[Stage, float]:
    """Seconds to the end of the current stage and of each later one; empty unless the job runs and has reported
    progress."""
    etas = item.etas if item.status == "RUNNING" else {}
    seconds = {stage: (eta - now).total_seconds() for stage, eta in etas.items()}
    late = max(0.0, -min(seconds.values(), default=0.0))  # a stage that takes longer delays the later ones
    return {stage: round(left + late, 1) for stage, left in seconds.items()}


def _range(seconds: float | None, spread: float) -> TimeLeft | None:
    return None if seconds is None else TimeLeft(low=round(seconds * (1 - spread)), high=round(seconds * (1 + spread)))
