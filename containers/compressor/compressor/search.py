"""Rate-distortion search: the fewest bytes whose pictures stay within an error.

The cheapest combination of steps is found on paper (a Lagrangian over the attributes' curves), and only that one is
quantised in full and rendered; where the truth differs from the model, the model's budget is corrected by the ratio.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from compressor.curves import Arranged, Curve, PaletteCurve, Progress
from compressor.quality import Yardstick
from compressor.sog.codes import Codes, Steps
from compressor.sog.decoder import dequantise
from compressor.sog.encoder import quantise

_TRIES = 8
_CLOSE_ENOUGH = 0.96  # of the budget used: another try is not worth its render
_MARGIN = 0.985
_RETREAT = 0.8
_LEAST, _MOST = 1e-3, 30.0


@dataclass(frozen=True)
class Found:
    """The outcome of a search."""

    codes: Codes
    steps: Steps
    mean_squared_error: float


def choose(curves: Sequence[Curve], budget: float) -> Steps:
    """The cheapest steps whose expected errors sum to at most `budget`, by bisection of the Lagrange multiplier.

    The finest of all where even those exceed it. Shoham and Gersho, Efficient bit allocation for an arbitrary set of
    quantizers, 1988.
    """
    coarsest = [int(np.argmin(curve.bytes)) for curve in curves]
    finest = [int(np.argmin(curve.error)) for curve in curves]
    if _error(curves, coarsest) <= budget:
        return _steps(curves, coarsest)
    if _error(curves, finest) > budget:
        return _steps(curves, finest)
    low, high = 0.0, 60.0  # logarithm of the multiplier, bytes per squared error
    best = finest
    for _ in range(50):
        middle = (low + high) / 2
        picks = [int(np.argmin(curve.bytes + np.exp(middle) * curve.error)) for curve in curves]
        if _error(curves, picks) > budget:
            low = middle
        else:
            high, best = middle, picks
    return _steps(curves, best)


def search(
    arranged: Arranged,
    curves: Sequence[Curve],
    palettes: PaletteCurve | None,
    budget: float,
    yardstick: Yardstick,
    progress: Progress,
    *,
    spent: float = 0.0,
) -> Found:
    """The coarsest found whose measured error is within `budget`, `spent` of it before any rounding.

    The finest possible where there is none.
    """
    room = budget - spent
    assumed = room * _MARGIN
    best: Found | None = None
    chosen: Steps | None = None
    over: set[Steps] = set()  # tried and found too coarse
    for number in range(_TRIES):
        progress(number / (_TRIES + 1), "searching the smallest file")
        curves_now = [*curves, palettes.curve()] if palettes else list(curves)
        steps = choose(curves_now, assumed)
        while steps in over and assumed > _LEAST * room:
            assumed *= _RETREAT
            steps = choose(curves_now, assumed)
        while steps == chosen and assumed < _MOST * room:  # the model fears more than there is
            assumed /= _RETREAT
            steps = choose(curves_now, assumed)
        if steps in over or steps == chosen:
            break
        found = _measured(arranged, steps, palettes, yardstick)
        if found.mean_squared_error > budget:
            over.add(steps)
        elif best is None or found.mean_squared_error > best.mean_squared_error:
            best, chosen = found, steps
            if found.mean_squared_error - spent >= _CLOSE_ENOUGH * room:
                break
        assumed *= _MARGIN * room / max(found.mean_squared_error - spent, room / 10)
    if best is not None:
        return best
    progress(_TRIES / (_TRIES + 1), "falling back to the finest steps")
    return _measured(arranged, Steps(), palettes, yardstick)


def attempt(
    arranged: Arranged,
    curves: Sequence[Curve],
    palettes: PaletteCurve | None,
    budget: float,
    yardstick: Yardstick,
) -> Found:
    """What the curves alone say is best for `budget`, measured; it may miss."""
    steps = choose([*curves, palettes.curve()] if palettes else list(curves), budget)
    return _measured(arranged, steps, palettes, yardstick)


def _measured(arranged: Arranged, steps: Steps, palettes: PaletteCurve | None, yardstick: Yardstick) -> Found:
    if palettes:
        steps = replace(steps, bit_price=palettes.bit_price)
    codes = quantise(
        arranged.gaussians, arranged.sensitivity, steps, palettes.palette(steps.palette_size) if palettes else None
    )
    return Found(codes, steps, yardstick.mean_squared_error(dequantise(codes)))


def _error(curves: Sequence[Curve], picks: Sequence[int]) -> float:
    return float(sum(curve.error[pick] for curve, pick in zip(curves, picks, strict=True)))


def _steps(curves: Sequence[Curve], picks: Sequence[int]) -> Steps:
    values: dict[str, Any] = {curve.name: curve.values[pick] for curve, pick in zip(curves, picks, strict=True)}
    return Steps(**values)
