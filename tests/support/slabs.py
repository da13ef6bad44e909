"""A splat of flat slabs whose surfaces lie at surveyed heights: a yard with a box on it."""

from __future__ import annotations

import math

import numpy as np

from compressor.sog.codes import Codes
from compressor.sog.means import TOP, bounds_of, log_transform

BOX = (0.6, 0.5, 0.8)
"""Half its length east, half its length north, and its height."""
SCALE = 0.016
"""Deviation of a Gaussian along the surface; across it a hundredth."""
_SPACING = 0.025


def slabs() -> Codes:
    """Opaque Gaussians, flat along the surfaces on which they lie: yard, top and walls."""
    x, y, height = BOX
    yard = _grid((-1.6, 1.6), (-1.6, 1.6))
    yard = yard[(np.abs(yard[:, 0]) > x) | (np.abs(yard[:, 1]) > y)]
    top, long, short = _grid((-x, x), (-y, y)), _grid((-x, x), (0, height)), _grid((-y, y), (0, height))

    def at(points: np.ndarray, axes: tuple[int, int], third: int, value: float) -> np.ndarray:
        found = np.full((len(points), 3), value)
        found[:, axes[0]], found[:, axes[1]] = points.T
        assert third not in axes
        return found

    parts = [
        (at(yard, (0, 1), 2, 0.0), 2, 150), (at(top, (0, 1), 2, height), 2, 200),
        (at(long, (0, 2), 1, -y), 1, 90), (at(long, (0, 2), 1, y), 1, 90),
        (at(short, (1, 2), 0, -x), 0, 120), (at(short, (1, 2), 0, x), 0, 120),
    ]  # fmt: skip
    means = np.concatenate([points for points, _, _ in parts])
    thin = np.concatenate([np.full(len(points), axis) for points, axis, _ in parts])
    bright = np.concatenate([np.full(len(points), value) for points, _, value in parts])
    low, high = bounds_of(means.astype(np.float32))
    scales = np.ones((len(means), 3), np.uint8)
    scales[np.arange(len(means)), thin] = 0
    book = np.full(256, math.log(SCALE), np.float32)
    book[0] = math.log(SCALE / 100)
    quats = np.full((len(means), 4), 128, np.uint8)  # upright, to within 1/180
    quats[:, 3] = 252
    chequer = (np.floor(4 * means).astype(int).sum(axis=1) % 2) * 40
    colours = np.column_stack([bright - chequer] * 3 + [np.full(len(means), 250)]).astype(np.uint8)
    return Codes(
        mins=low, maxs=high, means=np.rint(TOP * (log_transform(means) - low) / (high - low)).astype(np.uint16),
        quats=quats, scales=scales, scale_codebook=book, colours=colours,
        colour_codebook=((np.arange(256) / 255 - 0.5) / 0.2820948).astype(np.float32), palette=None,
    )  # fmt: skip


def _grid(one: tuple[float, float], two: tuple[float, float]) -> np.ndarray:
    """Points (N, 2) on a grid over a rectangle."""
    rows = [np.linspace(low, high, round((high - low) / _SPACING) + 1) for low, high in (one, two)]
    return np.stack(np.meshgrid(*rows), axis=-1).reshape(-1, 2)
