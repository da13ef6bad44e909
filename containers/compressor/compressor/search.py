"""Rate-distortion search: the fewest bytes whose pictures stay within an error.

Errors of the attributes are small and independent, so their squares add in a picture. One render with one attribute
coarsened tells how a picture's error follows from that attribute's own error, and the latter is known for every step
without a render; bytes come from the images of a sample. So the cheapest combination is found on paper (a Lagrangian over
the six attributes), and only that one is quantised in full and rendered; where the truth differs from the model, the
model's budget is corrected by the ratio.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from compressor.attributes import ATTRIBUTES, HARMONICS, Attribute
from compressor.quality import Yardstick
from compressor.sog.codes import MAX_PALETTE, Codes, Palette, Steps
from compressor.sog.decoder import dequantise
from compressor.sog.encoder import quantise, quantise_harmonics
from compressor.sog.webp import encode_webp
from splat.gaussians import Gaussians

_SAMPLE = 65536
_BLOCKS = 16
_PALETTES_TRIED = (256, 1024, 4096)
_TRIES = 4
_CLOSE_ENOUGH = 0.75  # of the budget used: another try is not worth its render
_MARGIN = 0.97

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Curve:
    """What each step of one attribute is expected to cost: bytes of its images, squared error of the pictures."""

    name: str
    values: tuple[float, ...]
    bytes: NDArray[np.float64]
    error: NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """The outcome of a search."""

    codes: Codes
    steps: Steps
    mean_squared_error: float


def measure_curves(arranged: Gaussians, yardstick: Yardstick, progress: Progress) -> list[Curve]:
    """The curves of every attribute that the splat has; one render of the yardstick's cameras each."""
    sample = _sample(arranged)
    scale = len(arranged) / len(sample)
    attributes = [*ATTRIBUTES, HARMONICS] if arranged.shN.any() else list(ATTRIBUTES)
    curves = []
    for place, attribute in enumerate(attributes):
        progress(place / len(attributes), f"measuring {attribute.name.replace('_', ' ')}")
        trials = _palette_trials(sample, scale) if attribute is HARMONICS else _trials(attribute, sample, scale)
        probe, _ = attribute.coarsen(arranged, attribute.probe)
        own_error = attribute.error(arranged, probe)
        sensitivity = yardstick.mean_squared_error(probe) / own_error if own_error > 0 else 0.0
        values = tuple(trial[0] for trial in trials)
        sizes, errors = np.array([trial[1] for trial in trials]), np.array([trial[2] for trial in trials])
        curves.append(Curve(attribute.name, values, sizes, errors * sensitivity))
    return curves


def choose(curves: Sequence[Curve], budget: float) -> Steps:
    """The cheapest steps whose expected errors sum to at most `budget`, by bisection of the Lagrange multiplier.

    The finest of all where even those exceed it.
    """
    low, high = 0.0, 1.0
    picks = _picks(curves, low)
    if _total(curves, picks) <= budget:
        return _steps(curves, picks)
    while _total(curves, _picks(curves, high)) > budget and high < 1e30:
        high *= 16
    for _ in range(60):
        middle = (low + high) / 2
        if _total(curves, _picks(curves, middle)) > budget:
            low = middle
        else:
            high = middle
    return _steps(curves, _picks(curves, high))


def search(
    arranged: Gaussians, curves: Sequence[Curve], budget: float, yardstick: Yardstick, progress: Progress
) -> Found:
    """The coarsest found whose measured error is within `budget`; the finest possible where none is."""
    assumed = budget * _MARGIN
    best: Found | None = None
    tried: set[Steps] = set()
    palettes: dict[int, Palette | None] = {}
    for attempt in range(_TRIES):
        progress(attempt / (_TRIES + 1), "searching the smallest file")
        steps = choose(curves, assumed)
        if steps in tried:
            break
        tried.add(steps)
        if steps.palette_size not in palettes:
            palettes[steps.palette_size] = quantise_harmonics(arranged, steps.palette_size)
        found = _measured(arranged, steps, palettes[steps.palette_size], yardstick)
        if found.mean_squared_error <= budget and (
            best is None or found.mean_squared_error > best.mean_squared_error
        ):
            best = found
        if best is found and found.mean_squared_error >= _CLOSE_ENOUGH * budget:
            break
        assumed *= _MARGIN * budget / max(found.mean_squared_error, budget / 100)
    if best is not None:
        return best
    progress(_TRIES / (_TRIES + 1), "falling back to the finest steps")
    finest = Steps()
    return _measured(arranged, finest, quantise_harmonics(arranged, finest.palette_size), yardstick)


