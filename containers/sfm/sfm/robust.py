"""Fit robustly against outliers: a similarity by least quantile of squares, a tilt by reweighted least squares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

MAX_HYPOTHESES = 5000
OUTLIER_SHARE = 0.4
INLIER_SIGMAS = 3.0
# metres; positions closer than this to their fit are never outliers: it is what civil GPS promises for 95 % of the time
# (GPS Standard Positioning Service Performance Standard 2020, 3.8)
INLIER_FLOOR_METRES = 5.0
ROUNDS = 10


@dataclass(frozen=True)
class Similarity2d:
    """`target = scale · R(heading) @ source + shift`, heading counter-clockwise, radians; `inliers` (N,), their rms."""

    scale: float
    heading: float
    shift: Vector
    inliers: NDArray[np.bool_]
    rms: float


def fit_similarity_2d(source: Vector, target: Vector, seed: int = 0) -> Similarity2d | None:
    """Robust similarity of (N, 2) points in metres, N >= 3; None when all sources or all targets coincide.

    Points of the plane are complex numbers, a similarity is `a·z + b`. Hypotheses from pairs are judged by a high
    quantile of the squared residuals (Rousseeuw 1984), then refined by least squares on the inliers.
    """
    z, w = source[:, 0] + 1j * source[:, 1], target[:, 0] + 1j * target[:, 1]
    first, second = np.triu_indices(len(z), 1)
    if len(first) > MAX_HYPOTHESES:
        chosen = np.random.default_rng(seed).choice(len(first), MAX_HYPOTHESES, replace=False)
        first, second = first[chosen], second[chosen]
    apart = np.abs(z[second] - z[first])
    usable = (apart > 1e-3 * apart.max()) & (np.abs(w[second] - w[first]) > 0)
    if not usable.any():
        return None
    first, second = first[usable], second[usable]
    a = (w[second] - w[first]) / (z[second] - z[first])
    b = w[first] - a * z[first]
    squared = np.abs(a[:, None] * z[None] + b[:, None] - w[None]) ** 2
    rank = max(len(z) - int(OUTLIER_SHARE * len(z)), min(len(z), 4)) - 1
    best = int(np.argmin(np.partition(squared, rank, axis=1)[:, rank]))
    sigma = float(np.sqrt(np.partition(squared[best], rank)[rank]))
    scale, shift = a[best], b[best]
    inliers = np.sqrt(squared[best]) <= max(INLIER_SIGMAS * sigma, INLIER_FLOOR_METRES)
    for _ in range(ROUNDS):
        zi, wi = z[inliers], w[inliers]
        zc, wc = zi - zi.mean(), wi - wi.mean()
        power = float(np.sum(np.abs(zc) ** 2))
        if power == 0:
            return None
        scale = np.sum(np.conj(zc) * wc) / power
        shift = wi.mean() - scale * zi.mean()
        distance = np.abs(scale * z + shift - w)
        sigma = float(np.median(distance[inliers]))  # of both axes together
        updated = distance <= max(INLIER_SIGMAS * sigma, INLIER_FLOOR_METRES)
        if updated.sum() < 2 or bool((updated == inliers).all()):
            break
        inliers = updated
    if abs(scale) == 0:
        return None
    rms = float(np.sqrt(np.mean(np.abs(scale * z[inliers] + shift - w[inliers]) ** 2)))
    return Similarity2d(
        float(np.abs(scale)), float(np.angle(scale)), np.array([shift.real, shift.imag]), np.asarray(inliers), rms
    )


def fit_tilt(places: Vector, heights: Vector, slope_sigma: float, drift: float) -> Vector:
    """Slope (2,) of `heights` (N,) over `places` (N, 2), in metres, with a Gaussian prior of `slope_sigma` about level.

    Heights weigh by their own scatter, never better than `drift`; Huber weights hold outliers down.
    """
    design = np.column_stack([places, np.ones(len(places))])
    prior = np.diag([slope_sigma**-2, slope_sigma**-2, 0.0])
    weights = np.ones(len(places))
    solution = np.array([0.0, 0.0, float(np.median(heights))])
    for _ in range(ROUNDS):
        residual = heights - design @ solution
        sigma = max(1.4826 * float(np.median(np.abs(residual))), drift)
        weights = np.minimum(1.0, 1.345 * sigma / np.maximum(np.abs(residual), 1e-12)) / sigma**2
        normal = design.T @ (weights[:, None] * design) + prior
        solution = np.linalg.solve(normal, design.T @ (weights * heights))
    return np.asarray(solution[:2], dtype=np.float64)
