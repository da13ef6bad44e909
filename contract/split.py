"""Which photos of a flight are trained on, and which are held out to check the splat: the same for every part of it."""

from __future__ import annotations

from typing import Literal

Split = Literal["train", "test"]
HOLD_OUT_EVERY = 8
HOLD_OUT_FIRST = 3  # neither the first nor the last photo of a flight, where nothing else looks
_MIN_PHOTOS_TO_HOLD_OUT = 4


def hold_out(count: int, fold: int = HOLD_OUT_FIRST) -> list[Split]:
    """The split of a flight's photos in order of their names: every 8th is held out, from number `fold` on; by default
    at least one of 4 or more, none of fewer.
    """
    if count < _MIN_PHOTOS_TO_HOLD_OUT:
        return ["train"] * count
    return ["test" if index % HOLD_OUT_EVERY == fold else "train" for index in range(count)]
