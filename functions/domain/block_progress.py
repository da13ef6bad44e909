"""Compute the progress of a large flight's training from the reports of its coarse model and its blocks. Pure.

The machines of a Map report independently. The job's item keeps each block's own progress, which only rises. Consumers
see one progress of the stage: the sum over all blocks, weighted by their shares of the work.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from contract.blocks import COARSE, BlockName, BlockPlan
from contract.events import StatusType, progress_sequence, started_sequence
from contract.stages import block_label
from domain.blocks import COARSE_SHARE, COARSE_STEPS, work_share
from domain.job_item import ItemUpdate
from domain.pace import Pace, stage_left
from domain.status import StatusEvent

_PERMILLE, _SHARE, _BEGAN = "trainingPermille_", "trainingShare_", "trainingBegan_"  # each followed by a block's label
_BLOCKS = "trainingBlocks"  # how many there are
_LABELLED = re.compile(rf"{_PERMILLE}(\w+)")
_END_STEP = 0.002  # of the stage; sequences count permille
MIN_DONE = 0.1  # share of the blocks' work; beyond it, its pace is used to estimate when all blocks are done


def shares_in(block: BlockName, plan: BlockPlan) -> dict[str, Any]:
    """The metrics of a block's Stage Started event."""
    return {"share": round(work_share(block, plan), 6), "blocks": len(plan.blocks)}


def own_updates(event: StatusEvent) -> list[ItemUpdate]:
    """The attributes that a block's event sets in the job's item: its progress, which a retry never lowers, and, if the
    event is its start, its share."""
    detail = event.detail
    assert detail.block is not None
    label = block_label(detail.block)
    progress, share = f"{_PERMILLE}{label}", f"{_SHARE}{label}"
    updates = [ItemUpdate(guard=progress, values={progress: round(1000 * detail.progress)})]
    if event.type is StatusType.STAGE_STARTED:
        updates.append(ItemUpdate(guard=share, values={share: detail.metrics["share"]}))
        updates.append(ItemUpdate(guard=_BLOCKS, values={_BLOCKS: detail.metrics["blocks"]}))
    return updates


def own_moments(event: StatusEvent) -> dict[str, str]:
    """When this event shows the block at work; the first such moment counts."""
    detail = event.detail
    assert detail.block is not None
    return {f"{_BEGAN}{block_label(detail.block)}": detail.at.isoformat()} if detail.at_work else {}


@dataclass(frozen=True)
class BlocksSoFar:
    """For each block that has begun, by label: its `progress` 0..1, its `share` of the stage's work, and when it was
    first at work. `blocks`: how many blocks there are, without the coarse model."""

    blocks: int
    progress: Mapping[str, float]
    shares: Mapping[str, float]
    began: Mapping[str, datetime]

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> BlocksSoFar:
        """`attributes`: of the job's item."""
        labels = {found[1]: int(value) for name, value in attributes.items() if (found := _LABELLED.fullmatch(name))}
        return cls(
            blocks=int(attributes.get(_BLOCKS, 0)),
            progress={label: permille / 1000 for label, permille in labels.items()},
            shares={label: float(attributes.get(f"{_SHARE}{label}", 0.0)) for label in labels},
            began={
                label: datetime.fromisoformat(attributes[f"{_BEGAN}{label}"])
                for label in labels
                if f"{_BEGAN}{label}" in attributes
            },
        )

    @property
    def stage_progress(self) -> float:
        """Of the whole stage, 0..1. Every block that ends raises it by _END_STEP at least, and with it the sequence:
        otherwise the event that counts the block as trained could be taken for an old one.
        """
        return min(1.0, sum(self._counted(self.shares[label], progress) for label, progress in self.progress.items()))

    @staticmethod
    def _counted(share: float, progress: float) -> float:
        return share if progress >= 1 else min(share * progress, max(0.0, share - _END_STEP))

    @property
    def done(self) -> int:
        """How many blocks are trained."""
        return sum(progress >= 1 for label, progress in self.progress.items() if label != COARSE)

    def seconds_left(self, pace: Pace, work: float, at: datetime) -> float:
        """Seconds until the last block is done. `pace`: of training; `work`: the steps of one block.

        If all blocks run side by side, the slowest one decides. If blocks wait for machines, the pace of all blocks
        together is the better estimate. The larger of the two is returned.
        """
        a_block = pace.waiting + pace.per_unit * work
        if self.progress.get(COARSE, 0.0) < 1 and not any(label != COARSE for label in self.began):
            coarse = stage_left(pace, COARSE_STEPS * work, self.progress.get(COARSE, 0.0), self._since(COARSE, at))
            return coarse + a_block
        blocks = {label: progress for label, progress in self.progress.items() if label != COARSE}
        left = [
            stage_left(pace, work, progress, self._since(label, at)) if label in self.began else a_block
            for label, progress in blocks.items()
            if progress < 1
        ]
        if len(blocks) < self.blocks:
            left.append(a_block)
        done = sum(self.shares[label] * progress for label, progress in blocks.items()) / (1 - COARSE_SHARE)
        if done >= MIN_DONE:
            elapsed = max((self._since(label, at) for label in blocks), default=0.0)
            left.append(elapsed * (1 - min(done, 1.0)) / done)
        return max(left, default=0.0)

    def _since(self, label: str, at: datetime) -> float:
        return max(0.0, (at - self.began[label]).total_seconds()) if label in self.began else 0.0


def stage_event(event: StatusEvent, so_far: BlocksSoFar) -> StatusEvent:
    """A block's event as an event of the entire stage; `so_far` includes this event.

    The sum only rises, and the sequence number with it, so a late event changes nothing. Of the starts, only the
    coarse model's is also the stage's, unless it comes late: then its share adds to what blocks have done.
    """
    detail = event.detail
    assert detail.stage is not None
    first = event.type is StatusType.STAGE_STARTED and detail.block == COARSE and so_far.stage_progress == 0
    progress = 0.0 if first else round(so_far.stage_progress, 4)
    trained = f"{so_far.done} of {so_far.blocks} blocks are trained"
    sequence = started_sequence(detail.stage, 1) if first else progress_sequence(detail.stage, 1, progress)
    whole = {
        "block": None,
        "attempt": 1,
        "progress": progress,
        "sequence": sequence,
        "message": detail.message if detail.block == COARSE else trained,
        "metrics": {"blocks": {"done": so_far.done, "all": so_far.blocks}},
    }
    type_ = StatusType.STAGE_STARTED if first else StatusType.STAGE_PROGRESSED
    return event.model_copy(update={"type": type_, "detail": detail.model_copy(update=whole)})


def in_blocks(attributes: Mapping[str, Any]) -> bool:
    """Whether the job was trained in blocks."""
    return _BLOCKS in attributes
