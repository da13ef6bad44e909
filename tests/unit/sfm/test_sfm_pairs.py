"""Pairs to match: all of a small set, neighbours of a large one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfm.exif import Metadata
from sfm.features import Features
from sfm.pairs import choose_pairs, global_descriptors, most_alike, neighbours_in_place, next_in_time
from sfm.photos import Photo
from sfm.position import GeoPosition


def photo(index: int, position: GeoPosition | None = None, taken_at: str = "") -> Photo:
    name = f"{index:06d}.jpg"
    return Photo(name, name, Path(name), 100, 100, Metadata(position=position, taken_at=taken_at))


def features(seed: int, words: int = 1) -> Features:
    rng = np.random.default_rng(seed)
    descriptors = rng.integers(0, 120, (60, 128), dtype=np.uint8)
    return Features(np.zeros((60, 4), np.float32), descriptors)


def grid(count: int) -> list[Photo]:
    """A square flight, 10 m apart, photo by photo."""
    side = int(np.ceil(np.sqrt(count)))
    return [photo(i, GeoPosition(45 + (i // side) * 9e-5, 7 + (i % side) * 1.27e-4, 300.0)) for i in range(count)]


def test_small_sets_are_matched_whole() -> None:
    pairs = choose_pairs([photo(i) for i in range(20)], [features(i) for i in range(20)])
    assert pairs == [(i, j) for i in range(20) for j in range(i + 1, 20)]


def test_large_sets_grow_linearly_and_keep_their_neighbours() -> None:
    photos = grid(100)
    pairs = set(choose_pairs(photos, [features(i) for i in range(100)]))
    assert len(pairs) < 100 * (12 + 5 + 2)
    for i in range(100):  # beside and behind, at 10 m
        assert i % 10 == 9 or (i, i + 1) in pairs
        assert i >= 90 or (i, i + 10) in pairs


@settings(deadline=None, max_examples=8)
@given(st.integers(21, 40), st.integers(0, 40), st.integers(0, 1000))
def test_pairs_are_ordered_unique_and_reach_every_photo(count: int, located: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    positions = [GeoPosition(*rng.uniform([45, 7, 0], [45.01, 7.01, 900])) for _ in range(min(located, count))]
    photos = [photo(i, positions[i] if i < len(positions) else None) for i in range(count)]
    pairs = choose_pairs(photos, [features(i) for i in range(count)])
    assert pairs == sorted(set(pairs))
    assert all(0 <= i < j < count for i, j in pairs)
    assert {index for pair in pairs for index in pair} == set(range(count))


def test_a_wild_altitude_does_not_hide_a_neighbour() -> None:
    photos = grid(25)
    honest = photos[12].metadata.position
    assert honest is not None
    photos[12] = photo(12, GeoPosition(honest.latitude, honest.longitude, 9000.0))
    pairs = neighbours_in_place(photos, range(25), 8)
    assert {(6, 12), (7, 12), (8, 12), (11, 12), (12, 13), (12, 16), (12, 17), (12, 18)} <= pairs


def test_photos_next_in_time_are_paired_whatever_their_names() -> None:
    photos = [photo(0, taken_at="2024:05:01 10:00:04"), photo(1, taken_at="2024:05:01 10:00:00")]
    photos.append(photo(2, taken_at="2024:05:01 10:00:02"))
    assert next_in_time(photos, 1) == {(1, 2), (0, 2)}


def test_photos_of_one_place_are_most_alike() -> None:
    places = [np.random.default_rng(100 + p).integers(0, 120, (80, 128)) for p in range(4)]
    found = []
    for index in range(12):
        rng = np.random.default_rng(index)
        chosen = places[index % 4][rng.permutation(80)[:60]] + rng.integers(-3, 4, (60, 128))
        found.append(Features(np.zeros((60, 4), np.float32), np.clip(chosen, 0, 255).astype(np.uint8)))
    descriptors = global_descriptors(found)
    np.testing.assert_allclose(np.linalg.norm(descriptors, axis=1), 1, rtol=1e-5)
    pairs = most_alike(descriptors, 2)
    assert pairs == {(i, j) for i in range(12) for j in range(i + 1, 12) if i % 4 == j % 4}


@pytest.mark.parametrize("empty", [1, 3])
def test_photos_without_features_do_not_break_the_vocabulary(empty: int) -> None:
    none = Features(np.zeros((0, 4), np.float32), np.zeros((0, 128), np.uint8))
    descriptors = global_descriptors([none] * empty + [features(1)] * (3 - empty))
    assert np.isfinite(descriptors).all()
    assert (descriptors[:empty] == 0).all()
