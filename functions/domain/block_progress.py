"""How far a large flight's training is, from what its coarse model and its blocks report. Pure.

The machines of a Map report side by side. Each block's own progress is kept in the job's item, where it only rises, and
what consumers see of the stage is the sum of all by their shares of the work.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from contract.blocks import COARSE, BlockName, BlockPlan
from contract.events import StatusType, progress_sequence
from contract.stages import block_label
from domain.blocks import work_share
from domain.job_item import ItemUpdate
from domain.status import StatusEvent

_PERMILLE = re.compile(r"trainingPermille_(\w+)")
_SHARE = "trainingShare_"
_BLOCKS = "trainingBlocks"  # how many there are


def shares_in(block: BlockName | None, plan: BlockPlan) -> dict[str, Any]:
    """What a block's Stage Started says of it."""
    assert block is not None, "only blocks have shares"
    return {"share": round(work_share(block, plan), 6), "blocks": len(plan.blocks)}


def own_updates(event: StatusEvent) -> list[ItemUpdate]:
    """What an event of a block keeps in the job's item: its progress, which a retried block never turns back, and, of
    its start, its share."""
    detail = event.detail
    assert detail.block is not None
    label = block_label(detail.block)
    progress = f"trainingPermille_{label}"
    updates = [ItemUpdate(guard=progress, values={progress: round(1000 * detail.progress)})]
    if event.type is StatusType.STAGE_STARTED and {"share", "blocks"} <= detail.metrics.keys():
        share = f"{_SHARE}{label}"
        updates.append(ItemUpdate(guard=share, values={share: detail.metrics["share"]}))
        updates.append(ItemUpdate(guard=_BLOCKS, values={_BLOCKS: detail.metrics["blocks"]}))
    return updates


def stage_event(event: StatusEvent, attributes: Mapping[str, Any]) -> StatusEvent:
    """The event as one of the whole stage; `attributes`: of the job's item, with `own_updates` in it.

    The sum rises, and the sequence with it: what an event brings late is no news.
    """
    detail = event.detail
    assert detail.block is not None
    assert detail.stage is not None
    permille = {found[1]: int(value) for name, value in attributes.items() if (found := _PERMILLE.fullmatch(name))}
    shares = {label: float(attributes.get(f"{_SHARE}{label}", 0.0)) for label in permille}
    progress = min(1.0, sum(shares[label] * permille[label] for label in permille) / 1000)
    done = sum(value >= 1000 for label, value in permille.items() if label != COARSE)
    blocks = int(attributes.get(_BLOCKS, 0))
    first = event.type is StatusType.STAGE_STARTED and detail.block == COARSE
    whole = {
        "block": None,
        "attempt": 1,
        "progress": 0.0 if first else round(progress, 4),
        "message": detail.message if detail.block == COARSE else f"{done} of {blocks} blocks are trained",
        "metrics": {"blocks": {"done": done, "all": blocks}},
    }
    if first:
        return event.model_copy(update={"detail": detail.model_copy(update=whole)})
    whole["sequence"] = progress_sequence(detail.stage, 1, progress)
    kind = StatusType.STAGE_PROGRESSED
    return event.model_copy(update={"type": kind, "detail": detail.model_copy(update=whole)})


def in_blocks(attributes: Mapping[str, Any]) -> bool:
    """Whether the job's training was one in blocks."""
    return _BLOCKS in attributes
