"""The blocks of a large flight on the control plane: what each may cost, and its share of the work. Pure, except for
reading the plan and the lists of photos."""

from __future__ import annotations

from typing import Any, NamedTuple

from contract.blocks import BLOCKS_FILE, COARSE, BlockName, BlockPhoto, BlockPlan, photos_file
from domain.results import DamagedResult, read_json

COARSE_STEPS = 0.25  # of a block's
COARSE_SHARE = 0.1  # of training: a small model of everything, before the blocks
RESERVED_SHARE = 0.1  # of the job's budget, at most, is kept for what comes after training


class Allowance(NamedTuple):
    """Dollars: what a run's earlier attempts have `spent` of what they may spend together."""

    spent: float
    limit: float

    @property
    def left(self) -> float:
        return self.limit - self.spent


def allowance_of(budget: float, before: float, reserved: float, share: float, own: float) -> Allowance:
    """A block's share of the money left for training. Blocks that run side by side cannot know what the others are
    about to spend; with fixed shares, all of them together stay within the job's budget.

    before: dollars spent before the blocks began. reserved: dollars that later stages may cost. own: dollars that the
    block's earlier attempts have cost.
    """
    left = max(0.0, budget - before - min(reserved, RESERVED_SHARE * budget))
    return Allowance(spent=own, limit=share * left)


def money_share(block: BlockName, plan: BlockPlan) -> float:
    """The block's share of the money left when the blocks begin; the coarse model has been paid for by then."""
    return COARSE_SHARE if block == COARSE else plan.block(block).weight


def work_share(block: BlockName, plan: BlockPlan) -> float:
    """The share of the stage's progress; the shares of the coarse model and all blocks add up to 1."""
    return COARSE_SHARE if block == COARSE else (1 - COARSE_SHARE) * plan.block(block).weight


def read_plan(s3: Any, scene_uri: str) -> BlockPlan:
    """The plan in structure from motion's output. Raises DamagedResult if there is no usable plan."""
    try:
        return BlockPlan.from_json(read_json(s3, f"{scene_uri}/{BLOCKS_FILE}"))
    except ValueError as error:
        raise DamagedResult(f"{BLOCKS_FILE}: {error}") from error


def read_block_photos(s3: Any, scene_uri: str, block: BlockName) -> list[BlockPhoto]:
    """The photos of a part of the flight, from structure from motion's output. Raises DamagedResult for a malformed
    list.
    """
    path = photos_file(block)
    try:
        return [BlockPhoto.from_json(row) for row in read_json(s3, f"{scene_uri}/{path}") or ()]
    except (TypeError, ValueError) as error:
        raise DamagedResult(f"{path}: {error}") from error
