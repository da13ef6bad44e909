"""Positions: sign(x) ln(1 + |x|) in 16 bits an axis, of which a large Gaussian needs fewer."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from compressor.sog.codes import Float32, Float64, UInt16

_TOP = 65535
_MOST_BITS_DROPPED = 8


def log_transform(means: ArrayLike) -> Float64:
    """sign(x) ln(1 + |x|), in which SOG spreads its positions evenly."""
    x = np.asarray(means, dtype=np.float64)
    return np.asarray(np.sign(x) * np.log1p(np.abs(x)))


def inverse_log_transform(values: Float64) -> Float64:
    """Undo `log_transform` with the operations of the format's other readers, so that every bit agrees."""
    magnitude = np.exp(np.abs(values)) - 1
    return np.where(values < 0, -magnitude, magnitude)


def quantise_means(means: Float32, allowed: Float64) -> tuple[UInt16, Float64, Float64]:
    """Codes (N, 3), and the logarithmic bounds (3,), (3,) that they span.

    Each is rounded to a multiple of the largest power of two whose step in the world is within its `allowed` one
    (N, 3).
    """
    values = log_transform(means)
    low, high = values.min(axis=0), values.max(axis=0)
    extent = high - low
    unit = np.where(extent > 0, extent, 1.0) / _TOP
    exact = (values - low) / unit
    world_step = np.exp(np.abs(values)) * unit  # d|x| = (1 + |x|) d ln(1 + |x|)
    step = power_of_two(allowed / world_step, _MOST_BITS_DROPPED)
    return np.minimum(np.rint(exact / step) * step, _TOP).astype(np.uint16), low, high


def power_of_two(limit: Float64, most: int) -> Float64:
    """The largest power of two within `limit`, from 1 to 2^`most`."""
    return np.asarray(np.exp2(np.clip(np.floor(np.log2(np.maximum(limit, 1.0))), 0, most)))


def dequantise_means(codes: UInt16, low: Float64, high: Float64) -> Float32:
    """Positions (N, 3)."""
    extent = high - low
    extent = np.where(extent != 0, extent, 1.0)
    return inverse_log_transform(low + extent * (codes.astype(np.float64) / _TOP)).astype(np.float32)
