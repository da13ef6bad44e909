"""What is due when on a GPU: sizes of pictures, growth, learning rates, as pure functions of the step."""

from __future__ import annotations

import math
from dataclasses import dataclass

_PHASES = ((1 / 6, 0.25), (1 / 2, 0.5), (1.0, 1.0))  # up to which share of the steps, and the pictures' size
FACTORS = tuple(factor for _, factor in _PHASES)
_GROWTH_FROM, _GROWTH_TO = 0.05, 0.75
_REFINEMENTS = 30  # at most
_MIN_STEPS_BETWEEN = 10

SHORT_RUN, LONG_RUN = 2_000, 30_000  # steps
_LONG_RUN_SHARE = 0.25  # of the short run's learning rates


def picture_factor(step: int, steps: int) -> float:
    """Size of the pictures at `step` (0-based) relative to full: a quarter, a half, whole from half of the way on."""
    done = (step + 1) / steps
    return next(factor for until, factor in _PHASES if done < until or until == 1.0)


def pixels_shown(step: int, steps: int) -> float:
    """Pixels of the pictures of the first `step` steps, in whole pictures."""
    shown, begun = 0.0, 0.0
    for until, factor in _PHASES:
        shown += factor**2 * max(0.0, min(step / steps, until) - begun)
        begun = until
    return shown * steps


def rate_share(steps: int) -> float:
    """What the learning rates of a run of `steps` are multiplied by.

    A run of some thousand steps ends too early with the reference implementation's rates; a long one keeps jumping with
    rates for a short one. Between 2,000 and 30,000 steps they fall to a quarter, which is about the reference's.
    """
    length = min(max(steps, SHORT_RUN), LONG_RUN)
    return float(_LONG_RUN_SHARE ** (math.log(length / SHORT_RUN) / math.log(LONG_RUN / SHORT_RUN)))


@dataclass(frozen=True)
class Growth:
    """When to refine, and how many Gaussians there may be then.

    They come as pixels do: a Gaussian placed by a small picture has to be placed again by the whole one. By the first
    whole picture a fifth of the growth is done; the rest is placed by what whole pictures show, and the last quarter of
    the run only fits it. After Chen et al. 2025 (DashGaussian), who grow with the resolution too.
    """

    steps: int
    first: int
    last: int
    every: int

    @classmethod
    def of(cls, steps: int) -> Growth:
        first, last = max(1, round(_GROWTH_FROM * steps)), round(_GROWTH_TO * steps)
        return cls(steps, first, last, max(_MIN_STEPS_BETWEEN, (last - first) // _REFINEMENTS))

    def due(self, step: int) -> bool:
        """Whether to refine after `step`."""
        return self.first <= step <= self.last and (step - self.first) % self.every == 0

    def allowed(self, step: int, start: int, cap: int) -> int:
        """Gaussians allowed after refining at `step`, from `start` to `cap`."""
        last_due = self.first + (self.last - self.first) // self.every * self.every
        share = pixels_shown(min(step, last_due), self.steps) / pixels_shown(max(last_due, 1), self.steps)
        return max(start, round(start + (cap - start) * min(1.0, share)))
