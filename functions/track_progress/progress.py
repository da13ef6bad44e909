"""What a status event changes in its job's item. Pure; order and repetition of events do not matter."""

from __future__ import annotations

from typing import Any

from contract.events import JOB_STATUS, StatusType
from contract.stages import Stage
from domain.jobs_table import ItemUpdate
from domain.status import StatusEvent


def updates_for(event: StatusEvent) -> list[ItemUpdate]:
    """Three independent writes, each guarded by its own rising number:

    - `sequence`: the headline (status, stage, message, error, outputs) of the newest event;
    - `progress`: the job's progress, which a retried stage never turns back;
    - `<stage>Sequence`: that stage's own attempt, progress and metrics, also when news of a later stage came first.
    """
    detail = event.detail
    shared = detail.model_dump(mode="json", by_alias=True, exclude_none=True)
    headline: dict[str, Any] = {
        "sequence": detail.sequence,
        "status": JOB_STATUS.get(event.type, "RUNNING"),
        "message": detail.message,
        "updatedAt": shared["at"],
        # always written, so that nothing of an older event stays when this one is the newest
        "stage": shared.get("stage"),
        "error": shared.get("error"),
    }
    if event.type is StatusType.JOB_SUCCEEDED:
        headline |= {name: shared[name] for name in ("outputs", "metrics", "cost") if name in shared}
    updates = [ItemUpdate(guard="sequence", values=headline)]
    if detail.error is None:  # a job that failed at 40 % stays at 40 %
        updates.append(ItemUpdate(guard="progress", values={"progress": overall_progress(event)}))
    if detail.stage is not None:
        names = ("attempt", "progress", "message", "metrics", "error", "outputs", "cost")
        facts = {name: shared[name] for name in names if name in shared} | {"status": event.type.value}
        guard = f"{detail.stage.state_key}Sequence"
        updates.append(ItemUpdate(guard=guard, values={guard: detail.sequence, detail.stage.state_key: facts}))
    return updates


def overall_progress(event: StatusEvent) -> float:
    """Progress of the whole job, 0..1."""
    detail = event.detail
    if detail.stage is None:
        return detail.progress
    before = sum(stage.spec.progress_share for stage in list(Stage)[: detail.stage.ordinal - 1])
    return round(before + detail.stage.spec.progress_share * detail.progress, 4)
