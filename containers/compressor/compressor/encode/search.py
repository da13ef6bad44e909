"""Search for the fewest bytes whose pictures stay within an error.

Everything is rounded at one λ (Shoham and Gersho, Efficient bit allocation for an arbitrary set of
quantizers, 1988: at equal slopes no bit is better spent elsewhere), so there is one number to search. The error of the
pictures is nearly a power of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from compressor.encode.arranged import Arranged
from compressor.encode.encoder import Coarseness, quantise
from compressor.encode.pace import Pace
from compressor.encode.palettes import PaletteCurve
from compressor.encode.quality import Yardstick
from compressor.sog.codes import Codes
from compressor.sog.decoder import dequantise

MAX_TRIES = 6
_CLOSE_ENOUGH = 0.94  # share of the budget used above which another try is not worth its render
_AIM = 0.975
_SAFE_AIM = 0.6  # share of the budget at which the last try aims, if none was within it
# measured on trained scenes: the pictures' error per Gaussian and λ, and the power of λ that it grows with
_ERROR_OF_LAMBDA = 20.0
_POWER = 0.9
# the rendered error is about this many times the predicted one
_SHOWN = 1.5
_MIN_POWER, _MAX_POWER = 0.5, 2.0


@dataclass(frozen=True)
class Found:
    """The outcome of a search."""

    codes: Codes
    coarseness: Coarseness
    mean_squared_error: float


def search(
    attempt: Callable[[float, Found | None], Found],
    lambda_: float,
    budget: float,
    pace: Pace,
    *,
    spent: float = 0.0,
    tries: int = MAX_TRIES,
) -> Found | None:
    """Find the largest λ whose pictures stay within an error.

    Parameters
    ----------
    attempt: makes the content at a λ; its second argument is the best found so far, None at first.
    lambda_: the start value, above 0: squared image error accepted per bit saved (`first_try` has a good guess).
    budget: the mean squared error allowed in the pictures, whose colours are 0..1.
    spent: the part of it that pruning and fitting have used before any rounding; 0 by default.
    pace: the CPU seconds left; a try begins only if it should end in time.
    tries: the maximum number of tries; 6 by default. If none is within the budget, one more aims at 0.6 of it.

    Returns the coarsest content whose measured error is within `budget`; None if no try was.

    Source: Shoham and Gersho 1988 for one λ; the next λ by a power law through the last two tries.
    """
    room = budget - spent
    tried: list[tuple[float, float]] = []  # logarithms of λ and of the error it caused
    best: Found | None = None
    last = False
    for number in range(1, tries + 2):
        pace.begin(3)
        before = pace.spent
        found = attempt(lambda_, best)
        error = max(found.mean_squared_error - spent, room / 1000)
        if error <= room and (best is None or found.coarseness.lambda_ > best.coarseness.lambda_):
            if best is None:
                tried.clear()  # these were with other palettes
            best = found
        if last or _CLOSE_ENOUGH * room <= error <= room:
            break
        tried.append((math.log(lambda_), math.log(error)))
        last = number >= tries or not pace.allows(pace.spent - before)
        if last and best:
            break
        lambda_ = math.exp(_next(tried, math.log((_SAFE_AIM if last else _AIM) * room)))
    return best


def first_lambda(arranged: Arranged, error: float) -> float:
    """The λ at which the rendered error should be about `error`."""
    return error / (_ERROR_OF_LAMBDA * len(arranged))


def lambda_for(tried: Found, error: float, spent: float) -> float:
    """The λ at which the rendered error should be `spent` + `error`, extrapolated from one trial."""
    power = math.log(error / max(tried.mean_squared_error - spent, error / 1000)) / _POWER
    return tried.coarseness.lambda_ * math.exp(power)


def best_size(palettes: PaletteCurve | None, lambda_: float) -> int:
    """The size of palette with the least cost at λ; 0 if there are no higher colour coefficients."""
    return palettes.best(_SHOWN * lambda_) if palettes else 0


def first_try(arranged: Arranged, palettes: PaletteCurve | None, error: float, yardstick: Yardstick) -> Found:
    """Content whose rendered error should be about `error`; no palette is built for it."""
    lambda_ = first_lambda(arranged, error)
    size = palettes.best(_SHOWN * lambda_, built=True) if palettes else 0
    return rounded_at(lambda_, size, arranged, palettes, yardstick)


def rounded_at(
    lambda_: float, size: int, arranged: Arranged, palettes: PaletteCurve | None, yardstick: Yardstick
) -> Found:
    """The content at λ (the finest at 0) and with a palette of `size`, measured."""
    coarseness = Coarseness(lambda_, palettes.label_lambda if palettes else 0.0, size)
    palette = palettes.palette(size) if palettes else None
    codes = quantise(arranged.gaussians, arranged.sensitivity, coarseness, palette)
    return Found(codes, coarseness, yardstick.mean_squared_error(dequantise(codes)))


def _next(tried: list[tuple[float, float]], goal: float) -> float:
    """Logarithm of the λ to try next: between the nearest ones on both sides of the goal, or beyond the last."""
    below = max((point for point in tried if point[1] <= goal), default=None)
    above = min((point for point in tried if point[1] > goal), default=None)
    if below and above and below[0] < above[0]:
        share = (goal - below[1]) / (above[1] - below[1])
        return below[0] + float(np.clip(share, 0.1, 0.9)) * (above[0] - below[0])
    x, y = tried[-1]
    power = _POWER
    if len(tried) > 1 and tried[-2][0] != x:
        power = float(np.clip((y - tried[-2][1]) / (x - tried[-2][0]), _MIN_POWER, _MAX_POWER))
    return x + (goal - y) / power
