"""Watch a training run: its PSNR curve, a picture at each point of the curve, and whether to stop early."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_POINTS = 12  # at least, of a curve
_MAX_STEPS_BETWEEN = 500
PATIENCE = 6  # points without a gain
MIN_GAIN = 0.05  # dB


@dataclass(frozen=True)
class CurvePoint:
    """PSNR in dB over the watched views (held out where there are any) after `step` steps and `seconds` of training."""

    step: int
    gaussians: int
    psnr: float
    seconds: float


def due(step: int, steps: int) -> bool:
    """Whether the curve gets a point after `step` (1-based) of `steps`: a dozen, more of a long run, and the last."""
    every = min(max(1, steps // _POINTS), _MAX_STEPS_BETWEEN)
    return step % every == 0 or step == steps


def plateaued(curve: Sequence[CurvePoint], settled: int) -> bool:
    """Whether the last points brought no gain worth the time. `settled` is the step after which no Gaussian is added:
    before it nothing is a plateau.
    """
    since = [point.psnr for point in curve if point.step > settled]
    return len(since) > PATIENCE and max(since[-PATIENCE:]) < max(since[:-PATIENCE]) + MIN_GAIN
