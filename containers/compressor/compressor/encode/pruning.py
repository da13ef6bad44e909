"""Prune the Gaussians that matter least in pictures, and fit the others to compensate.

A picture is linear in each opacity by itself, so its sensitivity predicts the error of removing one Gaussian. The
errors add up; opacities and colours of the others, fitted to the original's pictures, recover most of it. Fan et al.,
LightGaussian: Unbounded 3D Gaussian Compression with 15x Reduction and 200+ FPS, 2024, prune and recover likewise.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from compressor.encode.arranged import Arranged
from compressor.encode.fitting import Sights, fitted, visits_for
from compressor.encode.quality import Yardstick
from compressor.sog.codes import Float32
from splat.gaussians import opacity_of

# measured on trained scenes: pruning a tenth more of the Gaussians costs five times the error; files are smallest
# where pruning gets this part of the budget
_SHARE = 1 / 4
# what the fit recovers, as a factor of the error (6 dB after four rounds over 36 views)
_RECOVERED = 4.0
_TOLERANCE = 1.5  # the measured error may exceed what was allowed by this factor
_SHARES = tuple(share / 64 for share in range(1, 20))
_ROUNDS = 4


@dataclass(frozen=True)
class Pruned:
    """The remaining Gaussians, and the mean squared error of their pictures against those of all."""

    arranged: Arranged
    error: float


def prune(
    arranged: Arranged, budget: float, yardstick: Yardstick, seen: Sights | None, check_stop: Callable[[], None]
) -> Pruned:
    """Prune as many Gaussians as a quarter of the squared error `budget` allows, and fit the rest.

    They are fitted to the pictures `seen` of all; without these nothing is fitted, and fewer are pruned.
    """
    order = np.argsort(missed(arranged))
    allowed = _SHARE * budget

    def without(share: float) -> Arranged:
        return arranged.select(np.sort(order[int(share * len(order)) :]))

    some = yardstick.every_other()

    def error(share: float) -> float:
        check_stop()
        return some.mean_squared_error(without(share).gaussians)

    def largest_share(error_allowed: float) -> float:
        place = bisect_right(_SHARES, error_allowed, key=error)
        return _SHARES[place - 1] if place else 0.0

    if seen and (share := largest_share(_RECOVERED * allowed)):
        left = without(share)
        left = replace(left, gaussians=fitted(left.gaussians, seen, visits_for(len(left), _ROUNDS, seen), check_stop))
        found = yardstick.mean_squared_error(left.gaussians)
        if found <= _TOLERANCE * allowed:
            return Pruned(left, found)
    if not (share := largest_share(allowed)):
        return Pruned(arranged, 0.0)
    left = without(share)
    found = yardstick.mean_squared_error(left.gaussians)
    return Pruned(left, found) if found <= _TOLERANCE * allowed else Pruned(arranged, 0.0)


def missed(arranged: Arranged) -> Float32:
    """Expected squared error (N,) of the pictures without each Gaussian alone."""
    # d picture / d opacity is that by the logit over α(1 − α), and the opacity changes by α
    left = np.maximum(1 - opacity_of(arranged.gaussians.opacities), 1 / 255)
    return np.asarray(arranged.sensitivity.opacities / np.square(left), dtype=np.float32)
