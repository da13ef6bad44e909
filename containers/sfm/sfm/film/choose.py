"""Choose frames: even steps of motion through the picture, of each step the sharpest frame near its middle. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from contract.counts import MAX_FRAMES

# shares of the picture's diagonal that the scene moves from one chosen frame to the next: neighbours share 80 to 95 %
# of their view. A short film is sampled more closely, a long one more sparsely
USUAL_STEP, MIN_STEP = 0.10, 0.03
PLENTY = 80  # frames that a short film should give, if its motion allows
MIDDLE = (0.25, 0.75)  # of a step; frames at the rims would stand too close to the next step's


@dataclass(frozen=True)
class Look:
    """A frame seen small. `stamp`: its presentation time in the stream's own units, `seconds`: from the film's
    beginning; `moved`: how far the picture moved since the look before, as a share of its diagonal; `sharpness`: of any
    unit, to compare neighbours.
    """

    stamp: int
    seconds: float
    moved: float
    sharpness: float


def step_for(films: Sequence[Sequence[Look]], most: int = MAX_FRAMES) -> float:
    """The step of motion that gives films together at most `most` frames; at most `most` films."""
    total = sum(look.moved for looks in films for look in looks)
    step = min(max(total / PLENTY, MIN_STEP), USUAL_STEP)
    # each film may begin and end within a step
    return max(step, total / max(most - len(films), 1))


def choose(looks: Sequence[Look], step: float) -> list[Look]:
    """At most one frame for each `step` of motion, in order: none while the camera stands still."""
    if not looks:
        return []
    way = np.cumsum([look.moved for look in looks]) / step
    cells = np.floor(way).astype(np.int64)
    phases = way - cells
    chosen = []
    for cell in np.unique(cells):
        members = np.flatnonzero(cells == cell)
        middle = members[(phases[members] >= MIDDLE[0]) & (phases[members] <= MIDDLE[1])]
        if len(middle):
            best = max(middle, key=lambda index: looks[index].sharpness)
        else:
            best = min(members, key=lambda index: abs(phases[index] - 0.5))
        chosen.append(looks[int(best)])
    return chosen
