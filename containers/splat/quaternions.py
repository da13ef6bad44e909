"""Convert rotation matrices to quaternions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def quaternions_of(rotations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit quaternions (N, 4) wxyz of rotation matrices (N, 3, 3). Shepperd, Quaternion from Rotation Matrix, 1978."""
    diagonal = np.diagonal(rotations, axis1=1, axis2=2)
    trace = diagonal.sum(axis=1)
    squares = np.stack([1 + trace, *(1 + 2 * diagonal - trace[:, None]).T], axis=1)
    r = rotations
    off = np.stack([r[:, 2, 1] - r[:, 1, 2], r[:, 0, 2] - r[:, 2, 0], r[:, 1, 0] - r[:, 0, 1]], axis=1)
    on = np.stack([r[:, 0, 1] + r[:, 1, 0], r[:, 0, 2] + r[:, 2, 0], r[:, 1, 2] + r[:, 2, 1]], axis=1)
    candidates = np.stack(
        [
            np.stack([squares[:, 0], off[:, 0], off[:, 1], off[:, 2]], axis=1),
            np.stack([off[:, 0], squares[:, 1], on[:, 0], on[:, 1]], axis=1),
            np.stack([off[:, 1], on[:, 0], squares[:, 2], on[:, 2]], axis=1),
            np.stack([off[:, 2], on[:, 1], on[:, 2], squares[:, 3]], axis=1),
        ],
        axis=1,
    )
    best = candidates[np.arange(len(r)), squares.argmax(axis=1)]
    return np.asarray(best / np.linalg.norm(best, axis=1, keepdims=True))
