"""Rate and distortion of each attribute, step by step, from few measurements.

Errors of the attributes are small and independent, so their squares add in a picture. The sensitivities say what error
to expect of a step; one render with one attribute coarsened tells how far to believe them, and bytes come from the
images of a sample.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from compressor.attributes import ATTRIBUTES, FINE_LADDER, LADDER, PROBES, Attribute
from compressor.quality import Yardstick
from compressor.sog.codes import MAX_PALETTE, Palette, Sensitivity
from compressor.sog.decoder import with_harmonics
from compressor.sog.encoder import share_of
from compressor.sog.harmonics import absorb, quantise_harmonics, seen_error
from compressor.sog.images import labels_image, palette_image
from compressor.sog.webp import encode_webp
from splat.gaussians import Gaussians

_SAMPLE = 65536
_BLOCKS = 16
_SMALLEST_PALETTE = 64
_FIRST_PALETTES = (256, 4096)
_FIRST_LARGE_PALETTES = (4096, 32768)
# measured on trained scenes: a bit a Gaussian less, of some hundred, is worth about this part of the error
_BIT_PRICE = 1 / 80
_NO_ERROR = 1e-30  # whose logarithm is still a number

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Arranged:
    """A splat in the file's order, and how its numbers matter."""

    gaussians: Gaussians
    sensitivity: Sensitivity

    def __len__(self) -> int:
        return len(self.gaussians)

    def select(self, which: NDArray[np.generic]) -> Arranged:
        """The Gaussians that `which` picks."""
        return Arranged(self.gaussians.select(which), self.sensitivity.select(which))


@dataclass(frozen=True)
class Curve:
    """What each step of one attribute is expected to cost: bytes of its images, squared error of the pictures."""

    name: str
    values: tuple[float, ...]
    bytes: NDArray[np.float64]
    error: NDArray[np.float64]
    correction: float = 1.0  # measured of expected error, where fine


@dataclass(frozen=True)
class _Trial:
    palette: Palette
    label_bytes: int
    vector_bytes: int
    error: float


