"""A splat made ready for the search: what matters in it, what is left out, and what its palettes cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from compressor.encode.arranged import Arranged, Progress
from compressor.encode.calibration import calibrated
from compressor.encode.compensation import Compensation
from compressor.encode.fitting import MOST_FITTED, Sights, sights
from compressor.encode.outliers import strays
from compressor.encode.palettes import PaletteCurve, measure_palettes
from compressor.encode.pruning import Thinned, thin
from compressor.encode.quality import Yardstick
from compressor.encode.search import Found, best_size, first_price, first_try, price_for, rounded_at, search
from compressor.encode.sensitivity import cameras_of, measure_sensitivity
from compressor.framing import Framing
from compressor.sog.codes import MAX_PALETTE
from splat.camera import View
from splat.gaussians import Gaussians

# this part of the error is left after a fit, on trained scenes
_USUAL_GAIN = 0.8


@dataclass(frozen=True)
class Prepared:
    """A splat ready to be searched; `spent`: the error of what was left out of it."""

    arranged: Arranged
    palettes: PaletteCurve | None
    spent: float
    compensation: Compensation | None

    def search(self, budget: float, yardstick: Yardstick, progress: Progress) -> Found:
        """The smallest content within an error of `budget` against the yardstick's pictures; where none is, the finest.

        The palette's size goes with the price until one is within: with it fixed the error is smooth in the price.
        """
        room = budget - self.spent
        if room > 0:
            start = price_for(first_try(self.arranged, self.palettes, room, yardstick), room, self.spent)

            def rounded(price: float, within: Found | None) -> Found:
                size = within.coarseness.palette_size if within else best_size(self.palettes, price)
                return rounded_at(price, size, self.arranged, self.palettes, yardstick)

            found = None
            if compensation := self.compensation:
                found = search(
                    lambda price, within: compensation.fitted(rounded(price, within), yardstick),
                    start / _USUAL_GAIN, budget, progress, spent=self.spent,
                )  # fmt: skip
            if found := found or search(rounded, start, budget, progress, spent=self.spent):
                return found
        return rounded_at(0.0, MAX_PALETTE, self.arranged, self.palettes, yardstick)


def measured(gaussians: Gaussians, views: Sequence[View], framing: Framing, check_stop: Callable[[], None]) -> Arranged:
    """Arranged `gaussians` with what matters in pictures, without strays where there are `views`."""
    arranged = Arranged(gaussians, measure_sensitivity(gaussians, views, framing, check_stop))
    stray = strays(gaussians, arranged.sensitivity.seen) if views else np.zeros(len(gaussians), dtype=np.bool_)
    return arranged.select(~stray) if stray.any() else arranged


def sights_of(arranged: Arranged, views: Sequence[View], framing: Framing) -> Sights | None:
    """What can be fitted to; None without `views`, or where a fit would take too long."""
    return sights(arranged.gaussians, cameras_of(views, framing)) if views and len(arranged) <= MOST_FITTED else None


def prepare(
    arranged: Arranged,
    budget: float,
    yardstick: Yardstick,
    seen: Sights | None,
    progress: Progress,
    check_stop: Callable[[], None],
    *,
    leave_out: bool,
) -> Prepared:
    """Measure palettes for a squared error of about `budget`.

    Gaussians that it has room to leave out are, with `leave_out`.
    """
    progress(0.0, "leaving out what nobody misses")
    thinned = thin(arranged, budget, yardstick, seen, check_stop) if leave_out else Thinned(arranged, 0.0)
    left = thinned.arranged
    some = yardstick if len(left) <= MOST_FITTED else yardstick.every_other()
    own = some if left is arranged else some.of(left.gaussians)
    left = calibrated(left, first_price(left, budget), own, check_stop)
    palettes = measure_palettes(left, own, budget, part(progress, 0.3, 0.7))
    compensation = Compensation(left, palettes, seen, check_stop) if seen else None
    return Prepared(left, palettes, thinned.error, compensation)


def part(progress: Progress, start: float, length: float) -> Progress:
    """Progress of a part of the work that is `length` of the whole."""
    return lambda share, text: progress(start + length * share, text)
