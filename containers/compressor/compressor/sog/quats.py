"""Rotations: the three smallest components of a unit quaternion in 8 bits each, and which one was left out."""

from __future__ import annotations

import numpy as np

from compressor.sog.codes import Float32, Float64, UInt8
from compressor.sog.means import power_of_two

_OTHERS = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])
_FIRST_TAG = 252
_MOST_BITS_DROPPED = 6
_SQRT2 = np.sqrt(2.0)


def quantise_quats(quats: Float32, allowed: Float64) -> UInt8:
    """Codes (N, 4) of rotations (N, 4) wxyz of any length.

    Each component is rounded on a grid of the largest power of two, in codes, within its `allowed` step (N, 4).
    """
    unit = quats.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    rows = np.arange(len(unit))
    largest = np.abs(unit).argmax(axis=1)
    unit *= np.where(unit[rows, largest] < 0, -1.0, 1.0)[:, None]
    smallest = np.take_along_axis(unit, _OTHERS[largest], axis=1)
    exact = 255 * (smallest * _SQRT2 / 2 + 0.5)
    codes_allowed = np.take_along_axis(allowed, _OTHERS[largest], axis=1) * 255 * _SQRT2 / 2
    step = power_of_two(codes_allowed, _MOST_BITS_DROPPED)
    # a grid through the middle of the range: most rotations are small once axes are canonical
    exact = np.where(step > 1, np.rint((exact - 127.5) / step) * step + 128, exact)
    codes = np.empty((len(unit), 4), dtype=np.uint8)
    codes[:, :3] = np.clip(np.rint(exact), 0, 255)
    codes[:, 3] = _FIRST_TAG + largest
    return codes


def dequantise_quats(codes: UInt8) -> Float32:
    """Unit quaternions (N, 4) wxyz."""
    smallest = (codes[:, :3] / 255.0 * 2 - 1) / _SQRT2
    largest = codes[:, 3].astype(np.int64) - _FIRST_TAG
    quats = np.empty((len(codes), 4), dtype=np.float64)
    np.put_along_axis(quats, _OTHERS[largest], smallest, axis=1)
    rest = np.sqrt(np.maximum(0.0, 1 - np.square(smallest).sum(axis=1)))
    np.put_along_axis(quats, largest[:, None], rest[:, None], axis=1)
    return quats.astype(np.float32)
