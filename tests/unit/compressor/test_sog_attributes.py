"""Each attribute's conversion into integers and back: losses are bounded, and what should be lossless is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from compressor.encode.axes import canonical_axes
from compressor.encode.codebook import fit_codebook, nearest_codes
from compressor.encode.curve import hilbert_order
from compressor.sog.means import inverse_log_transform, log_transform


def covariances(quats: np.ndarray, scales: np.ndarray) -> np.ndarray:
    w, x, y, z = (quats.astype(np.float64) / np.linalg.norm(quats, axis=1, keepdims=True)).T
    rotation = np.stack(
        [
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        ],
        axis=1,
    ).reshape(-1, 3, 3)  # fmt: skip
    half = rotation * np.exp(scales.astype(np.float64))[:, None, :]
    covariances: np.ndarray = half @ half.transpose(0, 2, 1)
    return covariances


@settings(deadline=None)
@given(arrays(np.float64, (7, 3), elements=st.floats(-1e6, 1e6)))
def test_the_log_transform_undoes_itself(means: np.ndarray) -> None:
    assert np.allclose(inverse_log_transform(log_transform(means)), means, rtol=1e-9, atol=1e-9)


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_canonical_axes_leave_every_ellipsoid_as_it_was(seed: int) -> None:
    rng = np.random.default_rng(seed)
    quats, scales = rng.normal(size=(40, 4)).astype(np.float32), rng.normal(size=(40, 3)).astype(np.float32)
    new_quats, new_scales = canonical_axes(quats, scales)
    assert np.allclose(np.sort(new_scales, axis=1), np.sort(scales, axis=1))
    before = covariances(quats, scales)
    assert np.allclose(covariances(new_quats, new_scales), before, atol=1e-5 * np.abs(before).max())


def test_canonical_rotations_are_small() -> None:
    rng = np.random.default_rng(3)
    quats, _ = canonical_axes(rng.normal(size=(1000, 4)).astype(np.float32), np.zeros((1000, 3), dtype=np.float32))
    # every rotation is within 62.8° of one of the cube's 24 (the fundamental zone of cubic symmetry)
    assert (quats[:, 0] > np.cos(np.radians(62.8 / 2 + 0.1))).all()
    assert (np.abs(quats).argmax(axis=1) == 0).all()


def test_the_hilbert_curve_steps_from_cell_to_neighbouring_cell() -> None:
    cells = np.array(list(itertools.product(range(8), repeat=3)))
    order = hilbert_order(np.expm1(cells / 7.0).astype(np.float32))
    assert sorted(order) == list(range(512))
    assert (np.abs(np.diff(cells[order], axis=0)).sum(axis=1) == 1).all()


def squared_error(values: np.ndarray, book: np.ndarray) -> float:
    return float(np.square(values[:, None] - book[None, :]).min(axis=1).sum())


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 3))
def test_codebooks_of_few_values_are_the_best_possible(seed: int, size: int) -> None:
    values = np.random.default_rng(seed).normal(size=9).astype(np.float32)
    ordered = np.sort(values).astype(np.float64)
    best = min(
        sum(float(np.square(part - part.mean()).sum()) for part in np.split(ordered, cuts))
        for cuts in itertools.combinations(range(1, 9), size - 1)
    )
    assert squared_error(ordered, fit_codebook(values, size).astype(np.float64)) == pytest.approx(best, rel=1e-4)


def test_codebooks_ascend_hold_256_and_serve_weights() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(size=20_000).astype(np.float32)
    errors = []
    for size in (16, 64, 256):
        book = fit_codebook(values, size)
        assert book.shape == (256,)
        assert (np.diff(book) >= 0).all()
        assert len(np.unique(book)) <= size
        errors.append(float(np.square(book[nearest_codes(values, book)] - values).mean()))
    assert errors[0] > 10 * errors[1] > 100 * errors[2]
    heavy = np.where(values > 1, 100, 1).astype(np.float32)
    tail = values[values > 1]
    plain, weighted = fit_codebook(values, 32), fit_codebook(values, 32, weights=heavy)
    assert squared_error(tail, weighted) < 0.5 * squared_error(tail, plain)


def test_nearest_codes_are_nearest_and_use_no_repeated_entry() -> None:
    values = np.random.default_rng(6).normal(size=500).astype(np.float32)
    book = fit_codebook(values, 10)
    codes = nearest_codes(values, book)
    assert codes.max() < 10
    assert np.allclose(np.abs(book[codes] - values), np.abs(values[:, None] - book[None, :]).min(axis=1))
