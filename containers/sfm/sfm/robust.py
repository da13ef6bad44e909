"""Fit robustly against outliers: a similarity by least quantile of squares, a tilt by reweighted least squares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Complex = NDArray[np.complex128]

MAX_HYPOTHESES = 5000
CHUNK = 1 << 18  # residuals at a time: 4 MB of complex numbers
OUTLIER_SHARE = 0.4
INLIER_SIGMAS = 3.0
# metres; positions closer than this to their fit are never outliers: it is what civil GPS promises for 95 % of the time
# (GPS Standard Positioning Service Performance Standard 2020, 3.8)
INLIER_FLOOR_METRES = 5.0
SCATTER_FLOOR_METRES = 0.02
BEST_SIGMAS, MIN_BEST = 3.0, 5
ROUNDS = 10


@dataclass(frozen=True)
class Similarity2d:
    """`target = scale · R(heading) @ source + shift`, heading counter-clockwise, radians; `inliers` (N,), their rms.

    `weights` (N,): the weight of each target (mean 1).
    """

    scale: float
    heading: float
    shift: Vector
    inliers: NDArray[np.bool_]
    rms: float
    weights: Vector


def weights_of(sigmas: Vector, scatter: float) -> Vector:
    """Weights (N,) of measurements with standard deviations `sigmas` that scatter by no less than `scatter` anyway.

    Photos agree with each other to centimetres at best, so a receiver's σ of 1 cm does not weigh more than that.
    """
    weights = 1 / (np.square(sigmas) + scatter**2)
    return np.asarray(weights / weights.mean(), dtype=np.float64)


def best_of(sigmas: Vector, usable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which of the `usable` measurements are about as good as the best; all, where these are too few to scatter."""
    best = usable & (sigmas <= BEST_SIGMAS * sigmas[usable].min())
    return best if int(best.sum()) >= MIN_BEST else usable


def fit_similarity_2d(
    source: Vector, target: Vector, seed: int = 0, sigmas: Vector | None = None
) -> Similarity2d | None:
    """Robust similarity of (N, 2) points in metres, N >= 3; None when all sources or all targets coincide.

    Points of the plane are complex numbers, a similarity is `a·z + b`. Hypotheses from pairs are judged by a high
    quantile of the squared residuals (Rousseeuw 1984), then refined by least squares on the inliers. `sigmas` (N,):
    standard deviations of the targets in metres, by which they weigh; all alike where None.
    """
    doubts = np.full(len(source), 1.0) if sigmas is None else sigmas
    z, w = source[:, 0] + 1j * source[:, 1], target[:, 0] + 1j * target[:, 1]
    first, second = pairs(len(z), seed)
    apart = np.abs(z[second] - z[first])
    usable = (apart > 1e-3 * apart.max()) & (np.abs(w[second] - w[first]) > 0)
    if not usable.any():
        return None
    first, second = first[usable], second[usable]
    a = (w[second] - w[first]) / (z[second] - z[first])
    b = w[first] - a * z[first]
    rank = max(len(z) - int(OUTLIER_SHARE * len(z)), min(len(z), 4)) - 1
    quantiles = quantiles_of_squares(a, b, z, w, rank)
    leader = int(np.argmin(quantiles))
    sigma = float(np.sqrt(quantiles[leader]))
    scale, shift = a[leader], b[leader]
    inliers = np.abs(scale * z + shift - w) <= max(INLIER_SIGMAS * sigma, INLIER_FLOOR_METRES)
    weights = weights_of(doubts, max(sigma, SCATTER_FLOOR_METRES))
    for _ in range(ROUNDS):
        zi, wi, weight = z[inliers], w[inliers], weights[inliers]
        z_mean, w_mean = np.average(zi, weights=weight), np.average(wi, weights=weight)
        zc, wc = zi - z_mean, wi - w_mean
        power = float(np.sum(weight * np.abs(zc) ** 2))
        if power == 0:
            return None
        scale = np.sum(weight * np.conj(zc) * wc) / power
        shift = w_mean - scale * z_mean
        distance = np.abs(scale * z + shift - w)
        # of those that should be best: the scatter of the photos themselves, a lower bound for every receiver
        best = best_of(doubts, inliers)
        weights = weights_of(doubts, max(float(np.median(distance[best])), SCATTER_FLOOR_METRES))
        sigma = float(np.median(distance[inliers]))  # of both axes together
        updated = distance <= max(INLIER_SIGMAS * sigma, INLIER_FLOOR_METRES)
        if updated.sum() < 2 or bool((updated == inliers).all()):
            break
        inliers = updated
    if abs(scale) == 0:
        return None
    rms = float(np.sqrt(np.mean(np.abs(scale * z[inliers] + shift - w[inliers]) ** 2)))
    shift_xy = np.array([shift.real, shift.imag])
    return Similarity2d(float(np.abs(scale)), float(np.angle(scale)), shift_xy, np.asarray(inliers), rms, weights)


def pairs(count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of the numbers below `count`, the smaller first: all of them, or MAX_HYPOTHESES drawn at random."""
    row = np.arange(count)
    starts = row * count - row * (row + 1) // 2  # of the pairs that begin with each number
    total = count * (count - 1) // 2
    if total > MAX_HYPOTHESES:
        numbers = np.random.default_rng(seed).choice(total, MAX_HYPOTHESES, replace=False)
    else:
        numbers = np.arange(total)
    first = np.searchsorted(starts, numbers, "right") - 1
    return first, numbers - starts[first] + first + 1


def quantiles_of_squares(a: Complex, b: Complex, z: Complex, w: Complex, rank: int) -> Vector:
    """(H,) the `rank`-th smallest of the squared residuals of `w` (N,) from each hypothesis `a·z + b`, a few hypotheses
    at a time: all residuals of 5,000 photos take 400 MB.
    """
    found = np.empty(len(a))
    step = max(1, CHUNK // len(z))
    for start in range(0, len(a), step):
        some = slice(start, start + step)
        squared = np.abs(a[some, None] * z[None] + b[some, None] - w[None]) ** 2
        squared.partition(rank, axis=1)
        found[some] = squared[:, rank]
    return found


def fit_tilt(places: Vector, heights: Vector, slope_sigma: float, drift: Vector) -> Vector:
    """Slope (2,) of `heights` (N,) over `places` (N, 2), in metres, with a Gaussian prior of `slope_sigma` about level.

    Heights weigh by the scatter of the best of them, each never better than its `drift` (N,); Huber weights hold
    outliers down.
    """
    best = best_of(drift, np.ones(len(drift), np.bool_))
    design = np.column_stack([places, np.ones(len(places))])
    prior = np.diag([slope_sigma**-2, slope_sigma**-2, 0.0])
    weights = np.ones(len(places))
    solution = np.array([0.0, 0.0, float(np.median(heights))])
    for _ in range(ROUNDS):
        residual = heights - design @ solution
        sigma = np.maximum(1.4826 * float(np.median(np.abs(residual[best]))), drift)
        weights = np.minimum(1.0, 1.345 * sigma / np.maximum(np.abs(residual), 1e-12)) / sigma**2
        normal = design.T @ (weights[:, None] * design) + prior
        solution = np.linalg.solve(normal, design.T @ (weights * heights))
    return np.asarray(solution[:2], dtype=np.float64)
