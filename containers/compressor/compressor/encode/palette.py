"""Build a palette of vectors for the higher colour coefficients. Labels are short where errors matter little."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from compressor.sog.codes import Float32, Float64

_ITERATIONS = 5
_SEED = 1
_POINTS_PER_COARSE_CELL = 256
_POINTS_PER_VECTOR = 256
_FLAT_SEARCH_LIMIT = 1024
_CELLS_PROBED, _CELLS_PROBED_IN_LARGE = 4, 2
# number of points to which the vectors are fitted, and the minimum per vector; the other points only choose a vector
_SAMPLE = 1 << 18
_SAMPLE_PER_VECTOR = 2
_ROUNDS = 2
# the vectors from which a point chooses: this many near ones, and this many whose labels are cheap
_NEAR, _NEAR_IN_LARGE, _CHEAP = 16, 8, 32
_CHUNK = 1 << 16

Indices = NDArray[np.int64]
Points = Callable[[Indices], Float32]
"""Makes the points (n, D) of the indices (n,): all of a large scene's at once would fill the memory."""


def build_palette(points: Points, weights: Float32, size: int, lambda_: float) -> tuple[Float32, Indices]:
    """Up to `size` vectors (K, D), and for each of the N points the label (N,) of its vector.

    There are √K coarse cells; each gets a share of the palette according to its points and their spread. Then every
    point takes the vector with the lowest weight · distance² + λ · bits of its label, and each vector moves to the
    mean of the points that chose it (Chou, Lookabaugh and Gray, Entropy-constrained vector quantization, 1989). Points
    with little weight share few cheap labels. λ is 0 in the first round.
    """
    count = len(weights)
    if count <= size:
        return points(np.arange(count)), np.arange(count)
    large = count > _SAMPLE
    chosen = np.linspace(0, count - 1, min(count, max(_SAMPLE, _SAMPLE_PER_VECTOR * size))).astype(np.int64)
    some, mass = points(chosen), np.ascontiguousarray(weights[chosen])
    palette, label_costs = _two_level_means(some, mass, size), np.zeros(size, np.float32)
    for _ in range(_ROUNDS):
        labels = _Choice(palette, label_costs, large=large).labels(some.__getitem__, mass)
        palette, users = _moved(some.__getitem__, mass, labels, palette)
        palette, users = palette[users > 0], users[users > 0]
        label_costs = (-lambda_ * np.log2(users / users.sum())).astype(np.float32)
    choice = _Choice(palette, label_costs, large=large)
    labels = choice.labels(points, weights)
    return _moved(points, weights, labels, palette)[0], labels


def sort_by_use(palette: Float32, labels: Indices) -> tuple[Float32, Indices]:
    """The palette from the most to the least used vector, unused ones dropped: the labels' high bytes become small."""
    users = np.bincount(labels, minlength=len(palette))
    order = np.argsort(-users, kind="stable")[: np.count_nonzero(users)]
    rank = np.empty(len(palette), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return palette[order], rank[labels]


def _parts(count: int) -> Iterator[Indices]:
    for start in range(0, count, _CHUNK):
        yield np.arange(start, min(start + _CHUNK, count))


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


def _shares(members: Indices, demand: Float64, size: int) -> Indices:
    """Whole numbers roughly proportional to `demand`, at least one (for a cell with members) and at most `members`;
    `size` in all."""
    scaled = demand / max(float(demand.sum()), 1e-30) * size
    shares: Indices = np.clip(np.floor(scaled), np.minimum(members, 1), members).astype(np.int64)
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


def _moved(points: Points, weights: Float32, labels: Indices, palette: Float32) -> tuple[Float32, Indices]:
    """Each vector moved to the mean of its points, and the number of these (K,)."""
    total, moments = np.zeros(len(palette)), np.zeros(palette.shape)
    for part in _parts(len(labels)):
        some, mass, chosen = points(part), weights[part], labels[part]
        total += np.bincount(chosen, mass, minlength=len(palette))
        for dimension in range(some.shape[1]):
            moments[:, dimension] += np.bincount(chosen, mass * some[:, dimension], minlength=len(palette))
    middle = np.where(total[:, None] > 0, moments / np.maximum(total, 1e-30)[:, None], palette)
    return middle.astype(np.float32), np.bincount(labels, minlength=len(palette))


class _Choice:
    """The choice of vectors from `palette` (K, D), where the label of each vector costs `label_costs` (K,)."""

    def __init__(self, palette: Float32, label_costs: Float32, *, large: bool) -> None:
        near = _NEAR_IN_LARGE if large else _NEAR
        self._label_costs, self._near = label_costs, min(near, len(palette)) if label_costs.any() else 1
        self._cheap = np.argsort(label_costs, kind="stable")[:_CHEAP]
        self._vectors = palette[self._cheap]
        dimensions = palette.shape[1]
        self._index: Any = faiss.IndexFlatL2(dimensions)
        if len(palette) > _FLAT_SEARCH_LIMIT:
            # an inverted file: Jégou et al., Product Quantization for Nearest Neighbor Search, 2011
            self._cells = self._index
            self._index = faiss.IndexIVFFlat(self._cells, dimensions, int(1.5 * math.sqrt(len(palette))))
            self._index.cp.niter = 5
            self._index.cp.min_points_per_centroid, self._index.cp.max_points_per_centroid = 1, 64
            self._index.nprobe = _CELLS_PROBED_IN_LARGE if large else _CELLS_PROBED
            self._index.train(palette)
        self._index.add(palette)

    def labels(self, points: Points, weights: Float32) -> Indices:
        """Labels with the lowest weight · distance² + cost of the label, among the nearest vectors and the cheapest."""
        return np.concatenate([self._labels(points(part), weights[part]) for part in _parts(len(weights))])

    def _labels(self, points: Float32, mass: Float32) -> Indices:
        distances, found = self._index.search(points, self._near)
        # an index of -1 means that the probed cells have too few vectors
        if self._near == 1 and (found >= 0).all():
            return np.asarray(found[:, 0], dtype=np.int64)
        rows = np.arange(len(points))
        cost = mass[:, None] * np.where(found >= 0, distances, np.inf) + self._label_costs[found]
        place = cost.argmin(axis=1)
        labels, least = found[rows, place], cost[rows, place]
        vectors = self._vectors
        squares = np.square(points).sum(axis=1)[:, None] + np.square(vectors).sum(axis=1) - 2 * points @ vectors.T
        cost = mass[:, None] * squares + self._label_costs[self._cheap]
        place = cost.argmin(axis=1)
        return np.asarray(np.where(cost[rows, place] < least, self._cheap[place], labels), dtype=np.int64)
