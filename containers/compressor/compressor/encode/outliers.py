"""Find outliers: Gaussians far outside the scene or without neighbours, and in no camera's picture.

This is deliberately conservative: every Gaussian that a measured view sees is kept, wherever it is.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from splat.gaussians import Gaussians

_BULK = (1.0, 99.0)  # percentiles of the positions
_ROOM = 3.0  # margin around the bulk that still belongs to the scene, in longest sides of the bulk
_CELLS = 64  # cells along the bulk's longest side; the neighbourhood of a Gaussian is 3 cells wide
_MIN_NEIGHBOURS = 2

Mask = NDArray[np.bool_]
Counts = NDArray[np.int64]


def outliers(gaussians: Gaussians, seen: Mask) -> Mask:
    """Mask (N,) of the outliers: those not `seen` (N,) that are out of bounds or have no neighbours."""
    unseen = np.flatnonzero(~seen)
    out = np.zeros(len(gaussians), dtype=np.bool_)
    if len(unseen) == 0:
        return out
    points = gaussians.means.astype(np.float64)
    low, high = np.percentile(points, _BULK, axis=0)
    room = _ROOM * max(float((high - low).max()), 1e-9)
    far = ((points[unseen] < low - room) | (points[unseen] > high + room)).any(axis=1)
    cell = max(float((high - low).max()), 1e-9) / _CELLS
    out[unseen] = far | (_neighbours(points, unseen, low, cell) < _MIN_NEIGHBOURS)
    return out


def _neighbours(points: NDArray[np.float64], which: NDArray[np.int64], low: NDArray[np.float64], cell: float) -> Counts:
    """How many others are in the cell of each of `which`, or in the 26 around it."""
    reach = 1 << 20  # cells to either side; Gaussians farther away share the outermost cell
    cells = np.clip(np.floor((points - low) / cell), -reach, reach).astype(np.int64) + reach + 1
    radix = np.int64(2 * reach + 3)

    def key(places: NDArray[np.int64]) -> NDArray[np.int64]:
        return (places[:, 0] * radix + places[:, 1]) * radix + places[:, 2]

    keys, counts = np.unique(key(cells), return_counts=True)
    total = np.zeros(len(which), dtype=np.int64)
    for offset in itertools.product((-1, 0, 1), repeat=3):
        wanted = key(cells[which] + np.array(offset))
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        total += np.where(keys[at] == wanted, counts[at], 0)
    return total - 1
