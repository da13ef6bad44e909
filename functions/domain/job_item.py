"""A job's item in the jobs table, typed: the names of its attributes, and the changes that an event makes to them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from contract.blocks import COARSE, MAX_BLOCKS, BlockName
from contract.events import JOB_STATUS, StatusType, progress_sequence
from contract.stages import PipelineStep, Stage
from domain.errors import MAX_FACTS, JobError, one_line
from domain.job import Camel
from domain.shares import Share
from domain.status import StatusDetail, StatusEvent

REJECTED = JOB_STATUS[StatusType.JOB_REJECTED]
NEVER = "never"  # a scene stays until its owner deletes it: DynamoDB expires items by numbers alone
_MOMENT = re.compile(rf"({'|'.join(stage.state_key for stage in Stage)})\d+(Asked|Began|At\d+|Ended)")


class StageItem(Camel):
    """The newest event of a stage."""

    status: StatusType
    attempt: int | None = None
    progress: float = 0.0
    message: str = ""
    metrics: dict[str, Any] = Field(default_factory=dict)
    error: JobError | None = None
    outputs: dict[str, str] = Field(default_factory=dict)
    cost: dict[str, Any] | None = None


class JobItem(Camel):
    """`name` to `rerun_from` are recorded when the job starts; its events set the rest. An event may arrive before the
    job was recorded; then the first group is missing.

    `sequence` and `sequences` (of each stage) guard against late and repeated events. `moments`, by attribute: when an
    attempt at a stage was asked for, at work, at a tenth of its progress, and done.
    """

    job_id: str
    name: str = ""
    owner: str | None = None
    email: str | None = None
    pipeline_step: PipelineStep | None = None
    quality: str | None = None
    project: str | None = None
    customer: str | None = None
    site: str | None = None
    training_steps: int | None = None
    photos: int | None = None
    remarks: list[str] = Field(default_factory=list)  # notes for the customer on metadata that are not settings
    uploaded_at: str = ""  # ISO 8601, which the index sorts as text
    rerun_of: str | None = None
    rerun_from: Stage | None = None
    started_at: datetime | None = None
    bucket: str | None = None
    object_key: str | None = None
    version_id: str | None = None  # of the upload
    scene_key: str | None = None  # signs the tickets to its scene
    shares: dict[str, Share] = Field(default_factory=dict)  # links that the owner has created, by their ids

    mailed: set[str] = Field(default_factory=set)  # the types of event about which a mail was sent

    sequence: int = 0
    status: str | None = None
    stage: Stage | None = None
    progress: float = 0.0
    message: str | None = None
    error: JobError | None = None
    outputs: dict[str, str] = Field(default_factory=dict)
    metrics: dict[str, Any] = Field(default_factory=dict)
    cost: dict[str, Any] | None = None
    etas: dict[Stage, datetime] = Field(default_factory=dict)
    eta_spread: float = 0.5  # likely error of the ETAs, as a share of the time left

    stages: dict[Stage, StageItem] = Field(default_factory=dict)
    sequences: dict[Stage, int] = Field(default_factory=dict)
    moments: dict[str, datetime] = Field(default_factory=dict)

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> JobItem:
        """Read an item as DynamoDB returns it."""
        item = plain(attributes)
        return cls.model_validate(
            {
                **{name: value for name, value in item.items() if value is not None},
                "stages": {stage: item[stage.state_key] for stage in Stage if stage.state_key in item},
                "sequences": {s: item[sequence_name(s)] for s in Stage if sequence_name(s) in item},
                "moments": {name: at for name, at in item.items() if _MOMENT.fullmatch(name)},
            }
        )

    @property
    def open(self) -> bool:
        """Whether the job still waits or runs."""
        return self.status in (None, "RUNNING")

    def moment(self, stage: Stage, attempt: int, moment: str) -> datetime | None:
        return self.moments.get(moment_name(stage, attempt, moment))

    def reused(self, stage: Stage) -> dict[str, Any]:
        """The attributes of a finished stage, for the item of a rerun that reuses its result."""
        facts = self.stages[stage].model_dump(mode="json", by_alias=True, exclude_none=True)
        return {stage.state_key: facts, sequence_name(stage): self.sequences[stage]}


class ItemUpdate(BaseModel):
    """One conditional write to a job's item: `values` are set if `guard` is absent or less than its new value."""

    guard: str
    values: dict[str, Any]


