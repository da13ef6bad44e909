"""Plans of large flights."""

from __future__ import annotations

from itertools import pairwise

from contract.blocks import Block, BlockPlan, Box, Hull


def plan_of(blocks: int) -> BlockPlan:
    """A strip of ground cut into as many boxes, the first of twice the others' weight."""
    edges = [None, *range(1, blocks), None]
    boxes = [Box((low, None), (high, None)) for low, high in pairwise(edges)]
    weights = [2 / (blocks + 1), *[1 / (blocks + 1)] * (blocks - 1)]
    rows = [Block(n, box, weights[n - 1], 100, 10_000, 50) for n, box in enumerate(boxes, start=1)]
    axes = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    hull = Hull((0.0, 0.0, 0.0), (float(blocks), 1.0, 1.0))
    return BlockPlan(100 * blocks, axes, hull, margin=0.1, fade=0.04, blocks=tuple(rows))
