"""Build a job's state from its status events, in whatever order and however often they arrive."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from contract.blocks import COARSE, BlockName
from contract.events import StatusType
from contract.stages import Stage
from local.customer import StatusEvent


@dataclass
class StageView:
    """One stage: `state` is waiting, running, succeeded or failed; progress 0..1. For a large flight, `parts` is the
    progress of each block and of the coarse model, `shares` their shares of the stage, and `blocks` their number."""

    name: str
    state: str = "waiting"
    progress: float = 0.0
    message: str = ""
    attempt: int = 1
    started: datetime | None = None
    ended: datetime | None = None
    sequence: int = -1
    parts: dict[BlockName, float] = field(default_factory=dict)
    shares: dict[BlockName, float] = field(default_factory=dict)
    blocks: int = 0

    def apply(self, event: StatusEvent) -> None:
        if event.type == StatusType.STAGE_STARTED:
            self.started = min(self.started or event.at, event.at)
        if event.block is not None:
            self._apply_part(event, event.block)
            return
        if event.sequence <= self.sequence:
            return
        self.sequence = event.sequence
        self.message, self.progress = event.message, event.progress
        self.attempt = event.attempt or self.attempt
        self.state = {StatusType.STAGE_SUCCEEDED: "succeeded", StatusType.STAGE_FAILED: "failed"}.get(
            StatusType(event.type), "running"
        )
        if self.state != "running":
            self.ended = event.at

    def _apply_part(self, event: StatusEvent, block: BlockName) -> None:
        """Blocks report independently: the stage's progress is their weighted sum."""
        if event.type == StatusType.STAGE_STARTED:
            self.shares[block], self.blocks = event.metrics["share"], event.metrics["blocks"]
        self.parts[block] = max(self.parts.get(block, 0.0), event.progress)
        if self.ended is None:
            done = sum(progress >= 1 for part, progress in self.parts.items() if part != COARSE)
            self.state = "running"
            self.message = event.message if block == COARSE else f"{done} of {self.blocks} blocks are trained"
            self.progress = sum(self.shares.get(part, 0.0) * progress for part, progress in self.parts.items())

    def seconds(self, now: datetime) -> float:
        """How long it has taken, or took."""
        return ((self.ended or now) - self.started).total_seconds() if self.started else 0.0


@dataclass
class Board:
    """The job's stages and, once there is one, its last event."""

    stages: dict[str, StageView] = field(default_factory=lambda: {name: StageView(name) for name in Stage})
    job_id: str | None = None
    last: StatusEvent | None = None

    def apply(self, event: StatusEvent) -> None:
        self.job_id = event.job_id
        if event.ends_job:
            self.last = event
        elif event.stage is not None:
            self.stages[event.stage].apply(event)

    def seconds_by_stage(self, now: datetime) -> dict[str, float]:
        return {view.name: view.seconds(now) for view in self.stages.values() if view.started}
