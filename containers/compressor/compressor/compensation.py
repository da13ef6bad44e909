"""What rounding lost, opacities and constant colours make up for as far as they can; they are rounded last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from compressor.curves import Arranged, PaletteCurve
from compressor.fitting import Sights, fitted
from compressor.quality import Yardstick
from compressor.search import Found
from compressor.sog.codes import Float32
from compressor.sog.decoder import dequantise
from compressor.sog.encoder import recoloured
from compressor.sog.harmonics import absorb

# the first fit starts from nothing, later ones from the one before
_ROUNDS, _ROUNDS_AGAIN = 4, 2
_TRIES = 3
_CLOSE_ENOUGH = 0.96  # of the budget used
_USUAL_GAIN = 0.86  # this part of the error is left after a fit, on trained scenes
_MARGIN = 0.985


@dataclass
class Compensation:
    """Fits a rounded splat's opacities and colours to what is `seen` of the original, and learns what that gains."""

    arranged: Arranged
    palettes: PaletteCurve | None
    seen: Sights
    check_stop: Callable[[], None]
    gain: float = _USUAL_GAIN
    shifts: tuple[Float32, Float32] | None = None  # of opacities and colours, as fitted last

    def smallest(self, budget: float, rounded: Callable[[float], Found], yardstick: Yardstick) -> Found:
        """The smallest content within an error of `budget`; `rounded` finds one within an error before the fit."""
        best: Found | None = None
        for _ in range(_TRIES):
            wanted = _MARGIN * budget / self.gain
            before = rounded(wanted)
            found = self.fitted(before, yardstick)
            if found.mean_squared_error <= budget and (
                best is None or found.mean_squared_error > best.mean_squared_error
            ):
                best = found
            used = found.mean_squared_error / budget
            if _CLOSE_ENOUGH <= used <= 1 or before.mean_squared_error > wanted:
                break
            self.gain = found.mean_squared_error / before.mean_squared_error
        return best or rounded(budget)

    def fitted(self, found: Found, yardstick: Yardstick) -> Found:
        """`found` with other opacities and colours."""
        gaussians, sensitivity = self.arranged.gaussians, self.arranged.sensitivity
        palette = self.palettes.palette(found.steps.palette_size) if self.palettes else None
        own = replace(
            dequantise(found.codes), opacities=gaussians.opacities, sh0=absorb(gaussians, sensitivity, palette)
        )
        start = own
        if self.shifts:
            start = replace(own, opacities=own.opacities + self.shifts[0], sh0=own.sh0 + self.shifts[1])
        better = fitted(start, self.seen, _ROUNDS_AGAIN if self.shifts else _ROUNDS, self.check_stop)
        self.shifts = better.opacities - own.opacities, better.sh0 - own.sh0
        codes = recoloured(found.codes, better, sensitivity, found.steps)
        return Found(codes, found.steps, yardstick.mean_squared_error(dequantise(codes)))
