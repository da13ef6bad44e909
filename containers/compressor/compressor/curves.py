"""Rate and distortion of each attribute, step by step, from few measurements.

Errors of the attributes are small and independent, so their squares add in a picture. One render with one attribute
coarsened tells how a picture's error follows from that attribute's own error; the latter is known for every step
without a render, and bytes come from the images of a sample.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from compressor.attributes import ATTRIBUTES, Attribute, mean_squared_change, seen
from compressor.quality import Yardstick
from compressor.sog.codes import MAX_PALETTE, Palette
from compressor.sog.decoder import with_harmonics
from compressor.sog.encoder import quantise_harmonics
from compressor.sog.images import labels_image, palette_image
from compressor.sog.webp import encode_webp
from splat.gaussians import Gaussians

_SAMPLE = 65536
_BLOCKS = 16
_SMALLEST_PALETTE = 64
_FIRST_PALETTES = (512, 4096)

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Curve:
    """What each step of one attribute is expected to cost: bytes of its images, squared error of the pictures."""

    name: str
    values: tuple[float, ...]
    bytes: NDArray[np.float64]
    error: NDArray[np.float64]


@dataclass(frozen=True)
class _Trial:
    palette: Palette
    label_bytes: int
    vector_bytes: int
    error: float


@dataclass
class PaletteCurve:
    """The curve of the palette's size: measured where a palette was built, interpolated elsewhere.

    The largest palettes cost more time than all else, so they are built only when the search asks for them.
    """

    arranged: Gaussians
    sensitivity: float = 1.0
    trials: dict[int, _Trial] = field(default_factory=dict)

    def first_sizes(self) -> list[int]:
        """Sizes to begin with: two for the slope, and that of a vector each where the format allows it (no search)."""
        count = len(self.arranged)
        sizes = [size for size in _FIRST_PALETTES if size <= count // 4]
        sizes = sizes if len(sizes) == 2 else [max(1, count // 32), max(2, count // 8)]
        return [*sizes, count] if count <= MAX_PALETTE else sizes

    def palette(self, size: int) -> Palette | None:
        """The palette of at most `size` vectors, none for 0; built once."""
        if size == 0:
            return None
        if size not in self.trials:
            palette = quantise_harmonics(self.arranged, size)
            if palette is None:
                return None
            coarse = with_harmonics(self.arranged, palette)
            self.trials[size] = _Trial(
                palette,
                label_bytes=len(encode_webp(labels_image(palette.labels))),
                vector_bytes=len(encode_webp(palette_image(palette.codes))),
                error=self._error(coarse.shN),
            )
        return self.trials[size].palette

    def curve(self) -> Curve:
        """Sizes from none to the format's most, in half octaves."""
        most = min(MAX_PALETTE, len(self.arranged))
        octaves = np.arange(2 * np.log2(_SMALLEST_PALETTE), 2 * np.log2(MAX_PALETTE) + 1) / 2
        sizes = sorted({int(size) for size in np.rint(2**octaves) if size < most} | {most} | set(self.trials))
        x, known = np.log2(sizes), sorted(self.trials)
        trials = [self.trials[size] for size in known]
        at = np.log2(known)
        labels = _through(at, [trial.label_bytes for trial in trials], x)
        vectors = np.exp(_through(at, [np.log(trial.vector_bytes) for trial in trials], x))
        errors = np.exp(_through(at, [np.log(max(trial.error, 1e-30)) for trial in trials], x))
        nothing = self._error(np.zeros_like(self.arranged.shN))
        return Curve(
            "palette_size",
            (0, *sizes),
            np.append(0.0, np.maximum(labels, 0) + vectors),
            self.sensitivity * np.append(nothing, errors),
        )

    def _error(self, shN: NDArray[np.float32]) -> float:
        return mean_squared_change(seen(self.arranged, self.arranged.shN), seen(self.arranged, shN))


def measure_curves(
    arranged: Gaussians, yardstick: Yardstick, progress: Progress
) -> tuple[list[Curve], PaletteCurve | None]:
    """The curves of every attribute, and that of the palette where the splat has higher colour coefficients."""
    sample = _sample(arranged)
    steps = len(ATTRIBUTES) + 1
    curves = []
    for place, attribute in enumerate(ATTRIBUTES):
        progress(place / steps, f"measuring {attribute.name.replace('_', ' ')}")
        curves.append(_measure(attribute, arranged, sample, yardstick))
    if not arranged.shN.any():
        return curves, None
    progress(len(ATTRIBUTES) / steps, "measuring palettes")
    palettes = PaletteCurve(arranged)
    first, *others = palettes.first_sizes()
    probe = palettes.palette(first)
    for size in others:
        progress((len(ATTRIBUTES) + 0.5) / steps, f"measuring a palette of {size}")
        palettes.palette(size)
    if probe is not None and palettes.trials[first].error > 0:
        picture_error = yardstick.mean_squared_error(with_harmonics(arranged, probe))
        palettes.sensitivity = picture_error / palettes.trials[first].error
    return curves, palettes


def _measure(attribute: Attribute, arranged: Gaussians, sample: Gaussians, yardstick: Yardstick) -> Curve:
    scale = len(arranged) / len(sample)
    probe, _ = attribute.coarsen(arranged, attribute.probe)
    own_error = attribute.error(arranged, probe)
    sensitivity = yardstick.mean_squared_error(probe) / own_error if own_error > 0 else 0.0

    def trial(value: float) -> tuple[float, float]:
        coarse, images = attribute.coarsen(sample, value)
        return scale * sum(len(encode_webp(image)) for image in images), attribute.error(sample, coarse)

    with ThreadPoolExecutor(4) as pool:
        sizes, errors = zip(*pool.map(trial, attribute.ladder), strict=True)
    return Curve(attribute.name, attribute.ladder, np.array(sizes), sensitivity * np.array(errors))


def _sample(arranged: Gaussians) -> Gaussians:
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
