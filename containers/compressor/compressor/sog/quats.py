"""Code rotations as the three smallest components of a unit quaternion in 8 bits each, and the index of the largest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compressor.sog.codes import Float32, Float64, UInt8

_OTHERS = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])
_FIRST_TAG = 252
_SQRT2 = np.sqrt(2.0)


def component_codes(count: int) -> Float64:
    """The components (count,) for the codes 0 to `count` - 1."""
    return np.asarray((np.arange(count) / 255.0 * 2 - 1) / _SQRT2)


def components_of(quats: Float32, largest: NDArray[np.int64]) -> Float64:
    """The components (N, 3) of unit quaternions (N, 4) wxyz other than the `largest` (N,), which is made positive."""
    signs = np.where(quats[np.arange(len(quats)), largest] < 0, -1.0, 1.0)[:, None]
    return np.asarray(np.take_along_axis(quats, _OTHERS[largest], axis=1) * signs)


def tagged(components: UInt8, quats: Float32) -> UInt8:
    """Codes (N, 4): those of the `components` (N, 3), and the tag of the largest component of `quats` (N, 4) wxyz."""
    tags = _FIRST_TAG + np.abs(quats).argmax(axis=1)
    return np.concatenate([components, tags[:, None].astype(np.uint8)], axis=1)


def dequantise_quats(codes: UInt8) -> Float32:
    """Unit quaternions (N, 4) wxyz from their `codes` (N, 4)."""
    smallest = component_codes(256)[codes[:, :3]]
    largest = codes[:, 3].astype(np.int64) - _FIRST_TAG
    quats = np.empty((len(codes), 4), dtype=np.float64)
    np.put_along_axis(quats, _OTHERS[largest], smallest, axis=1)
    rest = np.sqrt(np.maximum(0.0, 1 - np.square(smallest).sum(axis=1)))
    np.put_along_axis(quats, largest[:, None], rest[:, None], axis=1)
    return quats.astype(np.float32)
