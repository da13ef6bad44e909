"""Adam for the Gaussians that a picture shows; the parameters and moments of all others are neither read nor written.

Kingma and Ba, Adam: A Method for Stochastic Optimization, 2015, with the faster order of computation that closes its
section 2.
"""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy.typing import NDArray

from splat.gaussians import Float32
from splat.kernels import ONE, ZERO, Scalar, inlined, parallel_kernel
from splat.lanes import LANES, load, square_root, store

BETA1, BETA2, EPSILON = np.float32(0.9), np.float32(0.999), np.float32(1e-15)

# Columns of a row of moments: means, quats, scales, opacity, sh0 and the higher harmonics, padded to whole lanes. All
# parameters share one row, because fetching a row that is not in the cache costs more than its arithmetic.
COLUMNS = {"means": 0, "quats": 3, "scales": 7, "opacities": 10, "sh0": 11, "shN": 14}
MOMENT_COLUMNS = 64
_BLOCK = 64  # rows per task


def adam_rows(
    parameters: dict[str, Float32],
    gradients: dict[str, Float32],
    moments: Float32,
    rows: NDArray[np.int64],
    rates: Float32,
    corrections: Float32,
) -> None:
    """Update the Gaussians `rows` and their moments in place.

    Parameters
    ----------
    parameters: arrays of N rows, by name as in `Gaussians`.
    gradients: arrays of V rows, by the same names; shN may have only its first coefficients, and the others stay.
    moments: (N, 2, MOMENT_COLUMNS), the first and second moments.
    rows: (V,) distinct indices.
    rates: (MOMENT_COLUMNS,) learning rates by column.
    corrections: (V,) factor of the rates for each row, which corrects the moments' bias.
    """
    means, quats, scales, opacities, sh0, higher = (parameters[name].reshape(-1) for name in COLUMNS)
    d_means, d_quats, d_scales, d_opacities, d_sh0, d_higher = (gradients[name].reshape(-1) for name in COLUMNS)
    _adam(
        means, quats, scales, opacities, sh0, higher, d_means, d_quats, d_scales, d_opacities, d_sh0, d_higher,
        parameters["shN"].shape[1] * 3, gradients["shN"].shape[1] * 3, moments.reshape(-1), rows, rates, corrections,
    )  # fmt: skip


@parallel_kernel
def _adam(
    means: Float32, quats: Float32, scales: Float32, logits: Float32, sh0: Float32, shN: Float32,
    d_means: Float32, d_quats: Float32, d_scales: Float32, d_logits: Float32, d_sh0: Float32, d_shN: Float32,
    higher: int, active: int, moments: Float32, rows: NDArray[np.int64], rates: Float32, corrections: Float32,
) -> None:  # fmt: skip
    count = rows.shape[0]
    for block in prange((count + _BLOCK - 1) // _BLOCK):
        buffer = np.zeros(MOMENT_COLUMNS, np.float32)  # a row's gradient, then its update
        for i in range(block * _BLOCK, min(count, (block + 1) * _BLOCK)):
            row = rows[i]
            _copy(d_means, i, 3, buffer, 0)
            _copy(d_quats, i, 4, buffer, 3)
            _copy(d_scales, i, 3, buffer, 7)
            _copy(d_logits, i, 1, buffer, 10)
            _copy(d_sh0, i, 3, buffer, 11)
            _copy(d_shN, i, active, buffer, 14)
            for j in range(0, 14 + active, LANES):
                at = row * (2 * MOMENT_COLUMNS) + j
                g = load(buffer, j)
                first = BETA1 * load(moments, at) + (ONE - BETA1) * g
                second = BETA2 * load(moments, at + MOMENT_COLUMNS) + (ONE - BETA2) * (g * g)
                store(moments, at, first)
                store(moments, at + MOMENT_COLUMNS, second)
                store(buffer, j, corrections[i] * load(rates, j) * first / (square_root(second) + EPSILON))
            _subtract(buffer, 0, 3, means, row * 3)
            _subtract(buffer, 3, 4, quats, row * 4)
            _subtract(buffer, 7, 3, scales, row * 3)
            _subtract(buffer, 10, 1, logits, row)
            _subtract(buffer, 11, 3, sh0, row * 3)
            _subtract(buffer, 14, active, shN, row * higher)
            for k in range(14 + active, MOMENT_COLUMNS):
                buffer[k] = ZERO


@inlined
def _copy(source: Float32, row: Scalar, width: Scalar, buffer: Float32, column: Scalar) -> None:
    for k in range(np.uint64(width)):
        buffer[np.uint64(column) + k] = source[np.uint64(row * width) + k]


@inlined
def _subtract(buffer: Float32, column: Scalar, width: Scalar, target: Float32, at: Scalar) -> None:
    for k in range(np.uint64(width)):
        target[np.uint64(at) + k] -= buffer[np.uint64(column) + k]
