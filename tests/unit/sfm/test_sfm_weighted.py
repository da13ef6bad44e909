"""A similarity by points whose positions are known with different accuracies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from sfm.weighted import Vector, meet, refine_similarity

SCALE, TURN, SHIFT = 12.0, Rotation.from_rotvec([0.3, -0.8, 1.9]).as_matrix(), np.array([4.0, -7.0, 30.0])
START = (SCALE * 1.01, Rotation.from_rotvec([0.02, 0.01, -0.02]).as_matrix() @ TURN, SHIFT + 0.3)


def places(count: int, seed: int) -> Vector:
    """Points (N, 3) of uneven ground, in a model's own unit."""
    return np.random.default_rng(seed).uniform((-2, -2, -0.1), (2, 2, 0.1), (count, 3))


def moved(points: Vector) -> Vector:
    return np.asarray(SCALE * points @ TURN.T + SHIFT)


def uneven(rng: np.random.Generator, count: int) -> Vector:
    """Covariances (N, 3, 3), up to twenty times less accurate along some direction."""
    axes = Rotation.random(count, rng=rng).as_matrix()
    sigmas = np.stack([np.full(count, 0.01), np.full(count, 0.01), rng.uniform(0.01, 0.2, count)], axis=1)
    return np.asarray(np.einsum("nij,nj,nkj->nik", axes, sigmas**2, axes))


@given(count=st.integers(3, 12), seed=st.integers(0, 99))
def test_exact_points_give_the_similarity_whatever_their_weights(count: int, seed: int) -> None:
    points = places(count, seed)
    spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    if spread[1] < 0.2:  # nearly on a line
        return
    covariances = uneven(np.random.default_rng(seed), count)
    scale, rotation, translation = refine_similarity(*START, points, moved(points), covariances)
    assert scale == pytest.approx(SCALE, rel=1e-7)
    np.testing.assert_allclose(rotation, TURN, atol=1e-7)
    np.testing.assert_allclose(translation, SHIFT, atol=1e-6)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)


def test_points_count_by_how_well_they_are_known() -> None:
    """In many surveys of six points, errors elsewhere are clearly smaller than with equal weights."""
    rng = np.random.default_rng(0)
    elsewhere = places(20, 1)
    squares: dict[bool, list[float]] = {True: [], False: []}
    for survey in range(60):
        points = places(6, 100 + survey)
        covariances = uneven(rng, 6)
        errors = np.array([rng.multivariate_normal(np.zeros(3), covariance) for covariance in covariances])
        for weighed, squared in squares.items():
            known = covariances if weighed else np.tile(0.05**2 * np.eye(3), (6, 1, 1))
            scale, rotation, translation = refine_similarity(SCALE, TURN, SHIFT, points, moved(points) + errors, known)
            off = scale * elsewhere @ rotation.T + translation - moved(elsewhere)
            squared.append(float(np.square(off).sum(axis=1).mean()))
    assert np.mean(squares[True]) < 0.6 * np.mean(squares[False])


def test_one_point_far_off_moves_the_others_little() -> None:
    points = places(8, 3)
    target = moved(points)
    target[2] += (0.3, 0.0, 0.3)
    covariances = np.tile(0.01**2 * np.eye(3), (8, 1, 1))
    scale, rotation, translation = refine_similarity(*START, points, target, covariances)
    off = np.linalg.norm(scale * points @ rotation.T + translation - moved(points), axis=1)
    assert off.max() < 0.03


def test_a_place_is_vague_along_its_rays() -> None:
    """Two rays, 3 units apart, to a place 30 units below."""
    centres = np.array([[-1.5, 0, 30.0], [1.5, 0, 30.0]])
    rays = -centres / np.linalg.norm(centres, axis=1, keepdims=True)
    place, covariance = meet(centres, rays, np.array([1e-3, 1e-3]), np.array([3.0, 2.0, 8.0]))
    np.testing.assert_allclose(place, 0, atol=1e-9)
    east, north, up = np.sqrt(np.diag(covariance))
    assert up == pytest.approx(1e-3 * 30 / 0.05 / np.sqrt(2), rel=0.01)
    assert east == pytest.approx(0.03 / np.sqrt(2), rel=0.01)
    assert north == pytest.approx(0.03 / np.sqrt(2), rel=0.01)
    _, twice = meet(np.tile(centres, (2, 1)), np.tile(rays, (2, 1)), np.full(4, 1e-3), np.zeros(3))
    np.testing.assert_allclose(twice, covariance / 2, rtol=1e-9)


def test_a_place_scatters_as_its_covariance_says() -> None:
    """Rays from near and far: with the same angular error, a far ray is more metres off."""
    rng = np.random.default_rng(4)
    centres = np.array([[-20.0, 3, 30], [15, -4, 35], [2, 60, 45], [-50, -50, 60.0]])
    exact = -centres / np.linalg.norm(centres, axis=1, keepdims=True)
    sigmas = np.full(4, 5e-4)
    found = []
    for _ in range(2000):
        rays = exact + rng.normal(0, 5e-4, exact.shape)
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        place, covariance = meet(centres, rays, sigmas, np.array([1.0, 1.0, 1.0]))
        found.append(place @ np.linalg.solve(covariance, place))
    assert np.mean(found) == pytest.approx(3.0, rel=0.06)  # of a χ² with three degrees of freedom
