"""Each attribute's way into integers and back: what is lost is bounded, what should be free costs nothing."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from compressor.sog.axes import canonical_axes
from compressor.sog.codebook import fit_codebook, nearest_codes
from compressor.sog.curve import hilbert_order
from compressor.sog.decoder import dequantise_opacities
from compressor.sog.encoder import quantise_colours, quantise_opacities, quantise_positions, quantise_scales
from compressor.sog.means import dequantise_means, inverse_log_transform, log_transform, quantise_means
from compressor.sog.quats import dequantise_quats, quantise_quats
from splat.gaussians import Gaussians
from tests.support.splats import even_sensitivity


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
    return half @ half.transpose(0, 2, 1)


def angle_between(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    a = one / np.linalg.norm(one, axis=1, keepdims=True)
    b = other / np.linalg.norm(other, axis=1, keepdims=True)
    return 2 * np.arccos(np.clip(np.abs((a * b).sum(axis=1)), 0, 1))


@settings(deadline=None)
@given(arrays(np.float64, (7, 3), elements=st.floats(-1e6, 1e6)))
def test_the_log_transform_undoes_itself(means: np.ndarray) -> None:
    assert np.allclose(inverse_log_transform(log_transform(means)), means, rtol=1e-9, atol=1e-9)


@settings(deadline=None)
@given(st.floats(0.1, 1e5), st.integers(0, 1000))
def test_positions_come_back_within_half_a_code(extent: float, seed: int) -> None:
    means = np.random.default_rng(seed).normal(0, extent, (50, 3)).astype(np.float32)
    codes, low, high = quantise_means(means, np.zeros((50, 3)))
    back = dequantise_means(codes, low, high)
    half_code = (high - low) / 65535 / 2
    assert (np.abs(log_transform(back) - log_transform(means)) <= half_code * 1.001 + 1e-6).all()


def test_a_larger_allowance_moves_a_position_further_but_never_over_half_of_it() -> None:
    rng = np.random.default_rng(1)
    means = rng.uniform(-3, 3, (2000, 3)).astype(np.float32)
    allowed = rng.choice([0.0, 0.001, 0.01, 0.1], 2000)
    codes, low, high = quantise_means(means, np.repeat(allowed[:, None], 3, axis=1))
    moved = np.abs(dequantise_means(codes, low, high) - means).max(axis=1)
    finest = (high - low).max() / 65535 * 4  # a code at |x| = 3
    assert (moved <= np.maximum(allowed, finest) * 0.55).all()
    assert moved[allowed == 0.1].mean() > 10 * moved[allowed == 0.001].mean()
    # dropped bits are zeros: the images repeat themselves
    assert len(np.unique(codes[allowed == 0.1])) < 300


def test_one_plane_of_positions_has_no_extent_and_survives() -> None:
    means = np.array([[1, 2, 5], [3, 4, 5]], dtype=np.float32)
    codes, low, high = quantise_means(means, np.zeros((2, 3)))
    assert np.allclose(dequantise_means(codes, low, high), means, rtol=1e-4)


@settings(deadline=None)
@given(arrays(np.float32, (9, 4), elements=st.floats(-10, 10, width=32)))
def test_rotations_come_back_as_unit_quaternions_within_the_formats_precision(quats: np.ndarray) -> None:
    quats[np.abs(quats).max(axis=1) < 1e-3] = (1, 0, 0, 0)
    codes = quantise_quats(quats, np.zeros((9, 4)))
    back = dequantise_quats(codes)
    assert np.allclose(np.linalg.norm(back, axis=1), 1, atol=1e-6)
    assert (codes[:, 3] >= 252).all()
    # half a code is 0.0028; worst where all four components are alike and the largest takes up the others' errors
    assert np.degrees(angle_between(quats, back)).max() < 1.2


@pytest.mark.parametrize(("allowed", "distinct"), [(1, 256), (4, 66), (16, 18), (63, 10)])
def test_a_coarser_rotation_uses_fewer_codes_and_stays_near(allowed: float, distinct: int) -> None:
    quats = np.random.default_rng(2).normal(size=(5000, 4)).astype(np.float32)
    codes = quantise_quats(quats, np.full((5000, 4), allowed / 255 * np.sqrt(2)))
    assert len(np.unique(codes[:, :3])) <= distinct
    assert np.degrees(angle_between(quats, dequantise_quats(codes))).mean() < 0.5 * allowed


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


def test_codebooks_ascend_hold_256_and_serve_weights_and_zero() -> None:
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
    assert 0.0 in fit_codebook(values + 5, 256, zero=True)
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


def opacity_codes(logits: np.ndarray, share: float = 0.0) -> np.ndarray:
    count = len(logits)
    splat = Gaussians(
        means=np.zeros((count, 3)),
        quats=np.ones((count, 4)),
        scales=np.zeros((count, 3)),
        opacities=logits,
        sh0=np.zeros((count, 3)),
        shN=np.zeros((count, 0, 3)),
    )
    return quantise_opacities(splat, even_sensitivity(count), share)


def test_opacities_are_rounded_and_never_vanish() -> None:
    logits = np.array([-50, -8, 0, 2, 50, np.inf], dtype=np.float32)
    assert opacity_codes(logits).tolist() == [1, 1, 128, 225, 255, 255]
    assert set(opacity_codes(np.linspace(-2, 2, 500, dtype=np.float32), share=10.0)) <= set(range(32, 256, 32))
    back = dequantise_opacities(np.arange(1, 256, dtype=np.uint8))
    assert np.isfinite(back).all()
    assert (np.diff(back) > 0).all()
    assert opacity_codes(back).tolist() == list(range(1, 256))


def test_what_pictures_notice_is_rounded_less() -> None:
    splat = sheet()
    even = even_sensitivity(len(splat))
    noticed = np.arange(len(splat)) % 2 == 0
    uneven = replace(
        even,
        means=np.where(noticed[:, None], 100, 1) * even.means,
        scales=np.where(noticed[:, None], 100, 1) * even.scales,
        colours=np.where(noticed, 100, 1) * even.colours,
    )
    share = 0.003
    means, low, high = quantise_positions(splat, uneven, 1e-3 * share)  # at most 8 bits of a position are dropped
    scales, scale_book = quantise_scales(splat, uneven, share)
    colours, colour_book = quantise_colours(splat, uneven, share)
    for exact, coarse in (
        (splat.means, dequantise_means(means, low, high)),
        (splat.scales, scale_book[scales]),
        (splat.sh0, colour_book[colours]),
    ):
        errors = np.square(coarse - exact).mean(axis=1)
        # steps are powers of two: the errors' ratio is 100 less where the finest step is reached
        assert 12 < errors[~noticed].mean() / errors[noticed].mean() < 400
        assert errors[~noticed].mean() < share


def sheet(count: int = 4000) -> Gaussians:
    rng = np.random.default_rng(9)
    return Gaussians(
        means=rng.uniform(-2, 2, (count, 3)),
        quats=rng.normal(size=(count, 4)),
        scales=rng.uniform(-4, 1, (count, 3)),
        opacities=rng.normal(size=count),
        sh0=rng.uniform(-2, 2, (count, 3)),
        shN=np.zeros((count, 0, 3)),
    )
