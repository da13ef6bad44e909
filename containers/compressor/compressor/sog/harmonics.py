"""The higher colour coefficients: a palette of vectors that are near where anybody looks from.

A colour is seen only from some directions: a drone looks down. So vectors are compared by the colours they make in the
directions that the views weigh, and what they miss on average over a Gaussian's own directions, its constant
coefficient takes over, at no cost.
"""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
from numpy.typing import NDArray

from compressor.sog.codebook import fit_codebook, nearest_codes
from compressor.sog.codes import CODEBOOK_SIZE, PALETTE_COEFFICIENTS, Float32, Float64, Palette, Sensitivity
from compressor.sog.decoder import dequantise_harmonics
from compressor.sog.palette import build_palette, sort_by_curve
from splat.gaussians import Gaussians

# weights are kept within these, or a few huge Gaussians would own every vector
_WEIGHTS = (1e-3, 1e3)
# of the mean diagonal, added to it: directions that no view has still count a little
_UNSEEN = 0.05
_CODEBOOK_SIZES = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, CODEBOOK_SIZE)
_CODEBOOK_SAMPLE = 8192
_CODEBOOK_SHARE = 0.15  # of the vectors' own error, which the codebook's rounding may add


def quantise_harmonics(arranged: Gaussians, sensitivity: Sensitivity, size: int) -> Palette | None:
    """A palette of up to `size` vectors; None where there are no higher coefficients or all are zero."""
    count, coefficients, _ = arranged.shN.shape
    if not arranged.shN.any():
        return None
    weights = np.clip(sensitivity.colours / np.median(sensitivity.colours), *_WEIGHTS).astype(np.float32)
    root = _metric_root(sensitivity, coefficients)
    seen = np.ascontiguousarray(_transform(arranged.shN, root).reshape(count, -1))
    vectors, labels = build_palette(seen, weights, size)
    vectors, labels = sort_by_curve(vectors, labels)
    allowed = _CODEBOOK_SHARE * _error(seen - vectors[labels], weights)
    exact = np.zeros((len(vectors), PALETTE_COEFFICIENTS, 3), dtype=np.float32)
    inverse = np.asarray(np.linalg.inv(root), dtype=np.float64)
    exact[:, :coefficients] = _transform(vectors.reshape(len(vectors), coefficients, 3), inverse)
    users = np.bincount(labels, weights, minlength=len(vectors)).astype(np.float32)
    codebook = _codebook(exact, coefficients, users, root, allowed)
    rounded = nearest_codes(exact, codebook)
    return Palette(labels=labels.astype(np.uint16), codes=rounded, codebook=codebook)


def _codebook(exact: Float32, coefficients: int, users: Float32, root: Float64, allowed: float) -> Float32:
    """The smallest codebook for vectors (K, 15, 3) that adds at most `allowed`; its size is found on some of them."""
    chosen = np.linspace(0, len(exact) - 1, min(len(exact), _CODEBOOK_SAMPLE)).astype(np.int64)
    some, weights = exact[chosen, :coefficients], users[chosen]
    budget = allowed * float(weights.sum() / max(float(users.sum()), 1e-30))
    zero = coefficients < PALETTE_COEFFICIENTS

    def fit(vectors: Float32, mass: Float32, size: int) -> Float32:
        spread = np.broadcast_to(mass[:, None, None], vectors.shape)
        return fit_codebook(vectors, size, weights=spread, zero=zero)

    def suffices(size: int) -> bool:
        book = fit(some, weights, size)
        missed = book[nearest_codes(some, book)] - some
        return _error(_transform(missed, root).reshape(len(some), -1), weights) <= budget

    place = bisect_left(_CODEBOOK_SIZES[:-1], True, key=suffices)
    return fit(exact[:, :coefficients], users, _CODEBOOK_SIZES[place])


def absorb(gaussians: Gaussians, sensitivity: Sensitivity, palette: Palette | None) -> Float32:
    """Constant coefficients (N, 3) that make up for what `palette` misses in the directions each Gaussian is seen from.

    The least squares in colour over those directions; without a palette all is missed.
    """
    missed = gaussians.shN
    if palette is not None:
        missed = missed - dequantise_harmonics(palette, len(gaussians))[:, : missed.shape[1]]
    seen = sensitivity.directions[:, 1 : missed.shape[1] + 1] / sensitivity.directions[:, :1]
    return np.asarray(gaussians.sh0 + np.einsum("nk,nkc->nc", seen, missed), dtype=np.float32)


def seen_error(sensitivity: Sensitivity, missed: Float32) -> float:
    """The expected squared error in a picture of higher coefficients that are off by `missed` (N, K, 3)."""
    metric = sensitivity.harmonics[: missed.shape[1], : missed.shape[1]].astype(np.float32)
    by_gaussian = (np.einsum("kl,nlc->nkc", metric, missed) * missed).sum(axis=(1, 2))
    return float((by_gaussian * sensitivity.colours).sum())


def _metric_root(sensitivity: Sensitivity, coefficients: int) -> Float64:
    """Cholesky root (K, K) of how errors in the coefficients count, of a mean diagonal of one."""
    metric = sensitivity.harmonics[:coefficients, :coefficients].astype(np.float64)
    mean = max(float(np.trace(metric)) / coefficients, 1e-30)
    return np.asarray(np.linalg.cholesky(metric / mean + _UNSEEN * np.eye(coefficients)), dtype=np.float64)


def _transform(shN: NDArray[np.float32], root: Float64) -> Float32:
    """Coefficients (N, K, 3) in coordinates whose squared distance is the colours'."""
    return np.asarray(np.einsum("nkc,kj->njc", shN, root.astype(np.float32)), dtype=np.float32)


def _error(vectors: Float32, weights: Float32) -> float:
    return float((np.square(vectors).sum(axis=1) * weights).sum())