def _measured(arranged: Gaussians, steps: Steps, palette: Palette | None, yardstick: Yardstick) -> Found:
    codes = quantise(arranged, steps, palette)
    return Found(codes, steps, yardstick.mean_squared_error(dequantise(codes)))


def _trials(attribute: Attribute, sample: Gaussians, scale: float) -> list[tuple[float, float, float]]:
    """Value, bytes and own error at each step of the ladder."""

    def trial(value: float) -> tuple[float, float, float]:
        coarse, images = attribute.coarsen(sample, value)
        return value, scale * sum(len(encode_webp(image)) for image in images), attribute.error(sample, coarse)

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(trial, attribute.ladder))


def _palette_trials(sample: Gaussians, scale: float) -> list[tuple[float, float, float]]:
    """As `_trials`: a few sizes measured on the sample, the others on the straight line through their logarithms."""
    sizes = [size for size in _PALETTES_TRIED if size <= len(sample) // 4] or [max(1, len(sample) // 4)]
    if len(sizes) == 1:
        sizes = [max(1, sizes[0] // 4), sizes[0]]
    labels, vectors, errors = [], [], []
    for size in sizes:
        coarse, images = HARMONICS.coarsen(sample, size)
        centroid_bytes, label_bytes = (len(encode_webp(image)) for image in images)
        vectors.append(centroid_bytes / size)
        labels.append(label_bytes * scale)
        errors.append(HARMONICS.error(sample, coarse))
    x = np.log2(np.array(sizes, dtype=np.float64))
    per_doubling, at_one = np.polyfit(x, labels, 1) if len(set(sizes)) > 1 else (0.0, labels[0])
    slope, start = np.polyfit(x, np.log(np.maximum(errors, 1e-30)), 1) if len(set(sizes)) > 1 else (0.0, errors[0])
    per_vector = float(np.mean(vectors))
    most = min(MAX_PALETTE, int(len(sample) * scale))
    chosen = [value for value in HARMONICS.ladder if value <= most] or [float(most)]
    return [
        (
            value,
            max(at_one + per_doubling * np.log2(value), 0.0) + per_vector * value,
            float(np.exp(start + slope * np.log2(value))),
        )
        for value in chosen
    ]


def _sample(arranged: Gaussians) -> Gaussians:
    """Evenly spread blocks of neighbours along the curve, so that a sample's images compress like the whole's."""
    count = len(arranged)
    if count <= _SAMPLE:
        return arranged
    block = _SAMPLE // _BLOCKS
    starts = np.arange(_BLOCKS) * (count - block) // (_BLOCKS - 1)
    return arranged.select((starts[:, None] + np.arange(block)).ravel())


def _picks(curves: Sequence[Curve], multiplier: float) -> list[int]:
    """The step of each attribute that minimises bytes + multiplier · error (in parts of 10⁻⁶)."""
    return [int(np.argmin(curve.bytes + multiplier * 1e6 * curve.error)) for curve in curves]


def _total(curves: Sequence[Curve], picks: Sequence[int]) -> float:
    return float(sum(curve.error[pick] for curve, pick in zip(curves, picks, strict=True)))


def _steps(curves: Sequence[Curve], picks: Sequence[int]) -> Steps:
    steps = Steps()
    for curve, pick in zip(curves, picks, strict=True):
        value = curve.values[pick]
        steps = replace(steps, **{curve.name: value if curve.name == "position_tolerance" else int(value)})
    return steps
