"""Prune the Gaussians that matter least in pictures, and fit the others to compensate.

A picture is linear in each opacity by itself, so its sensitivity predicts the error of removing one Gaussian. The
errors add up; opacities and colours of the others, fitted to the original's pictures, recover most of it. Fan et al.,
LightGaussian: Unbounded 3D Gaussian Compression with 15x Reduction and 200+ FPS, 2024, prune and recover likewise.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from compressor.encode.arranged import Arranged
from compressor.encode.fitting import Sights, fitted
from compressor.encode.quality import Yardstick
from compressor.sog.codes import Float32
from splat.gaussians import opacity_of

# measured on trained scenes: pruning a tenth more of the Gaussians costs five times the error; files are smallest
# if pruning uses this part of the budget
_SHARE = 1 / 4
# the factor by which the fit reduces the error (6 dB after four rounds over 36 views)
_RECOVERED = 4.0
_TOLERANCE = 1.5  # the measured error may exceed what was allowed by this factor
_SHARES = tuple(share / 64 for share in range(1, 20))
_ROUNDS = 4


@dataclass(frozen=True)
class Pruned:
    """The remaining Gaussians, and the mean squared error of their pictures against those of all."""

    arranged: Arranged
    error: float


@dataclass(frozen=True)
class Pruner:
    """Prunes a splat for one budget after another; the splat without a share of its Gaussians is drawn once for all.

    The rest is fitted to the pictures `seen` of all; without these nothing is fitted, and fewer are pruned.
    """

    arranged: Arranged
    yardstick: Yardstick
    seen: Sights | None
    check_stop: Callable[[], None]
    _errors: dict[float, float] = field(default_factory=dict, init=False)  # by share

    def prune(self, budget: float) -> Pruned:
        """Prune as many Gaussians as a quarter of the squared error `budget` allows, and fit the rest."""
        allowed = _SHARE * budget
        if self.seen and (share := self._largest_share(_RECOVERED * allowed)):
            left = self._without(share)
            left = replace(left, gaussians=fitted(left.gaussians, self.seen, _ROUNDS, self.check_stop))
            found = self.yardstick.mean_squared_error(left.gaussians)
            if found <= _TOLERANCE * allowed:
                return Pruned(left, found)
        if not (share := self._largest_share(allowed)):
            return Pruned(self.arranged, 0.0)
        left = self._without(share)
        found = self.yardstick.mean_squared_error(left.gaussians)
        return Pruned(left, found) if found <= _TOLERANCE * allowed else Pruned(self.arranged, 0.0)

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        return np.argsort(missed(self.arranged))

    def _without(self, share: float) -> Arranged:
        return self.arranged.select(np.sort(self._order[int(share * len(self._order)) :]))

    def _error(self, share: float) -> float:
        if share not in self._errors:
            self.check_stop()
            some = self.yardstick.every_other()
            self._errors[share] = some.mean_squared_error(self._without(share).gaussians)
        return self._errors[share]

    def _largest_share(self, error_allowed: float) -> float:
        place = bisect_right(_SHARES, error_allowed, key=self._error)
        return _SHARES[place - 1] if place else 0.0


def missed(arranged: Arranged) -> Float32:
    """Expected squared error (N,) of the pictures without each Gaussian alone."""
    # d picture / d opacity is that by the logit over α(1 − α), and the opacity changes by α
    left = np.maximum(1 - opacity_of(arranged.gaussians.opacities), 1 / 255)
    return np.asarray(arranged.sensitivity.opacities / np.square(left), dtype=np.float32)
