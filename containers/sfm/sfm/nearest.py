"""Match descriptors by distance, in a space of fewer dimensions.

Lowe's ratio test (2004) requires the second nearest feature of the other photo to be much farther than the nearest, so
it needs all features of that photo. Whether a feature is distinctive can also be decided within its own photo, by its
nearest look-alike there (its `rival`), once for all pairs; then only features that the geometry allows are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

UNIT = 512.0  # length of COLMAP's RootSIFT bytes
# keeps 98 % of the descriptors' energy for half of the arithmetic; 40 dimensions lose a sixth of the matches
DIMENSIONS = 64
LEARNT_FROM_PHOTOS, LEARNT_FROM_FEATURES = 50, 1000
MAX_DISTANCE = 0.7**2  # squared distance of unit vectors beyond which there is no match, COLMAP's
RATIO = 0.8  # to the second nearest of the other photo
# to the rival, which is the nearest of a sample: 0.8 gives more matches and more wrong ones (error 0.192 instead of
# 0.176 px on the sample for 3 % more points)
RIVAL_RATIO = 0.78
RIVALS = 1024
SAME_PLACE = 8.0  # pixels; SIFT describes one place several times
ROUNDS = 4
ROWS = 1024  # compared at a time, so that the data stays in the cache


@dataclass(frozen=True)
class Alike:
    """A photo's features ready to be compared: `places` (N, 2) pixels, `vectors` (N, DIMENSIONS) near unit length,
    `rivals` (N,) squared distance to the most similar feature elsewhere in the same photo. Largest scale first.
    """

    places: NDArray[np.float64]
    vectors: Vectors
    rivals: Vectors


def learn_projection(descriptors: Sequence[NDArray[np.uint8]]) -> Vectors:
    """(128, DIMENSIONS) to the main axes of descriptors (N, 128) of some photos, uncentred: products are kept."""
    step = max(len(descriptors) // LEARNT_FROM_PHOTOS, 1)
    sample = np.concatenate([found[:LEARNT_FROM_FEATURES] for found in descriptors[::step]]).astype(np.float32) / UNIT
    _, axes = np.linalg.eigh(sample.T @ sample)
    return np.ascontiguousarray(axes[:, -DIMENSIONS:], dtype=np.float32)


def prepare(places: NDArray[np.float64], descriptors: NDArray[np.uint8], projection: Vectors) -> Alike:
    """Features at `places` (N, 2) with RootSIFT bytes (N, 128)."""
    vectors = np.asarray(descriptors.astype(np.float32) / np.float32(UNIT) @ projection, dtype=np.float32)
    return Alike(places, vectors, _rivals(places, vectors))


def nearest_both_ways(first: Vectors, second: Vectors) -> NDArray[np.uint32]:
    """Indices (M, 2) of mutual nearest neighbours that pass the ratio test."""
    if len(first) == 0 or len(second) == 0:
        return np.zeros((0, 2), np.uint32)
    products = first @ second.T
    rows = np.arange(len(first))
    columns = products.argmax(axis=1)
    best = products[rows, columns]
    mutual = best >= products.max(axis=0)[columns]
    products[rows, columns] = -1
    distance, next_distance = squared(best), squared(products.max(axis=1))
    good = mutual & (distance < RATIO**2 * next_distance) & (distance < MAX_DISTANCE)
    return np.column_stack([rows[good], columns[good]]).astype(np.uint32)


def squared(products: Vectors) -> Vectors:
    """Squared distances of unit vectors with these inner products."""
    return np.maximum(2 - 2 * products, 0)


def _rivals(places: NDArray[np.float64], vectors: Vectors) -> Vectors:
    """Squared distance (N,) of each feature to the most similar of RIVALS features elsewhere in the photo."""
    sample = np.arange(0, len(vectors), max(len(vectors) // RIVALS, 1))
    found = np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), ROWS):
        block = slice(start, start + ROWS)
        products = vectors[block] @ vectors[sample].T
        rows = np.arange(len(products))
        for _ in range(ROUNDS):
            nearest = products.argmax(axis=1)
            same = np.abs(places[block] - places[sample[nearest]]).max(axis=1) < SAME_PLACE
            if not same.any():
                break
            products[rows[same], nearest[same]] = -1
        found[block] = squared(products.max(axis=1))
    return found
