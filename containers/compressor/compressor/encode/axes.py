"""Name each Gaussian's axes so that its rotation is small and its scales are similar to its neighbour's.

An ellipsoid is the same under the 24 rotations of the cube when its three scales are permuted with them. The choice
loses nothing and makes the images smooth: the largest quaternion component becomes w almost everywhere.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from compressor.sog.codes import Float32, Float64
from splat.kernels import kernel

# how much smaller a quaternion's w may be if a scale is e times nearer to the running mean; measured on trained splats
_SCALE_WEIGHT = 0.05
_MEMORY = 0.7


def _cube_rotations() -> tuple[Float64, NDArray[np.int64]]:
    """The 24 rotations of the cube as quaternions (24, 4) wxyz and the source (24, 3) of each rotated axis."""
    found: dict[tuple[float, ...], tuple[int, ...]] = {}
    for parts in itertools.product((-1.0, 0.0, 1.0), repeat=4):
        length = np.linalg.norm(parts)
        if length not in (1.0, np.sqrt(2.0), 2.0):
            continue
        w, x, y, z = np.asarray(parts) / length
        if (w, x, y, z) < (0.0, 0.0, 0.0, 0.0):
            continue  # −q is the same rotation as q
        matrix = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
            ]
        )
        found[(w, x, y, z)] = tuple(np.abs(matrix).argmax(axis=0))
    return np.array(list(found)), np.array(list(found.values()), dtype=np.int64)


_ROTATIONS, _SOURCES = _cube_rotations()


def canonical_axes(quats: Float32, scales: Float32) -> tuple[Float32, Float32]:
    """Rotations and scales that describe the same Gaussians (in order along the curve): unit quaternions (N, 4) with
    w > 0, and their scales (N, 3)."""
    unit = quats.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    new_quats, new_scales = np.empty_like(unit), np.empty(scales.shape, dtype=np.float64)
    _choose_axes(unit, scales.astype(np.float64), _ROTATIONS, _SOURCES, new_quats, new_scales)
    return new_quats.astype(np.float32), new_scales.astype(np.float32)


@kernel
def _choose_axes(
    quats: Float64,
    scales: Float64,
    rotations: Float64,
    sources: NDArray[np.int64],
    out_quats: Float64,
    out_scales: Float64,
) -> None:
    mean = scales[0].copy()
    for i in range(quats.shape[0]):
        a, b, c, d = quats[i]
        best = -np.inf
        chosen = 0
        for k in range(rotations.shape[0]):
            e, f, g, h = rotations[k]
            distance = 0.0
            for j in range(3):
                distance += abs(scales[i, sources[k, j]] - mean[j])
            score = abs(a * e - b * f - c * g - d * h) - _SCALE_WEIGHT * distance
            if score > best:
                best, chosen = score, k
        e, f, g, h = rotations[chosen]
        w = a * e - b * f - c * g - d * h
        sign = -1.0 if w < 0 else 1.0
        out_quats[i, 0] = sign * w
        out_quats[i, 1] = sign * (a * f + b * e + c * h - d * g)
        out_quats[i, 2] = sign * (a * g - b * h + c * e + d * f)
        out_quats[i, 3] = sign * (a * h + b * g - c * f + d * e)
        for j in range(3):
            out_scales[i, j] = scales[i, sources[chosen, j]]
            mean[j] = _MEMORY * mean[j] + (1 - _MEMORY) * out_scales[i, j]
