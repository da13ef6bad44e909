"""Rate-distortion search: the fewest bytes whose pictures stay within an error.

Everything is rounded at one price for a bit (Shoham and Gersho, Efficient bit allocation for an arbitrary set of
quantizers, 1988: at equal slopes no bit is better spent elsewhere), so there is one number to search. The error of the
pictures is nearly a power of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from compressor.encode.arranged import Arranged, Progress
from compressor.encode.encoder import Coarseness, quantise
from compressor.encode.palettes import PaletteCurve
from compressor.encode.quality import Yardstick
from compressor.sog.codes import Codes
from compressor.sog.decoder import dequantise

_TRIES = 6
_CLOSE_ENOUGH = 0.94  # of the budget used: another try is not worth its render
_AIM = 0.975
# measured on trained scenes: the pictures' error for each Gaussian and price, and the power of the price it grows with
_ERROR_OF_PRICE = 20.0
_POWER = 0.9
# what pictures show of an error is about this many times what is foretold
_SHOWN = 1.5
_LEAST_POWER, _MOST_POWER = 0.5, 2.0


@dataclass(frozen=True)
class Found:
    """The outcome of a search."""

    codes: Codes
    coarseness: Coarseness
    mean_squared_error: float


def search(
    attempt: Callable[[float, Found | None], Found],
    price: float,
    budget: float,
    progress: Progress,
    *,
    spent: float = 0.0,
) -> Found | None:
    """The coarsest found whose measured error is within `budget`, `spent` of it before any rounding; None without one.

    `attempt` makes the content at a price for a bit, of which the first is `price`, and is told the best so far.
    """
    room = budget - spent
    tried: list[tuple[float, float]] = []  # logarithms of price and of the error it caused
    best: Found | None = None
    for number in range(_TRIES):
        progress(number / _TRIES, "searching the smallest file")
        found = attempt(price, best)
        error = max(found.mean_squared_error - spent, room / 1000)
        if error <= room and (best is None or found.coarseness.bit_price > best.coarseness.bit_price):
            if best is None:
                tried.clear()  # of other palettes
            best = found
        if _CLOSE_ENOUGH * room <= error <= room:
            break
        tried.append((math.log(price), math.log(error)))
        price = math.exp(_next(tried, math.log(_AIM * room)))
    return best


def first_price(arranged: Arranged, error: float) -> float:
    """The price for a bit at which pictures should miss by about `error`."""
    return error / (_ERROR_OF_PRICE * len(arranged))


def price_for(tried: Found, error: float, spent: float) -> float:
    """The price at which pictures should miss by `error` more than `spent`, after one try."""
    power = math.log(error / max(tried.mean_squared_error - spent, error / 1000)) / _POWER
    return tried.coarseness.bit_price * math.exp(power)


def best_size(palettes: PaletteCurve | None, price: float) -> int:
    """The palette that pays at a price for a bit; 0 where there are no higher colour coefficients."""
    return palettes.best(_SHOWN * price) if palettes else 0


def first_try(arranged: Arranged, palettes: PaletteCurve | None, error: float, yardstick: Yardstick) -> Found:
    """Content that should miss by about `error`; no palette is built for it."""
    price = first_price(arranged, error)
    size = palettes.best(_SHOWN * price, built=True) if palettes else 0
    return rounded_at(price, size, arranged, palettes, yardstick)


def rounded_at(
    price: float, size: int, arranged: Arranged, palettes: PaletteCurve | None, yardstick: Yardstick
) -> Found:
    """The content at a price for a bit (the finest at 0) and with a palette of `size`, measured."""
    coarseness = Coarseness(price, palettes.label_price if palettes else 0.0, size)
    palette = palettes.palette(size) if palettes else None
    codes = quantise(arranged.gaussians, arranged.sensitivity, coarseness, palette)
    return Found(codes, coarseness, yardstick.mean_squared_error(dequantise(codes)))


def _next(tried: list[tuple[float, float]], goal: float) -> float:
    """The price to try next: between the nearest ones on both sides of the goal, or beyond the last."""
    below = max((point for point in tried if point[1] <= goal), default=None)
    above = min((point for point in tried if point[1] > goal), default=None)
    if below and above and below[0] < above[0]:
        share = (goal - below[1]) / (above[1] - below[1])
        return below[0] + float(np.clip(share, 0.1, 0.9)) * (above[0] - below[0])
    x, y = tried[-1]
    power = _POWER
    if len(tried) > 1 and tried[-2][0] != x:
        power = float(np.clip((y - tried[-2][1]) / (x - tried[-2][0]), _LEAST_POWER, _MOST_POWER))
    return x + (goal - y) / power
