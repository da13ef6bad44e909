"""Prepare a splat for the search: measure sensitivities, remove outliers, prune, calibrate, measure palettes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from compressor.encode.arranged import Arranged, Progress
from compressor.encode.calibration import calibrated
from compressor.encode.compensation import Compensation
from compressor.encode.fitting import MAX_FITTED, Sights, sights
from compressor.encode.outliers import outliers
from compressor.encode.palettes import PaletteCurve, measure_palettes
from compressor.encode.pruning import Pruned, prune
from compressor.encode.quality import Yardstick
from compressor.encode.search import Found, best_size, first_lambda, first_try, lambda_for, rounded_at, search
from compressor.encode.sensitivity import measure_sensitivity
from compressor.encode.viewpoints import exploring_cameras
from compressor.framing import Framing
from compressor.sog.codes import MAX_PALETTE
from splat.camera import View
from splat.gaussians import Gaussians

# this part of the error is left after a fit, on trained scenes
_USUAL_GAIN = 0.8


@dataclass(frozen=True)
class Prepared:
    """A splat ready to be searched; `spent`: the squared error that pruning cost."""

    arranged: Arranged
    palettes: PaletteCurve | None
    spent: float
    compensation: Compensation | None

    def search(self, budget: float, yardstick: Yardstick, progress: Progress) -> Found:
        """The smallest content within an error of `budget` against the yardstick's pictures; where none is, the finest.

        The size of the palette follows λ until a file is within the budget; from then on it is fixed, which makes the
        error a smooth function of λ.
        """
        room = budget - self.spent
        if room > 0:
            start = lambda_for(first_try(self.arranged, self.palettes, room, yardstick), room, self.spent)

            def rounded(lambda_: float, within: Found | None) -> Found:
                size = within.coarseness.palette_size if within else best_size(self.palettes, lambda_)
                return rounded_at(lambda_, size, self.arranged, self.palettes, yardstick)

            found = None
            if compensation := self.compensation:
                found = search(
                    lambda lambda_, within: compensation.fitted(rounded(lambda_, within), yardstick),
                    start / _USUAL_GAIN, budget, progress, spent=self.spent,
                )  # fmt: skip
            if found := found or search(rounded, start, budget, progress, spent=self.spent):
                return found
        return rounded_at(0.0, MAX_PALETTE, self.arranged, self.palettes, yardstick)


def measured(gaussians: Gaussians, views: Sequence[View], framing: Framing, check_stop: Callable[[], None]) -> Arranged:
    """Arranged `gaussians` with their sensitivities, without outliers where there are `views`."""
    arranged = Arranged(gaussians, measure_sensitivity(gaussians, views, framing, check_stop))
    outlier = outliers(gaussians, arranged.sensitivity.seen) if views else np.zeros(len(gaussians), dtype=np.bool_)
    return arranged.select(~outlier) if outlier.any() else arranged


def sights_of(arranged: Arranged, views: Sequence[View], framing: Framing) -> Sights | None:
    """The pictures to fit to; None without `views`, or where a fit would take too long."""
    if not views or len(arranged) > MAX_FITTED:
        return None
    return sights(arranged.gaussians, exploring_cameras(arranged.gaussians, views, framing))


def prepare(
    arranged: Arranged,
    budget: float,
    yardstick: Yardstick,
    seen: Sights | None,
    progress: Progress,
    check_stop: Callable[[], None],
    *,
    pruning: bool,
) -> Prepared:
    """Calibrate and measure palettes for a squared error of about `budget`, after pruning with `pruning`.

    `yardstick` and `seen` are pictures of the whole splat.
    """
    progress(0.0, "pruning Gaussians")
    pruned = prune(arranged, budget, yardstick, seen, check_stop) if pruning else Pruned(arranged, 0.0)
    left = pruned.arranged
    some = yardstick if len(left) <= MAX_FITTED else yardstick.every_other()
    own = some if left is arranged else some.of(left.gaussians)
    left = calibrated(left, first_lambda(left, budget), own, check_stop)
    palettes = measure_palettes(left, own, budget, part(progress, 0.3, 0.7))
    compensation = Compensation(left, palettes, seen, check_stop) if seen else None
    return Prepared(left, palettes, pruned.error, compensation)


def part(progress: Progress, start: float, length: float) -> Progress:
    """Progress of a part of the work that is `length` of the whole."""
    return lambda share, text: progress(start + length * share, text)
