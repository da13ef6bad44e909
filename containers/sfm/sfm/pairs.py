"""Choose the pairs of photos to match: all pairs of a small set, else neighbours by place, appearance and time."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sfm.features import Features
from sfm.geodesy import LocalFrame
from sfm.photos import Photo

EXHAUSTIVE_UP_TO = 20
NEIGHBOURS_IN_PLACE = 12
ALIKE_WITH_GPS, ALIKE_WITHOUT_GPS = 5, 12
NEXT_IN_TIME = 2
# frames of a film: each with the next ones and, in case these are blurred, with some farther on; and with the likeliest
# ones of other times, where the flight comes back to what it saw
STEPS_IN_FILM = (1, 2, 3, 4, 5, 6, 8, 12, 16, 24)
LOOPS_IN_FILM = 8
GPS_SHARE_TO_TRUST = 0.8
VOCABULARY = 64
SAMPLE_PER_PHOTO, SAMPLE_IN_ALL, DESCRIBED_PER_PHOTO = 400, 40_000, 2000

Pair = tuple[int, int]


def choose_pairs(photos: Sequence[Photo], features: Sequence[Features]) -> list[Pair]:
    """Index pairs (i < j), sorted. Near linear in the number of photos above EXHAUSTIVE_UP_TO."""
    count = len(photos)
    if count <= EXHAUSTIVE_UP_TO:
        return [(i, j) for i in range(count) for j in range(i + 1, count)]
    located = [i for i in range(count) if photos[i].metadata.position is not None]
    if photos[0].moment is not None:
        loops = most_alike(global_descriptors(features), LOOPS_IN_FILM, apart=max(STEPS_IN_FILM))
        return sorted(along_film(count) | loops | neighbours_in_place(photos, located, NEIGHBOURS_IN_PLACE))
    has_gps = len(located) >= GPS_SHARE_TO_TRUST * count
    pairs = neighbours_in_place(photos, located, NEIGHBOURS_IN_PLACE)
    pairs |= most_alike(global_descriptors(features), ALIKE_WITH_GPS if has_gps else ALIKE_WITHOUT_GPS)
    pairs |= next_in_time(photos, NEXT_IN_TIME)
    return sorted(pairs)


def neighbours_in_place(photos: Sequence[Photo], located: Sequence[int], count: int) -> set[Pair]:
    """Each located photo with its nearest `count` on the ground; altitudes are too unreliable to take part."""
    if len(located) < 2:
        return set()
    positions = [position for i in located if (position := photos[i].metadata.position) is not None]
    frame = LocalFrame.about(positions)
    ground = np.array([frame.to_enu(position)[:2] for position in positions])
    pairs: set[Pair] = set()
    for row, i in enumerate(located):
        distances = np.linalg.norm(ground - ground[row], axis=1)
        distances[row] = np.inf
        for other in np.argsort(distances, kind="stable")[: min(count, len(located) - 1)]:
            pairs.add(_ordered(i, located[int(other)]))
    return pairs


def along_film(count: int) -> set[Pair]:
    """Each of `count` frames, which are in order, with later ones."""
    return {(i, i + step) for step in STEPS_IN_FILM for i in range(count - step)}


def most_alike(descriptors: NDArray[np.float32], count: int, apart: int = 0) -> set[Pair]:
    """Each photo with the `count` whose global descriptors are nearest, more than `apart` places before or after it."""
    similarity = descriptors @ descriptors.T
    places = np.arange(len(descriptors))
    similarity[np.abs(places[:, None] - places) <= apart] = -np.inf
    order = np.argsort(-similarity, axis=1, kind="stable")[:, : min(count, len(descriptors) - 1)]
    return {_ordered(i, int(j)) for i, row in enumerate(order) for j in row if np.isfinite(similarity[i, j])}


def next_in_time(photos: Sequence[Photo], count: int) -> set[Pair]:
    """Each photo with the next `count` by capture time (by name where there is none)."""
    order = sorted(range(len(photos)), key=lambda i: (photos[i].metadata.taken_at, photos[i].name))
    return {_ordered(order[k], order[k + step]) for step in range(1, count + 1) for k in range(len(order) - step)}


def global_descriptors(features: Sequence[Features], seed: int = 0) -> NDArray[np.float32]:
    """VLAD (Jégou et al. 2010) with intra-normalisation (Arandjelović & Zisserman 2013), (N, 64·128), unit length.

    The vocabulary is learnt from the set itself, so nothing needs downloading.
    """
    rng = np.random.default_rng(seed)
    sample = np.concatenate([f.descriptors[:SAMPLE_PER_PHOTO] for f in features]).astype(np.float32)
    if len(sample) > SAMPLE_IN_ALL:
        sample = sample[rng.choice(len(sample), SAMPLE_IN_ALL, replace=False)]
    words = min(VOCABULARY, len(sample))
    described = np.zeros((len(features), max(words, 1), 128), np.float32)
    if words == 0:
        return described.reshape(len(features), -1)
    cv2.setRNGSeed(seed)
    criteria = (cv2.TERM_CRITERIA_MAX_ITER + cv2.TERM_CRITERIA_EPS, 12, 1.0)
    _, _, centres = cv2.kmeans(sample, words, np.zeros(0, np.int32), criteria, 1, cv2.KMEANS_PP_CENTERS)
    for index, found in enumerate(features):
        values = found.descriptors[:DESCRIBED_PER_PHOTO].astype(np.float32)
        if len(values) == 0:
            continue
        nearest = np.argmin((centres**2).sum(axis=1) - 2 * values @ centres.T, axis=1)
        np.add.at(described[index], nearest, values - centres[nearest])
    described /= np.maximum(np.linalg.norm(described, axis=2, keepdims=True), 1e-9)
    flat = described.reshape(len(features), -1)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9), dtype=np.float32)


def _ordered(i: int, j: int) -> Pair:
    return (i, j) if i < j else (j, i)
