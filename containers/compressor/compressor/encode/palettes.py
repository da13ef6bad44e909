"""Estimate rate and distortion of palettes of higher colour coefficients from the few sizes that were built."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from compressor.encode.arranged import Arranged
from compressor.encode.harmonics import absorb, quantise_harmonics, seen_error
from compressor.encode.pace import Pace
from compressor.encode.quality import Yardstick
from compressor.sog.codes import MAX_PALETTE, Palette
from compressor.sog.decoder import with_harmonics
from compressor.sog.images import labels_image, palette_image
from compressor.sog.webp import encode_webp
from splat.gaussians import Gaussians

_MIN_PALETTE = 64
_FIRST_PALETTES = (256, 4096)
_FIRST_LARGE_PALETTES = (4096, 32768)
# measured on trained scenes: saving one bit per Gaussian, of about a hundred, is worth about this share of the error
_LABEL_LAMBDA = 1 / 80
_NO_ERROR = 1e-30  # keeps the logarithm finite


@dataclass(frozen=True)
class _Trial:
    palette: Palette
    label_bytes: int
    vector_bytes: int
    error: float


@dataclass
class PaletteCurve:
    """Error and bytes by the palette's size: measured where a palette was built, interpolated elsewhere.

    The largest palettes take more time than everything else, so they are built only when the search needs them.
    `label_lambda`: the λ of `quantise_harmonics`.
    """

    arranged: Arranged
    yardstick: Yardstick
    label_lambda: float
    trials: dict[int, _Trial] = field(default_factory=dict)

    def first_sizes(self) -> list[int]:
        """The sizes to build first: two for the slope, and one vector per Gaussian if that is cheap (no search)."""
        count = len(self.arranged)
        sizes = [size for size in _FIRST_PALETTES if size <= count // 4]
        sizes = sizes if len(sizes) == 2 else [max(1, count // 32), max(2, count // 8)]
        return [*sizes, count] if count <= MAX_PALETTE else list(_FIRST_LARGE_PALETTES)

    def palette(self, size: int) -> Palette | None:
        """The palette of at most `size` vectors, none for 0; built once."""
        if size == 0:
            return None
        if size not in self.trials:
            palette = quantise_harmonics(self.arranged.gaussians, self.arranged.sensitivity, size, self.label_lambda)
            if palette is None:
                return None
            self.trials[size] = _Trial(
                palette,
                label_bytes=len(encode_webp(labels_image(palette.labels))),
                vector_bytes=len(encode_webp(palette_image(palette.codes))),
                error=self.yardstick.mean_squared_error(self._pictured(palette)),
            )
        return self.trials[size].palette

    def best(self, lambda_: float, *, built: bool = False) -> int:
        """The size with the lowest error + λ · bits, among all candidates or among those that are `built`.

        Candidates: 0, then 64 up to the format's maximum in quarter octaves; for more than 4 · MAX_PALETTE Gaussians,
        for which a palette takes long to build, in whole octaves, without those within an octave of one that is built.
        """
        known = sorted(self.trials)
        largest = min(MAX_PALETTE, len(self.arranged))
        slow = len(self.arranged) > 4 * MAX_PALETTE
        octaves = np.arange(np.log2(_MIN_PALETTE), np.log2(MAX_PALETTE) + 0.5, 1.0 if slow else 0.25)
        others = {int(size) for size in np.rint(2**octaves) if size < largest} | {largest}
        if slow:
            others = {size for size in others if min(abs(np.log2(known) - np.log2(size))) > 1}
        sizes = known if built else sorted(others | {*known})
        x, at = np.log2(sizes), np.log2(known)
        trials = [self.trials[size] for size in known]
        labels = _through(at, [trial.label_bytes for trial in trials], x)
        vectors = np.exp(_through(at, [np.log(trial.vector_bytes) for trial in trials], x))
        errors = np.exp(_through(at, [np.log(max(trial.error, _NO_ERROR)) for trial in trials], x))
        costs = np.append(self._without, errors + 8 * lambda_ * (np.maximum(labels, 0) + vectors))
        return (0, *sizes)[int(np.argmin(costs))]

    @cached_property
    def _without(self) -> float:
        """The error without a palette: as predicted, times the ratio of measured to predicted error for the smallest
        palette."""
        size = min(self.trials)
        gaussians, sensitivity = self.arranged.gaussians, self.arranged.sensitivity
        expected = seen_error(gaussians, sensitivity, self.trials[size].palette)
        correction = self.trials[size].error / expected if expected > 0 else 1.0
        return correction * seen_error(gaussians, sensitivity, None)

    def _pictured(self, palette: Palette) -> Gaussians:
        """The splat with no other loss than that of `palette`."""
        gaussians = self.arranged.gaussians
        return replace(with_harmonics(gaussians, palette), sh0=absorb(gaussians, self.arranged.sensitivity, palette))


def measure_palettes(arranged: Arranged, yardstick: Yardstick, budget: float, pace: Pace) -> PaletteCurve | None:
    """The curve for a splat; None without higher colour coefficients.

    `budget`: about the squared error that the pictures will be allowed.
    """
    if not arranged.gaussians.shN.any():
        return None
    palettes = PaletteCurve(arranged, yardstick, _LABEL_LAMBDA * budget / len(arranged))
    for size in palettes.first_sizes():
        pace.begin(2)
        palettes.palette(size)
    return palettes


def _through(known_x: NDArray[np.float64], known_y: list[float], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Straight lines through known points, extrapolated beyond the outer ones."""
    y = np.asarray(known_y, dtype=np.float64)
    values = np.interp(x, known_x, y)
    if len(known_x) > 1:
        below, above = x < known_x[0], x > known_x[-1]
        values[below] = y[0] + (x[below] - known_x[0]) * (y[1] - y[0]) / (known_x[1] - known_x[0])
        values[above] = y[-1] + (x[above] - known_x[-1]) * (y[-1] - y[-2]) / (known_x[-1] - known_x[-2])
    return values
