"""Matches along epipolar lines are the true ones, wherever the cameras are relative to each other."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pycolmap
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfm.features import root_sift
from sfm.guided import match_along_lines, matching_lines, one_to_one
from sfm.matching import match_two
from sfm.nearest import DIMENSIONS, MAX_DISTANCE, RATIO, Alike, learn_projection, nearest_both_ways, prepare

WIDTH, HEIGHT, FOCAL = 1600, 1200, 1300.0
SEEN = 900
NOISE = 0.4  # pixels


def camera(known: bool = True) -> pycolmap.Camera:
    made = pycolmap.Camera.create_from_model_name(1, "SIMPLE_PINHOLE", FOCAL, WIDTH, HEIGHT)
    made.has_prior_focal_length = known
    return made


def unit(rng: np.random.Generator, count: int) -> np.ndarray:
    vectors = rng.normal(size=(count, DIMENSIONS))
    scaled: np.ndarray = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return scaled


def two_views(turn: np.ndarray, move: np.ndarray, flat: bool = False) -> tuple[Alike, Alike, np.ndarray]:
    """Two photos with SEEN common points, as many others in each that the other lacks, and the true matches (M, 2)."""
    rng = np.random.default_rng(4)
    depth = np.full(SEEN, 30.0) if flat else rng.uniform(20, 45, SEEN)
    points = np.column_stack([rng.uniform(-18, 18, SEEN), rng.uniform(-13, 13, SEEN), depth])
    views = []
    for rotation, translation in ((np.eye(3), np.zeros(3)), (turn, move)):
        local = points @ rotation.T + translation
        views.append(local[:, :2] / local[:, 2:] * FOCAL + [WIDTH / 2, HEIGHT / 2] + rng.normal(0, NOISE, (SEEN, 2)))
    looks = unit(rng, SEEN)
    photos = []
    for places in views:
        others = rng.uniform(0, [WIDTH, HEIGHT], (SEEN, 2))
        blurred = looks + 0.03 * rng.normal(size=looks.shape).astype(np.float32)
        blurred /= np.linalg.norm(blurred, axis=1, keepdims=True)
        vectors = np.concatenate([blurred, unit(rng, SEEN)])
        photos.append(Alike(np.concatenate([places, others]), vectors, np.full(2 * SEEN, 1.0, np.float32)))
    shuffled = rng.permutation(2 * SEEN)
    second = photos[1]
    second = Alike(second.places[shuffled], second.vectors[shuffled], second.rivals[shuffled])
    return photos[0], second, np.column_stack([np.arange(SEEN), np.argsort(shuffled)[:SEEN]])


def rotation(axis: list[float], degrees: float) -> np.ndarray:
    return pycolmap.Rotation3d(np.deg2rad(degrees) * np.array(axis)).matrix()


MOTIONS = {
    "sideways": (np.eye(3), np.array([6.0, 0, 0])),
    "up and aslant": (rotation([0, 1, 0], 9), np.array([4.0, 5, 1])),
    "turned on its head": (rotation([0, 0, 1], 180), np.array([2.0, 6, 0])),
    "a quarter turn": (rotation([0, 0, 1], 90), np.array([5.0, 1, 0])),
    "forward, the epipole in the picture": (rotation([0, 0, 1], 25), np.array([0.3, -0.4, -6])),
}


@pytest.mark.parametrize("known", [True, False], ids=["focal length known", "unknown"])
@pytest.mark.parametrize("name", MOTIONS)
def test_what_was_planted_is_found_from_a_few_matches(name: str, known: bool) -> None:
    first, second, true = two_views(*MOTIONS[name])
    geometry = pycolmap.estimate_two_view_geometry(
        camera(known), first.places, camera(known), second.places, true[:60].astype(np.uint32)
    )
    ways = matching_lines(geometry, camera(known), camera(known), first.places)
    found = match_along_lines(first, second, ways, WIDTH, 4.0)
    assert len({*map(tuple, found.tolist())} & {*map(tuple, true.tolist())}) > 0.95 * len(true)
    assert len(found) < 1.02 * len(true)


def test_a_plane_is_matched_without_knowing_the_camera() -> None:
    """Its fundamental matrix is undetermined; the homography is not."""
    first, second, true = two_views(rotation([0, 0, 1], 12), np.array([5.0, 2, 0]), flat=True)
    geometry = match_two(first, camera(known=False), second, camera(known=False))
    assert geometry is not None
    found = {*map(tuple, geometry.inlier_matches.tolist())}
    assert len(found & {*map(tuple, true.tolist())}) > 0.95 * len(true)


def test_photos_of_different_places_do_not_match() -> None:
    first, _, _ = two_views(*MOTIONS["sideways"])
    rng = np.random.default_rng(9)
    other = Alike(rng.uniform(0, [WIDTH, HEIGHT], (1500, 2)), unit(rng, 1500), first.rivals[:1500])
    assert match_two(first, camera(), other, camera()) is None


def test_nearest_both_ways_is_the_ratio_test_in_both_photos() -> None:
    rng = np.random.default_rng(1)
    first = unit(rng, 300)
    second = first[rng.permutation(300)] + 0.09 * rng.normal(size=first.shape).astype(np.float32)
    second[:40] = second[40:80]  # features that occur twice match nothing
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    distances = 2 - 2 * first.astype(np.float64) @ second.astype(np.float64).T
    expected = []
    for row, line in enumerate(distances):
        best, next_best = np.argsort(line)[:2]
        if distances[:, best].argmin() == row and line[best] < min(RATIO**2 * line[next_best], MAX_DISTANCE):
            expected.append((row, int(best)))
    found = [tuple(pair) for pair in nearest_both_ways(first, second).tolist()]
    assert found == expected
    assert 100 < len(found) < 260


def test_a_rival_stands_elsewhere_in_the_photo() -> None:
    """Descriptors at the same place, which SIFT finds with several orientations, are no rivals of each other."""
    rng = np.random.default_rng(2)
    descriptors = root_sift(rng.uniform(0, 1, (400, 128)).astype(np.float32) ** 3)
    descriptors[1], descriptors[3] = descriptors[0], descriptors[2]
    places = rng.uniform(0, 1600, (400, 2))
    places[1] = places[0] + 1
    alike = prepare(places, descriptors, learn_projection([descriptors]))
    assert alike.rivals[0] > 2 * alike.rivals[2]


@pytest.mark.parametrize("counts", [(0, 0), (0, 9), (9, 0), (1, 1)])
def test_photos_with_hardly_a_feature(counts: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    descriptors = [rng.integers(0, 120, (count, 128)).astype(np.uint8) for count in counts]
    projection = learn_projection(descriptors)
    first, second = (prepare(rng.uniform(0, 999, (len(d), 2)), d, projection) for d in descriptors)
    assert match_two(first, camera(), second, camera()) is None


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12), st.floats(0, 1, width=32)), max_size=40))
def test_what_several_claim_goes_to_the_nearest(claims: list[tuple[int, int, float]]) -> None:
    firsts = {first: (first, second, distance) for first, second, distance in claims}.values()
    pairs = np.array([claim[:2] for claim in firsts], np.int64).reshape(-1, 2)
    distances = np.array([claim[2] for claim in firsts], np.float32)
    kept = [tuple(pair) for pair in one_to_one(pairs, distances).tolist()]
    assert {second for _, second in kept} == {second for _, second, _ in firsts}
    assert all(earlier < later for (earlier, _), (later, _) in pairwise(kept))
    for first, second in kept:
        mine = next(distance for a, b, distance in firsts if (a, b) == (first, second))
        assert mine == min(distance for _, b, distance in firsts if b == second)
