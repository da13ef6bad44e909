"""Code positions as sign(x) ln(1 + |x|) in 16 bits per axis."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from compressor.sog.codes import Float32, Float64, UInt16

TOP = 65535


def log_transform(means: ArrayLike) -> Float64:
    """sign(x) ln(1 + |x|), the scale on which SOG quantises positions evenly."""
    x = np.asarray(means, dtype=np.float64)
    return np.asarray(np.sign(x) * np.log1p(np.abs(x)))


def inverse_log_transform(values: Float64) -> Float64:
    """Invert `log_transform` with the same operations as the format's other readers, so that every bit agrees."""
    magnitude = np.exp(np.abs(values)) - 1
    return np.where(values < 0, -magnitude, magnitude)


def bounds_of(means: Float32) -> tuple[Float64, Float64]:
    """The logarithmic bounds (3,), (3,) of `means` (N, 3); on each axis the upper one is greater than the lower one."""
    values = log_transform(means)
    low, high = values.min(axis=0), values.max(axis=0)
    return low, np.where(high > low, high, low + 1)


def dequantise_means(codes: UInt16, low: Float64, high: Float64) -> Float32:
    """Positions (N, 3) from their `codes` (N, 3) between the logarithmic bounds `low` and `high`, (3,) each."""
    extent = high - low
    extent = np.where(extent != 0, extent, 1.0)
    return inverse_log_transform(low + extent * (codes.astype(np.float64) / TOP)).astype(np.float32)
