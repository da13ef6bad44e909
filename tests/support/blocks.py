"""Plans of blocks for tests: random divisions of the ground by halving, drawn by hypothesis, or a strip of boxes."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st

from contract.blocks import EVERYWHERE, Block, BlockPlan, Box, Hull

NUMBERS = st.floats(-1000, 1000).map(lambda value: round(value, 3))
UPRIGHT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def plan_of(boxes: list[Box], fade: float = 2.0, hull: Hull | None = None) -> BlockPlan:
    """A plan with these boxes, all with the same weight."""
    blocks = [Block(i, box, 1 / len(boxes), 100, 1_000_000, 5000) for i, box in enumerate(boxes, start=1)]
    around = hull or Hull((-2000.0, -2000.0, -2000.0), (2000.0, 2000.0, 2000.0))
    return BlockPlan(100 * len(boxes), UPRIGHT, around, 2.5 * fade, fade, tuple(blocks))


def strip_of(blocks: int) -> BlockPlan:
    """A strip of ground divided into so many boxes; the first has twice the weight of the others."""
    edges = [None, *range(1, blocks), None]
    boxes = [Box((low, None), (high, None)) for low, high in pairwise(edges)]
    weights = [2 / (blocks + 1), *[1 / (blocks + 1)] * (blocks - 1)]
    rows = [Block(n, box, weights[n - 1], 100, 10_000, 50) for n, box in enumerate(boxes, start=1)]
    hull = Hull((0.0, 0.0, 0.0), (float(blocks), 1.0, 1.0))
    return BlockPlan(100 * blocks, UPRIGHT, hull, margin=0.1, fade=0.04, blocks=tuple(rows))


def _fits(box: Box, axis: int, value: float) -> bool:
    low, high = box.low[axis], box.high[axis]
    return (low is None or low < value) and (high is None or value < high)


@st.composite
def tilings(draw: st.DrawFn, max_blocks: int = 12) -> list[Box]:
    """Boxes made by repeated halving, in any order of cuts: a seam may end at another."""
    boxes = [EVERYWHERE]
    for _ in range(draw(st.integers(0, max_blocks - 1))):
        chosen = draw(st.integers(0, len(boxes) - 1))
        axis, value = draw(st.integers(0, 1)), draw(NUMBERS)
        if _fits(boxes[chosen], axis, value):
            boxes[chosen : chosen + 1] = boxes[chosen].halved(axis, value)
    return boxes
