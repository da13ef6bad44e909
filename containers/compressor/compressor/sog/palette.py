"""A palette of vectors for the higher colour coefficients: weighted k-means in two levels, so that it stays fast."""

from __future__ import annotations

import math
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from compressor.sog.codes import Float32

_ITERATIONS = 5
_SEED = 1
_POINTS_PER_COARSE_CELL = 256
_POINTS_PER_VECTOR = 256
_FLAT_SEARCH_LIMIT = 1024
_CELLS_PROBED = 2


def build_palette(vectors: Float32, weights: Float32, size: int) -> tuple[Float32, NDArray[np.int64]]:
    """Up to `size` vectors (K, D) and the index (N,) of one near each of `vectors` (N, D).

    √K coarse cells, each given its share of the palette by its points and their spread; then every point looks for a
    nearer vector beyond its cell, through an inverted file (Jégou et al., Product Quantization for Nearest Neighbor
    Search, 2011), and the vectors move to the middle of those that chose them.
    """
    points = np.ascontiguousarray(vectors, dtype=np.float32)
    if len(points) <= size:
        return points.copy(), np.arange(len(points))
    mass = np.ascontiguousarray(weights, dtype=np.float32)
    palette = _two_level_means(points, mass, size)
    labels = _nearest(points, palette)
    total = np.bincount(labels, mass, minlength=len(palette))
    used = total > 0
    for dimension in range(points.shape[1]):
        moment = np.bincount(labels, mass * points[:, dimension], minlength=len(palette))
        palette[used, dimension] = moment[used] / total[used]
    return palette, labels


def sort_by_curve(palette: Float32, labels: NDArray[np.int64]) -> tuple[Float32, NDArray[np.int64]]:
    """The palette in order of its users' mean place in the file, unused vectors dropped: labels become smooth."""
    users = np.bincount(labels, minlength=len(palette))
    place = np.bincount(labels, np.arange(len(labels)), minlength=len(palette)) / np.maximum(users, 1)
    order = np.argsort(np.where(users > 0, place, np.inf), kind="stable")[: np.count_nonzero(users)]
    rank = np.empty(len(palette), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return palette[order], rank[labels]


def _two_level_means(points: Float32, mass: Float32, size: int) -> Float32:
    cells = max(1, math.isqrt(size))
    coarse = _means(points, mass, cells, _POINTS_PER_COARSE_CELL)
    index = faiss.IndexFlatL2(points.shape[1])
    index.add(coarse)
    distances, found = index.search(points, 1)
    cell = found[:, 0]
    members = np.bincount(cell, minlength=cells)
    spread = np.bincount(cell, distances[:, 0] * mass, minlength=cells)
    shares = _shares(members, np.sqrt(members * spread), size)
    order = np.argsort(cell, kind="stable")
    parts = []
    for chosen, share in zip(np.split(order, np.cumsum(members)[:-1]), shares, strict=True):
        if share:
            parts.append(_means(points[chosen], mass[chosen], int(share), _POINTS_PER_VECTOR))
    return np.concatenate(parts)


def _shares(members: NDArray[np.int64], demand: NDArray[np.float64], size: int) -> NDArray[np.int64]:
    """Whole numbers in about `demand`'s proportions, from one (in a cell with members) to `members`; `size` in all."""
    scaled = demand / max(float(demand.sum()), 1e-30) * size
    shares: NDArray[np.int64] = np.clip(np.floor(scaled), np.minimum(members, 1), members).astype(np.int64)
    while (spare := size - int(shares.sum())) > 0 and (shares < members).any():
        need = np.where(shares < members, demand / np.maximum(shares, 1), -1.0)
        shares[np.argsort(-need, kind="stable")[: min(spare, int((shares < members).sum()))]] += 1
    while int(shares.sum()) > size:
        shares[np.argmax(shares)] -= 1
    return shares


def _means(points: Float32, mass: Float32, count: int, points_per_mean: int) -> Float32:
    if len(points) <= count:
        return points
    kmeans = faiss.Kmeans(
        points.shape[1],
        count,
        niter=_ITERATIONS,
        seed=_SEED,
        max_points_per_centroid=points_per_mean,
        min_points_per_centroid=1,
    )
    kmeans.train(np.ascontiguousarray(points), weights=np.ascontiguousarray(mass))
    return np.array(kmeans.centroids, dtype=np.float32)


def _nearest(points: Float32, palette: Float32) -> NDArray[np.int64]:
    dimensions = palette.shape[1]
    index: Any = faiss.IndexFlatL2(dimensions)
    if len(palette) > _FLAT_SEARCH_LIMIT:
        quantiser = index
        index = faiss.IndexIVFFlat(quantiser, dimensions, int(1.5 * math.sqrt(len(palette))))
        index.cp.niter = 5
        index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = 1, 64
        index.nprobe = _CELLS_PROBED
        index.train(palette)
    index.add(palette)
    return np.asarray(index.search(points, 1)[1][:, 0], dtype=np.int64)
