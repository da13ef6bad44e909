"""Compensate rounding errors with opacities and constant colours, which are rounded last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from compressor.encode.arranged import Arranged
from compressor.encode.encoder import recoloured
from compressor.encode.fitting import Sights, fitted
from compressor.encode.harmonics import absorb
from compressor.encode.palettes import PaletteCurve
from compressor.encode.quality import Yardstick
from compressor.encode.search import Found
from compressor.sog.codes import Float32
from compressor.sog.decoder import dequantise

# rounds of a fit over all cameras: the first fit starts from scratch, later ones from the previous fit
_FIRST_ROUNDS, _LATER_ROUNDS = 6, 3


@dataclass
class Compensation:
    """Fits a rounded splat's opacities and colours to the original's pictures, `seen`."""

    arranged: Arranged
    palettes: PaletteCurve | None
    seen: Sights
    check_stop: Callable[[], None]
    shifts: tuple[Float32, Float32] | None = None  # of opacities and colours, by the last fit

    def fitted(self, found: Found, yardstick: Yardstick) -> Found:
        """`found` with opacities and colours fitted to the pictures."""
        gaussians, sensitivity = self.arranged.gaussians, self.arranged.sensitivity
        palette = self.palettes.palette(found.coarseness.palette_size) if self.palettes else None
        own = replace(
            dequantise(found.codes), opacities=gaussians.opacities, sh0=absorb(gaussians, sensitivity, palette)
        )
        start = own
        if self.shifts:
            start = replace(own, opacities=own.opacities + self.shifts[0], sh0=own.sh0 + self.shifts[1])
        rounds = _LATER_ROUNDS if self.shifts else _FIRST_ROUNDS
        better = fitted(start, self.seen, rounds, self.check_stop)
        self.shifts = better.opacities - own.opacities, better.sh0 - own.sh0
        codes = recoloured(found.codes, better, sensitivity, found.coarseness)
        return Found(codes, found.coarseness, yardstick.mean_squared_error(dequantise(codes)))
