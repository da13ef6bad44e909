"""Order Gaussians along a Hilbert curve, so that neighbours in the file are neighbours in the scene."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compressor.sog.means import log_transform
from splat.kernels import kernel

_BITS = 20


def hilbert_order(means: NDArray[np.float32]) -> NDArray[np.int64]:
    """Indices (N,) that sort `means` (N, 3) along a 3-D Hilbert curve through their logarithmic bounding box.

    Skilling, Programming the Hilbert curve, 2004.
    """
    position = log_transform(means)
    low = position.min(axis=0)
    extent = position.max(axis=0) - low
    cells = (position - low) / np.where(extent > 0, extent, 1.0) * ((1 << _BITS) - 1)
    distance = np.empty(len(means), dtype=np.int64)
    _hilbert_distances(cells.astype(np.int64), distance)
    return np.argsort(distance, kind="stable")


@kernel
def _hilbert_distances(cells: NDArray[np.int64], out: NDArray[np.int64]) -> None:
    top = 1 << (_BITS - 1)
    axes = np.empty(3, dtype=np.int64)
    for i in range(cells.shape[0]):
        for k in range(3):
            axes[k] = cells[i, k]
        bit = top
        while bit > 1:  # undo the curve's rotations from the largest cube down
            below = bit - 1
            for k in range(3):
                if axes[k] & bit:
                    axes[0] ^= below
                else:
                    swap = (axes[0] ^ axes[k]) & below
                    axes[0] ^= swap
                    axes[k] ^= swap
            bit >>= 1
        axes[1] ^= axes[0]
        axes[2] ^= axes[1]
        flip = 0
        bit = top
        while bit > 1:
            if axes[2] & bit:
                flip ^= bit - 1
            bit >>= 1
        distance = 0
        for b in range(_BITS - 1, -1, -1):
            for k in range(3):
                distance = (distance << 1) | (((axes[k] ^ flip) >> b) & 1)
        out[i] = distance
