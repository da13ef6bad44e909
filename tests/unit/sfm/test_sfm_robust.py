"""Fits that outliers do not affect."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfm.robust import fit_similarity_2d, fit_tilt, pairs, quantiles_of_squares


def similar(source: np.ndarray, scale: float, heading: float, shift: tuple[float, float]) -> np.ndarray:
    c, s = np.cos(heading), np.sin(heading)
    moved: np.ndarray = scale * source @ np.array([[c, -s], [s, c]]).T + np.array(shift)
    return moved


@given(st.floats(0.01, 100), st.floats(-3, 3), st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))
def test_an_exact_similarity_is_found(scale: float, heading: float, east: float, north: float) -> None:
    source = np.random.default_rng(0).normal(size=(12, 2))
    fit = fit_similarity_2d(source, similar(source, scale, heading, (east, north)))
    assert fit is not None
    assert fit.scale == pytest.approx(scale, rel=1e-6)
    assert np.angle(np.exp(1j * (fit.heading - heading))) == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(fit.shift, [east, north], atol=1e-5 * (1 + abs(east) + abs(north)))
    assert fit.inliers.all()


def test_a_third_of_outliers_is_named_and_does_not_pull() -> None:
    rng = np.random.default_rng(3)
    source = rng.uniform(-10, 10, (30, 2))
    target = similar(source, 8.0, 0.7, (100, -50)) + rng.normal(0, 0.3, (30, 2))
    target[:10] += rng.uniform(40, 80, (10, 2))
    fit = fit_similarity_2d(source, target)
    assert fit is not None
    assert fit.inliers.tolist() == [False] * 10 + [True] * 20
    assert fit.scale == pytest.approx(8.0, rel=0.01)
    assert fit.heading == pytest.approx(0.7, abs=0.01)
    assert 0.2 < fit.rms < 0.6


def test_three_positions_are_enough_and_none_is_an_outlier() -> None:
    source = np.array([[0.0, 0], [1, 0], [0, 1]])
    fit = fit_similarity_2d(source, similar(source, 30.0, 0.1, (0, 0)) + np.array([[0.5, 0], [0, 0], [0, -0.5]]))
    assert fit is not None
    assert fit.inliers.all()
    assert fit.scale == pytest.approx(30, rel=0.05)


@pytest.mark.parametrize("which", ["source", "target"])
def test_positions_all_in_one_place_have_no_fit(which: str) -> None:
    spread, same = np.random.default_rng(0).normal(size=(6, 2)), np.ones((6, 2))
    assert (fit_similarity_2d(same, spread) if which == "source" else fit_similarity_2d(spread, same)) is None


def points(count: int, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Positions of a flight and where they were measured, a tenth of them far off."""
    rng = np.random.default_rng(seed)
    source = rng.uniform(-50, 50, (count, 2))
    target = similar(source, 2.0, -1.0, (5, 5)) + rng.normal(0, 1, (count, 2))
    target[::10] += 50
    return source, target


def test_hypotheses_are_judged_a_few_at_a_time_as_the_plain_formula_judges_all() -> None:
    source, target = points(40)
    z, w = source @ [1, 1j], target @ [1, 1j]
    first, second = np.triu_indices(len(z), 1)
    a = (w[second] - w[first]) / (z[second] - z[first])
    b = w[first] - a * z[first]
    plain = np.sort(np.abs(a[:, None] * z[None] + b[:, None] - w[None]) ** 2, axis=1)[:, 23]
    for chunk in (1, 40 * 7, 1 << 18):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sfm.robust.CHUNK", chunk)
            np.testing.assert_array_equal(quantiles_of_squares(a, b, z, w, 23), plain)


@pytest.mark.parametrize("count", [2, 3, 17, 100])
def test_the_pairs_are_all_pairs_in_order_or_a_sample_of_them(count: int) -> None:
    first, second = np.triu_indices(count, 1)
    np.testing.assert_array_equal(pairs(count, 0), [first, second])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sfm.robust.MAX_HYPOTHESES", 1)
        ((one,), (other,)) = pairs(count, 0)
    assert (one, other) in set(zip(first, second, strict=True))


def test_five_thousand_positions_take_little_memory() -> None:
    """All pairs and all residuals took 600 MB."""
    source, target = points(5000)
    tracemalloc.start()
    fit = fit_similarity_2d(source, target)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert fit is not None
    assert not fit.inliers[::10].any()
    assert fit.inliers.mean() > 0.89
    assert peak < 32 << 20


def test_many_positions_use_a_sample_of_hypotheses() -> None:
    rng = np.random.default_rng(4)
    source = rng.uniform(-50, 50, (400, 2))
    target = similar(source, 2.0, -1.0, (5, 5))
    target[:80] += 500
    fit = fit_similarity_2d(source, target)
    assert fit is not None
    assert fit.scale == pytest.approx(2.0)
    assert fit.inliers.sum() == 320


def test_tilt_follows_altitudes_that_agree() -> None:
    rng = np.random.default_rng(5)
    places = rng.uniform(-100, 100, (40, 2))
    heights = places @ [0.03, -0.02] + 120 + rng.normal(0, 0.2, 40)
    heights[:4] += 100
    np.testing.assert_allclose(fit_tilt(places, heights, 0.05, np.full(len(places), 1.0)), [0.03, -0.02], atol=4e-3)


def test_tilt_stays_level_where_altitudes_are_noise_or_places_are_few() -> None:
    rng = np.random.default_rng(6)
    places = rng.uniform(-30, 30, (12, 2))
    assert np.abs(fit_tilt(places, rng.normal(0, 60, 12), 0.05, np.full(len(places), 1.0))).max() < 0.03
    assert np.abs(fit_tilt(np.zeros((3, 2)), np.array([1.0, 2.0, 3.0]), 0.05, np.ones(3))).max() < 1e-9


def test_without_accuracies_all_targets_weigh_alike() -> None:
    source = np.random.default_rng(0).uniform(-100, 100, (30, 2))
    target = similar(source, 0.5, 1.0, (3.0, -2.0)) + np.random.default_rng(1).normal(0, 1, (30, 2))
    fit, given = fit_similarity_2d(source, target), fit_similarity_2d(source, target, sigmas=np.full(30, 0.01))
    assert fit is not None
    assert given is not None
    np.testing.assert_allclose(fit.weights, 1)
    np.testing.assert_allclose([fit.scale, fit.heading, *fit.shift], [given.scale, given.heading, *given.shift])
