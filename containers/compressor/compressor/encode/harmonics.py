"""Quantise the higher colour coefficients by a palette of vectors, fitted for the directions of the views.

A colour is seen only from some directions, because a drone looks down. So vectors are compared by the colours that they
produce in the directions of the views, and a Gaussian's constant coefficient absorbs their mean error over its
directions, at no cost.
"""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
from numba import prange
from numpy.typing import NDArray

from compressor.encode.arranged import Sensitivity
from compressor.encode.codebook import fit_codebook, nearest_codes
from compressor.encode.palette import Indices, build_palette, sort_by_use
from compressor.sog.codes import CODEBOOK_SIZE, Float32, Float64, Palette, UInt16
from splat.gaussians import Gaussians
from splat.kernels import parallel_kernel

# weights are limited to this range; otherwise a few huge Gaussians would determine all vectors
_WEIGHTS = (1e-3, 1e3)
# share of the mean diagonal, added to it, so that directions without a view still count a little
_UNSEEN = 0.05
_CODEBOOK_SIZES = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, CODEBOOK_SIZE)
_CODEBOOK_SAMPLE = 8192
_CODEBOOK_SHARE = 0.15  # relative to the vectors' own error: what the codebook's rounding may add
_ERROR_SAMPLE = 1 << 16


def quantise_harmonics(
    arranged: Gaussians, sensitivity: Sensitivity, size: int, lambda_: float = 0.0
) -> Palette | None:
    """A palette of up to `size` vectors; None if there are no higher coefficients or all are zero.

    `lambda_`: λ, the extra squared picture error accepted per bit saved of a label.
    """
    count, coefficients, _ = arranged.shN.shape
    if not arranged.shN.any():
        return None
    typical = float(np.median(sensitivity.colours))
    weights = np.clip(sensitivity.colours / typical, *_WEIGHTS).astype(np.float32)
    metric = sensitivity.harmonics[:coefficients, :coefficients].astype(np.float64)
    diagonal = max(float(np.trace(metric)) / coefficients, 1e-30)
    root = np.linalg.cholesky(metric / diagonal + _UNSEEN * np.eye(coefficients))

    def seen(which: Indices) -> Float32:
        return np.ascontiguousarray(_transform(arranged.shN[which], root).reshape(len(which), -1))

    vectors, labels = build_palette(seen, weights, size, lambda_ / (typical * diagonal))
    vectors, labels = sort_by_use(vectors, labels)
    sample = np.linspace(0, count - 1, min(count, _ERROR_SAMPLE)).astype(np.int64)
    missed = _error(seen(sample) - vectors[labels[sample]], weights[sample])
    allowed = _CODEBOOK_SHARE * missed * float(weights.sum()) / float(weights[sample].sum())
    exact = _transform(vectors.reshape(len(vectors), coefficients, 3), np.linalg.inv(root))
    users = np.bincount(labels, weights, minlength=len(vectors)).astype(np.float32)
    codebook = _codebook(exact, users, root, allowed)
    rounded = nearest_codes(exact, codebook)
    return Palette(labels=labels.astype(np.uint16), codes=rounded, codebook=codebook)


def _codebook(exact: Float32, users: Float32, root: Float64, allowed: float) -> Float32:
    """The smallest codebook for vectors (K, C, 3) that adds at most `allowed` error; its size is found on a sample."""
    chosen = np.linspace(0, len(exact) - 1, min(len(exact), _CODEBOOK_SAMPLE)).astype(np.int64)
    some, weights = exact[chosen], users[chosen]
    budget = allowed * float(weights.sum() / max(float(users.sum()), 1e-30))

    def fit(vectors: Float32, mass: Float32, size: int) -> Float32:
        spread = np.broadcast_to(mass[:, None, None], vectors.shape)
        return fit_codebook(vectors, size, weights=spread)

    def suffices(size: int) -> bool:
        book = fit(some, weights, size)
        missed = book[nearest_codes(some, book)] - some
        return _error(_transform(missed, root).reshape(len(some), -1), weights) <= budget

    place = bisect_left(_CODEBOOK_SIZES[:-1], True, key=suffices)
    return fit(exact, users, _CODEBOOK_SIZES[place])


def absorb(gaussians: Gaussians, sensitivity: Sensitivity, palette: Palette | None) -> Float32:
    """Constant coefficients (N, 3) that absorb the error of `palette` in the directions from which each Gaussian is
    seen.

    A least-squares fit in colour over those directions; without a palette, of all higher coefficients.
    """
    out = np.empty_like(gaussians.sh0)
    _absorb(gaussians.sh0, gaussians.shN, sensitivity.directions, *_written(gaussians, palette), out)
    return out


def seen_error(gaussians: Gaussians, sensitivity: Sensitivity, palette: Palette | None) -> float:
    """The expected squared error in a picture with `palette` in place of the higher coefficients, or without any."""
    out = np.empty(len(gaussians), np.float32)
    metric = sensitivity.harmonics.astype(np.float32)
    _missed(gaussians.shN, metric, sensitivity.colours, *_written(gaussians, palette), out)
    return float(out.sum(dtype=np.float64))


def _written(gaussians: Gaussians, palette: Palette | None) -> tuple[Float32, UInt16]:
    """Vectors (K, C, 3) and labels (N,); without a palette, one zero vector that all labels refer to."""
    if palette is None:
        return np.zeros((1, gaussians.shN.shape[1], 3), np.float32), np.zeros(len(gaussians), np.uint16)
    return palette.codebook[palette.codes], palette.labels


@parallel_kernel
def _absorb(
    sh0: Float32, shN: Float32, directions: Float32, vectors: Float32, labels: UInt16, out: Float32
) -> None:  # fmt: skip
    for i in prange(sh0.shape[0]):
        for c in range(3):
            total = np.float32(0)
            for k in range(shN.shape[1]):
                total += directions[i, k + 1] * (shN[i, k, c] - vectors[labels[i], k, c])
            # a Gaussian that no view saw keeps its own
            out[i, c] = sh0[i, c] + (total / directions[i, 0] if directions[i, 0] > 0 else np.float32(0))


@parallel_kernel
def _missed(
    shN: Float32, metric: Float32, weights: Float32, vectors: Float32, labels: UInt16, out: Float32
) -> None:  # fmt: skip
    for i in prange(shN.shape[0]):
        total = np.float32(0)
        for c in range(3):
            for k in range(shN.shape[1]):
                missed = shN[i, k, c] - vectors[labels[i], k, c]
                for j in range(shN.shape[1]):
                    total += metric[k, j] * missed * (shN[i, j, c] - vectors[labels[i], j, c])
        out[i] = weights[i] * total


def _transform(shN: NDArray[np.float32], root: Float64) -> Float32:
    """Coefficients (N, K, 3) in coordinates whose squared distance is the colours'."""
    return np.asarray(np.matmul(root.astype(np.float32).T, shN), dtype=np.float32)


def _error(vectors: Float32, weights: Float32) -> float:
    return float((np.square(vectors).sum(axis=1) * weights).sum())
