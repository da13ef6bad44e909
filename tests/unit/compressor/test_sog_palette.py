"""The palette of higher colour coefficients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compressor.encode.harmonics import absorb, quantise_harmonics, seen_error
from compressor.encode.palette import _shares, build_palette, sort_by_use
from compressor.encode.sensitivity import measure_sensitivity
from compressor.framing import frame_scene
from splat.gaussians import Gaussians
from tests.support.splats import even_sensitivity

MakeSplat = Callable[..., Gaussians]


def clusters(count: int, groups: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(groups, 9)).astype(np.float32)
    member = np.arange(count) % groups
    return centres[member] + rng.normal(0, 0.01, (count, 9)).astype(np.float32), member


def test_as_many_vectors_as_points_lose_nothing() -> None:
    points, _ = clusters(50, 50)
    palette, labels = build_palette(points.__getitem__, np.ones(50, dtype=np.float32), 64, 0.0)
    assert np.array_equal(palette[labels], points)


def test_the_palette_finds_the_clusters_that_are_there() -> None:
    points, _ = clusters(4000, 20)
    palette, labels = build_palette(points.__getitem__, np.ones(4000, dtype=np.float32), 64, 0.0)
    assert len(palette) <= 64
    assert np.square(palette[labels] - points).mean() < 3 * 0.01**2


def test_a_larger_palette_is_nearer_past_the_flat_search_too() -> None:
    points = np.random.default_rng(1).normal(size=(6000, 9)).astype(np.float32)
    errors = []
    for size in (16, 256, 2048):
        palette, labels = build_palette(points.__getitem__, np.ones(6000, dtype=np.float32), size, 0.0)
        assert len(palette) <= size
        errors.append(float(np.square(palette[labels] - points).mean()))
    assert errors[0] > errors[1] > errors[2]


def test_a_palette_of_mostly_equal_vectors_labels_every_point() -> None:
    """Then most cells of the index are empty, and a search among a few of them may find nothing."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        points = rng.normal(scale=0.1, size=(20_000, 45)).astype(np.float32)
        points[rng.random(20_000) < 0.99] = 0
        weights = np.exp(rng.normal(size=20_000)).astype(np.float32)
        palette, labels = build_palette(points.__getitem__, weights, 4096, 1e-3)
        assert 0 <= labels.min() <= labels.max() < len(palette)


def test_weighty_points_get_the_vectors() -> None:
    points = np.random.default_rng(2).normal(size=(2000, 9)).astype(np.float32)
    weights = np.where(np.arange(2000) < 200, 100, 0.01).astype(np.float32)
    for mass, limit in ((weights, 0.4), (np.ones(2000, dtype=np.float32), 10.0)):
        palette, labels = build_palette(points.__getitem__, mass, 100, 0.0)
        assert np.square(palette[labels] - points)[:200].mean() < limit


def test_sorting_changes_the_numbers_not_the_vectors_and_drops_the_unused() -> None:
    palette = np.arange(20, dtype=np.float32).reshape(5, 4)
    labels = np.array([4, 4, 1, 1, 1, 0])
    ordered, renamed = sort_by_use(palette, labels)
    assert np.array_equal(ordered[renamed], palette[labels])
    assert renamed.tolist() == [1, 1, 0, 0, 0, 2]
    assert len(ordered) == 3


def entropy(labels: np.ndarray) -> float:
    share = np.bincount(labels) / len(labels)
    return float(-(share[share > 0] * np.log2(share[share > 0])).sum())


def test_lambda_shortens_labels_where_they_matter_little() -> None:
    rng = np.random.default_rng(3)
    points = rng.normal(size=(5000, 9)).astype(np.float32)
    weights = np.where(np.arange(5000) % 10 == 0, 10, 0.1).astype(np.float32)
    bits, errors = [], []
    for lambda_ in (0.0, 0.2, 0.5):
        palette, labels = build_palette(points.__getitem__, weights, 256, lambda_)
        bits.append(entropy(labels))
        distances = np.square(palette[labels] - points).sum(axis=1)
        errors.append((float(distances[::10].mean()), float(distances.mean())))
    assert bits[0] > bits[1] + 1 > bits[2] + 2
    # where it matters much, the error is as small as before
    assert errors[2][0] < 1.05 * errors[0][0]
    assert errors[2][1] > 1.2 * errors[0][1]


def test_a_sample_makes_the_vectors_of_more_points_than_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    points = np.random.default_rng(4).normal(size=(9000, 9)).astype(np.float32)
    mass = np.ones(9000, dtype=np.float32)

    def error() -> float:
        palette, labels = build_palette(points.__getitem__, mass, 64, 1e-6)
        assert len(labels) == 9000
        return float(np.square(palette[labels] - points).mean())

    whole = error()
    monkeypatch.setattr("compressor.encode.palette._SAMPLE", 2000)
    monkeypatch.setattr("compressor.encode.palette._CHUNK", 2500)
    assert whole < error() < 1.15 * whole


@pytest.mark.parametrize("with_palette", [False, True])
def test_the_kernels_agree_with_their_float64_twins(make_splat: MakeSplat, with_palette: bool) -> None:
    splat = make_splat(300, 2)
    framing = frame_scene(splat, [], z_up=True)
    sensitivity = measure_sensitivity(splat, [], framing, lambda: None)[0]
    palette = quantise_harmonics(splat, sensitivity, 16) if with_palette else None
    written = palette.codebook[palette.codes][palette.labels].astype(np.float64) if palette else np.zeros((300, 8, 3))
    missed = splat.shN.astype(np.float64) - written
    directions = sensitivity.directions.astype(np.float64)
    absorbed = splat.sh0 + np.einsum("nk,nkc->nc", directions[:, 1:9] / directions[:, :1], missed)
    assert absorb(splat, sensitivity, palette) == pytest.approx(absorbed, rel=1e-4, abs=1e-5)
    error = np.einsum("n,nkc,kl,nlc->", sensitivity.colours, missed, sensitivity.harmonics[:8, :8], missed)
    assert seen_error(splat, sensitivity, palette) == pytest.approx(error, rel=1e-3)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 100)), min_size=1, max_size=12), st.integers(1, 60))
def test_shares_respect_members_and_sum(cells: list[tuple[int, float]], extra: int) -> None:
    members = np.array([count for count, _ in cells])
    size = int((members > 0).sum()) + extra
    shares = _shares(members, np.array([need for _, need in cells]), size)
    assert (shares <= members).all()
    assert (shares[members > 0] >= 1).all()
    assert shares.sum() == min(size, members.sum())


def test_lower_degrees_are_not_padded(make_splat: MakeSplat) -> None:
    for degree, coefficients in ((1, 3), (2, 8)):
        palette = quantise_harmonics(make_splat(200, degree), even_sensitivity(200), 64)
        assert palette is not None
        values = palette.codebook[palette.codes]
        assert values.shape[1:] == (coefficients, 3)
        assert values.any()


def test_no_palette_without_coefficients_or_where_all_are_zero(make_splat: MakeSplat) -> None:
    flat = make_splat(50, 0)
    assert quantise_harmonics(flat, even_sensitivity(50), 64) is None
    dark = make_splat(50, 2)
    dark = Gaussians(**{**vars(dark), "shN": np.zeros((50, 8, 3))})
    assert quantise_harmonics(dark, even_sensitivity(50), 64) is None
