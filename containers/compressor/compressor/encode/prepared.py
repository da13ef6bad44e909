"""Prepare a splat for the search: measure sensitivities, remove outliers, calibrate, measure palettes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compressor.encode.arranged import Arranged
from compressor.encode.calibration import calibrated
from compressor.encode.compensation import Compensation
from compressor.encode.fitting import Sights
from compressor.encode.outliers import outliers
from compressor.encode.pace import Pace
from compressor.encode.palettes import PaletteCurve, measure_palettes
from compressor.encode.pruning import Pruned
from compressor.encode.quality import Yardstick
from compressor.encode.search import (
    MAX_TRIES,
    Found,
    best_size,
    first_lambda,
    first_try,
    lambda_for,
    rounded_at,
    search,
)
from compressor.encode.sensitivity import measure_sensitivity
from compressor.encode.viewpoints import MAX_EXPLORED
from compressor.framing import Framing
from compressor.sog.codes import MAX_PALETTE
from splat.camera import View
from splat.gaussians import Gaussians

# the share of the error that a fit usually leaves on trained scenes
_USUAL_GAIN = 0.8
_FITTED_BY = 0.7  # share of the time after which no fit is begun, because it could not end in time
_LARGE = 200_000  # Gaussians above which a ratio of errors is measured on only half of the pictures


@dataclass(frozen=True)
class Prepared:
    """A splat ready to be searched; `spent`: the squared error that pruning cost."""

    arranged: Arranged
    palettes: PaletteCurve | None
    spent: float
    compensation: Compensation | None

    def search(
        self, budget: float, yardstick: Yardstick, pace: Pace, *, near: Found | None = None, tries: int = MAX_TRIES
    ) -> Found:
        """The smallest content within an error of `budget` against the yardstick's pictures; the finest if none is.

        The size of the palette follows λ until a file is within the budget; from then on it is fixed, which makes the
        error a smooth function of λ. `near`: content found for another budget, from which to start, unless it is the
        finest: its λ is 0, which says nothing about other errors.
        """
        room = budget - self.spent
        if near and near.coarseness.lambda_ == 0:
            near = None
        if room > 0:
            start = lambda_for(near or first_try(self.arranged, self.palettes, room, yardstick), room, self.spent)

            def rounded(lambda_: float, within: Found | None) -> Found:
                size = within.coarseness.palette_size if within else best_size(self.palettes, lambda_)
                return rounded_at(lambda_, size, self.arranged, self.palettes, yardstick)

            found = None
            if (compensation := self.compensation) and pace.allows(0, until=_FITTED_BY):
                gain = 1.0 if near else _USUAL_GAIN  # `near` already includes the gain
                found = search(
                    lambda lambda_, within: compensation.fitted(rounded(lambda_, within), yardstick),
                    start / gain, budget, pace, spent=self.spent, tries=tries,
                )  # fmt: skip
            if found := found or search(rounded, start, budget, pace, spent=self.spent, tries=tries):
                return found
        return rounded_at(0.0, MAX_PALETTE, self.arranged, self.palettes, yardstick)


def measured(
    gaussians: Gaussians, views: Sequence[View], framing: Framing, pace: Pace, limit: int = MAX_EXPLORED, *,
    antialiased: bool = False,
) -> tuple[Arranged, Sights | None]:  # fmt: skip
    """Arranged `gaussians` with their sensitivities, without outliers, and pictures of them to fit to.

    For a splat without `views`, nothing is removed or fitted, because it is unknown what its cameras saw. `limit`: the
    maximum number of pictures from which sensitivities are measured. `antialiased`: whether the splat has that mark.
    """
    pace.begin(1)
    sensitivity, seen = measure_sensitivity(gaussians, views, framing, pace, limit, antialiased=antialiased)
    arranged = Arranged(gaussians, sensitivity)
    if not views:
        return arranged, None
    outlier = outliers(gaussians, sensitivity.seen)
    return arranged.select(~outlier) if outlier.any() else arranged, seen


def prepare(
    pruned: Pruned, budget: float, yardstick: Yardstick, seen: Sights | None, pace: Pace
) -> Prepared:  # fmt: skip
    """Calibrate and measure palettes for a squared error of about `budget`.

    `yardstick` measures against the complete splat; rounded splats are fitted to its pictures `seen`, if given.
    """
    pace.begin(2)
    left = pruned.arranged
    some = yardstick if len(left) <= _LARGE else yardstick.every_other()
    own = some.of(left.gaussians) if pruned.error else some
    left = calibrated(left, first_lambda(left, budget), own, pace)
    palettes = measure_palettes(left, own, budget, pace)
    compensation = Compensation(left, palettes, seen, pace) if seen else None
    return Prepared(left, palettes, pruned.error, compensation)
