"""Fit codebooks of up to 256 values: the optimal scalar quantiser of a fine histogram, by dynamic programming."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compressor.sog.codes import CODEBOOK_SIZE, Float32, Float64, UInt8
from splat.kernels import kernel

_BINS = 4096
_SAMPLE = 1 << 18  # rows of values are enough for a histogram


def fit_codebook(values: NDArray[np.float32], size: int, weights: NDArray[np.float32] | None = None) -> Float32:
    """256 ascending values, at most `size` of them distinct, with the least squared error for `values` (any shape).

    The last distinct value repeats to fill the book.
    """
    every = max(1, len(values) // _SAMPLE)
    flat = values[::every].ravel().astype(np.float64)
    importance = np.ones(flat.shape) if weights is None else weights[::every].ravel().astype(np.float64)
    centres, mass = _histogram(flat, importance)
    if len(centres) <= size:
        book = centres
    else:
        book = np.empty(size)
        _optimal_codes(mass, centres, book)
    # a few digits are far finer than the steps between values, and meta.json spells them out
    distinct = np.unique(np.array([f"{value:.5g}" for value in book], dtype=np.float32))
    return np.pad(distinct, (0, CODEBOOK_SIZE - len(distinct)), mode="edge")


def nearest_codes(values: NDArray[np.float32], codebook: Float32) -> UInt8:
    """Indices, in the shape of `values`, of the nearest value of an ascending `codebook`; the first of equal ones."""
    distinct = codebook[: np.searchsorted(codebook, codebook[-1]) + 1].astype(np.float64)
    borders = ((distinct[1:] + distinct[:-1]) / 2).astype(np.float32)
    return np.searchsorted(borders, values).astype(np.uint8)


def _histogram(values: Float64, weights: Float64) -> tuple[Float64, Float64]:
    """Weighted mean and weight of up to 4096 bins, fine both where values are dense and in the tails."""
    order = np.argsort(values)
    ordered, mass = values[order], weights[order]
    count, span = len(ordered), ordered[-1] - ordered[0]
    if span <= 0:
        return ordered[:1], np.ones(1)
    # bins of equal rank, blended with bins of equal width, the more of them the longer the tails are
    quartiles = ordered[count * 3 // 4] - ordered[count // 4]
    blend = np.clip(1 - quartiles / span, 0.5, 0.999)
    place = blend * np.arange(count) / count + (1 - blend) * (ordered - ordered[0]) / span
    bins = np.minimum((_BINS * place).astype(np.int64), _BINS - 1)
    total = np.bincount(bins, mass, minlength=_BINS)
    filled = total > 0
    return np.bincount(bins, mass * ordered, minlength=_BINS)[filled] / total[filled], total[filled].astype(np.float64)


@kernel
def _optimal_codes(weights: Float64, values: Float64, codes: Float64) -> None:
    """Fill `codes` with the means of the partition of ascending `values` that has the least squared error.

    Divide and conquer over the last part's first value, O(codes · values · log values); Grønlund et al., Fast Exact
    k-Means, k-Medians and Bregman Divergence Clustering in 1D, 2017.
    """
    n, parts = values.shape[0], codes.shape[0]
    w, wx, wxx = np.zeros(n + 1), np.zeros(n + 1), np.zeros(n + 1)
    for i in range(n):
        w[i + 1] = w[i] + weights[i]
        wx[i + 1] = wx[i] + weights[i] * values[i]
        wxx[i + 1] = wxx[i] + weights[i] * values[i] * values[i]
    previous, current = np.empty(n), np.empty(n)
    first = np.zeros((parts + 1, n), dtype=np.int32)  # start of the last of m parts that end at j
    for j in range(n):
        previous[j] = wxx[j + 1] - wx[j + 1] ** 2 / w[j + 1]
    stack = np.empty((64, 4), dtype=np.int64)
    for m in range(2, parts + 1):
        current[:] = np.inf
        stack[0] = (m - 1, n - 1, m - 1, n - 1)
        depth = 1
        while depth > 0:
            depth -= 1
            low, high, first_low, first_high = stack[depth]
            if low > high:
                continue
            middle = (low + high) // 2
            best, best_first = np.inf, first_low
            for s in range(max(first_low, m - 1), min(first_high, middle) + 1):
                mass, moment = w[middle + 1] - w[s], wx[middle + 1] - wx[s]
                cost = previous[s - 1] + wxx[middle + 1] - wxx[s] - moment * moment / mass
                if cost < best:
                    best, best_first = cost, s
            current[middle] = best
            first[m, middle] = best_first
            stack[depth] = (low, middle - 1, first_low, best_first)
            stack[depth + 1] = (middle + 1, high, best_first, first_high)
            depth += 2
        previous[:] = current
    last = n - 1
    for m in range(parts, 0, -1):
        begin = first[m, last]
        codes[m - 1] = (wx[last + 1] - wx[begin]) / (w[last + 1] - w[begin])
        last = begin - 1