def sequence_name(stage: Stage) -> str:
    return f"{stage.state_key}Sequence"


def moment_name(stage: Stage, attempt: int, moment: str) -> str:
    """`moment`: Asked, Began, At<tenth>, Ended."""
    return f"{stage.state_key}{attempt}{moment}"


def updates_for(event: StatusEvent) -> list[ItemUpdate]:
    """The changes that an event makes: three independent writes, each guarded by its own rising number, so that neither
    the order of events nor their repetition matters.

    - `sequence`: the headline (status, stage, message, error, outputs) of the newest event;
    - `progress`: the job's progress, which a retried stage never lowers;
    - `<stage>Sequence`: that stage's own attempt, progress and metrics, even if a later stage's event came first.
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
        headline["expiresAt"] = NEVER
    updates = [ItemUpdate(guard="sequence", values=headline)]
    if detail.error is None:  # a job that failed at 40 % stays at 40 %
        updates.append(ItemUpdate(guard="progress", values={"progress": overall_progress(detail)}))
    if detail.stage is not None:
        names = ("attempt", "progress", "message", "metrics", "error", "outputs", "cost")
        facts = {name: shared[name] for name in names if name in shared} | {"status": event.type.value}
        guard = sequence_name(detail.stage)
        updates.append(ItemUpdate(guard=guard, values={guard: detail.sequence, detail.stage.state_key: facts}))
    return updates


def applied(attributes: Mapping[str, Any], updates: Sequence[ItemUpdate], moments: Mapping[str, str]) -> dict[str, Any]:
    """The attributes as JobsTable.apply leaves them."""
    after = {**moments, **attributes}
    for update in updates:
        guard = update.guard
        if guard not in attributes or attributes[guard] < update.values[guard]:
            after |= update.values
    return after


def reduced_to_trusted(event: StatusEvent) -> StatusEvent | None:
    """The event reduced to the fields that its sender may set; None for an event that cannot be trusted at all.

    Containers may publish only `Stage Progressed`. They read customers' files, and one may have been taken over, so
    only its progress, one line of text and figures are accepted. Its sequence number must match its stage, attempt and
    progress: a higher number would block all later events.
    """
    detail = event.detail
    if event.type is not StatusType.STAGE_PROGRESSED:
        return event
    if detail.stage is None or detail.attempt is None:
        return None
    if detail.block is not None and not (detail.stage is Stage.TRAINING and _is_block(detail.block)):
        return None
    own = progress_sequence(detail.stage, detail.attempt, detail.progress)
    if abs(detail.sequence - own) > 1:  # the event's progress is rounded
        return None
    said: dict[str, Any] = {"message": one_line(detail.message, MAX_FACTS), "outputs": {}, "error": None, "cost": None}
    return event.model_copy(update={"detail": detail.model_copy(update=said)})


def _is_block(block: BlockName) -> bool:
    """Every block has its own attributes in the item, and the item must not grow without limit."""
    return block == COARSE or (isinstance(block, int) and 1 <= block <= MAX_BLOCKS)


def overall_progress(detail: StatusDetail) -> float:
    """Progress of the whole job, 0..1."""
    if detail.stage is None:
        return detail.progress
    before = sum(stage.spec.progress_share for stage in list(Stage)[: detail.stage.ordinal - 1])
    return round(before + detail.stage.spec.progress_share * detail.progress, 4)


def plain(value: Any) -> Any:
    """`value` with DynamoDB's numbers as int and float."""
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if hasattr(value, "as_integer_ratio") and not isinstance(value, (bool, int, float)):
        return int(value) if value == int(value) else float(value)
    return value