@dataclass
class PaletteCurve:
    """The curve of the palette's size: measured where a palette was built, interpolated elsewhere.

    The largest palettes cost more time than all else, so they are built only when the search asks for them. `bit_price`
    as in `quantise_harmonics`.
    """

    arranged: Arranged
    yardstick: Yardstick
    bit_price: float
    trials: dict[int, _Trial] = field(default_factory=dict)

    def first_sizes(self) -> list[int]:
        """Sizes to begin with: two for the slope, and that of a vector each where it is cheap (no search)."""
        count = len(self.arranged)
        sizes = [size for size in _FIRST_PALETTES if size <= count // 4]
        sizes = sizes if len(sizes) == 2 else [max(1, count // 32), max(2, count // 8)]
        return [*sizes, count] if count <= MAX_PALETTE else list(_FIRST_LARGE_PALETTES)

    def palette(self, size: int) -> Palette | None:
        """The palette of at most `size` vectors, none for 0; built once."""
        if size == 0:
            return None
        if size not in self.trials:
            palette = quantise_harmonics(self.arranged.gaussians, self.arranged.sensitivity, size, self.bit_price)
            if palette is None:
                return None
            self.trials[size] = _Trial(
                palette,
                label_bytes=len(encode_webp(labels_image(palette.labels))),
                vector_bytes=len(encode_webp(palette_image(palette.codes))),
                error=self.yardstick.mean_squared_error(self._pictured(palette)),
            )
        return self.trials[size].palette

    def curve(self) -> Curve:
        """Sizes from none to the format's most, in quarter octaves; in whole ones where a palette takes long."""
        most = min(MAX_PALETTE, len(self.arranged))
        pace = 1.0 if len(self.arranged) > 4 * MAX_PALETTE else 0.25
        octaves = np.arange(np.log2(_SMALLEST_PALETTE), np.log2(MAX_PALETTE) + 0.5, pace)
        sizes = sorted({int(size) for size in np.rint(2**octaves) if size < most} | {most} | set(self.trials))
        x, known = np.log2(sizes), sorted(self.trials)
        trials = [self.trials[size] for size in known]
        at = np.log2(known)
        labels = _through(at, [trial.label_bytes for trial in trials], x)
        vectors = np.exp(_through(at, [np.log(trial.vector_bytes) for trial in trials], x))
        errors = np.exp(_through(at, [np.log(max(trial.error, _NO_ERROR)) for trial in trials], x))
        return Curve(
            "palette_size",
            (0, *sizes),
            np.append(0.0, np.maximum(labels, 0) + vectors),
            np.append(self._without, errors),
        )

    @cached_property
    def _without(self) -> float:
        """The error with no palette at all, as far off its expectation as that of the smallest palette."""
        size = min(self.trials)
        gaussians, sensitivity = self.arranged.gaussians, self.arranged.sensitivity
        expected = seen_error(gaussians, sensitivity, self.trials[size].palette)
        correction = self.trials[size].error / expected if expected > 0 else 1.0
        return correction * seen_error(gaussians, sensitivity, None)

    def _pictured(self, palette: Palette) -> Gaussians:
        """The splat with nothing lost but by `palette`."""
        gaussians = self.arranged.gaussians
        return replace(with_harmonics(gaussians, palette), sh0=absorb(gaussians, self.arranged.sensitivity, palette))


def measure_curves(
    arranged: Arranged, yardstick: Yardstick, budget: float, progress: Progress
) -> tuple[list[Curve], PaletteCurve | None]:
    """The curves of every attribute, and that of the palette where the splat has higher colour coefficients.

    `budget`: the squared error that the pictures will be allowed, about.
    """
    sample = _sample(arranged)
    steps = len(ATTRIBUTES) + 1
    curves = []
    for place, attribute in enumerate(ATTRIBUTES):
        progress(place / steps, f"measuring {attribute.name}")
        curves.append(_measure(attribute, arranged, sample, yardstick))
    if not arranged.gaussians.shN.any():
        return curves, None
    progress(len(ATTRIBUTES) / steps, "measuring palettes")
    # where few pictures say what matters, more than they say does
    missed = max(1.0, next(curve.correction for curve in curves if curve.name == "colours"))
    palettes = PaletteCurve(arranged, yardstick, _BIT_PRICE * budget / len(arranged) / missed)
    for size in palettes.first_sizes():
        progress((len(ATTRIBUTES) + 0.5) / steps, f"measuring a palette of {size}")
        palettes.palette(size)
    return curves, palettes


def _measure(attribute: Attribute, arranged: Arranged, sample: Arranged, yardstick: Yardstick) -> Curve:
    scale = len(arranged) / len(sample)
    exact = arranged.gaussians

    def correction(value: float) -> float:
        probe, _ = attribute.coarsen(exact, arranged.sensitivity, share_of(value, exact))
        expected = attribute.expected(exact, probe, arranged.sensitivity)
        return max(yardstick.mean_squared_error(probe) / expected, _NO_ERROR) if expected > 0 else 1.0

    corrections = [correction(value) for value in PROBES]

    def trial(value: float) -> tuple[float, float]:
        coarse, images = attribute.coarsen(sample.gaussians, sample.sensitivity, share_of(value, exact))
        error = attribute.expected(sample.gaussians, coarse, sample.sensitivity)
        return scale * sum(len(encode_webp(image)) for image in images), scale * error

    with ThreadPoolExecutor(4) as pool:
        sizes, errors = zip(*pool.map(trial, LADDER), strict=True)
    at, x = np.log2(LADDER[1:]), np.log2(FINE_LADDER[1:])
    believed = np.exp(np.interp(x, np.log2(PROBES), np.log(corrections)))
    between = np.exp(np.interp(x, at, np.log(np.maximum(errors[1:], _NO_ERROR))))
    return Curve(
        attribute.name,
        FINE_LADDER,
        np.append(sizes[0], np.interp(x, at, sizes[1:])),
        np.append(corrections[0] * errors[0], believed * between),
        corrections[0],
    )


def _sample(arranged: Arranged) -> Arranged:
    """Evenly spread blocks of neighbours along the curve, so that a sample's images compress like the whole's."""
    count = len(arranged)
    if count <= _SAMPLE:
        return arranged
    block = _SAMPLE // _BLOCKS
    starts = np.arange(_BLOCKS) * (count - block) // (_BLOCKS - 1)
    return arranged.select((starts[:, None] + np.arange(block)).ravel())


def _through(known_x: NDArray[np.float64], known_y: list[float], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Straight lines through known points, the outer ones prolonged."""
    y = np.asarray(known_y, dtype=np.float64)
    values = np.interp(x, known_x, y)
    if len(known_x) > 1:
        below, above = x < known_x[0], x > known_x[-1]
        values[below] = y[0] + (x[below] - known_x[0]) * (y[1] - y[0]) / (known_x[1] - known_x[0])
        values[above] = y[-1] + (x[above] - known_x[-1]) * (y[-1] - y[-2]) / (known_x[-1] - known_x[-2])
    return values
