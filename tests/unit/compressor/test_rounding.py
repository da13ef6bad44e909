"""Rounding at a λ: at 0 it is the format's finest, and at any λ the bits that it spends are worth it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from compressor.encode.arranged import NUMBERS, Sensitivity
from compressor.encode.codebook import fit_codebook
from compressor.encode.rounding import Shapes, round_numbers, round_shapes
from compressor.sog.decoder import dequantise_opacities
from compressor.sog.means import bounds_of, dequantise_means, log_transform
from compressor.sog.quats import components_of, dequantise_quats, tagged
from splat.gaussians import Gaussians
from tests.support.gaussians import gaussians_of
from tests.support.splats import even_sensitivity


def sheet(count: int = 3000, seed: int = 9) -> Gaussians:
    rng = np.random.default_rng(seed)
    return gaussians_of(
        means=rng.uniform(-2, 2, (count, 3)),
        quats=rng.normal(size=(count, 4)),
        scales=rng.uniform(-4, 1, (count, 3)),
        opacities=rng.normal(size=count),
        sh0=rng.uniform(-2, 2, (count, 3)),
        shN=np.zeros((count, 0, 3)),
    )


def rounded(splat: Gaussians, sensitivity: Sensitivity, lambda_: float) -> tuple[Shapes, np.ndarray]:
    """The shapes, and the change of each number (N, 10)."""
    book = fit_codebook(splat.scales, 256)
    shapes = round_shapes(splat, sensitivity, book, lambda_)
    largest = np.abs(splat.quats).argmax(axis=1)
    unit = splat.quats / np.linalg.norm(splat.quats, axis=1, keepdims=True)
    back = dequantise_quats(tagged(shapes.rotations, splat.quats))
    change = [
        dequantise_means(shapes.means, shapes.mins, shapes.maxs) - splat.means,
        components_of(back, largest) - components_of(unit, largest),
        book[shapes.scales] - splat.scales,
        (shapes.opacities - splat.opacities)[:, None],
    ]
    return shapes, np.concatenate(change, axis=1).astype(np.float64)


def entropy(codes: np.ndarray) -> float:
    """Bits of all columns' values."""
    total = 0.0
    for column in codes.T:
        counts = np.unique(column, return_counts=True)[1]
        total -= float((counts * np.log2(counts / counts.sum())).sum())
    return total


def bits_of(shapes: Shapes) -> float:
    return entropy(np.concatenate([shapes.means & 255, shapes.rotations, shapes.scales], axis=1))


@settings(deadline=None, max_examples=40)
@given(st.floats(0.1, 1e5), st.integers(0, 1000))
def test_positions_without_lambda_come_back_within_half_a_code(extent: float, seed: int) -> None:
    splat = replace(sheet(50), means=np.random.default_rng(seed).normal(0, extent, (50, 3)).astype(np.float32))
    shapes, _ = rounded(splat, even_sensitivity(50), 0.0)
    back = dequantise_means(shapes.means, shapes.mins, shapes.maxs)
    half_code = (shapes.maxs - shapes.mins) / 65535 / 2
    assert (np.abs(log_transform(back) - log_transform(splat.means)) <= half_code * 1.001 + 1e-6).all()


def test_one_plane_of_positions_has_no_extent_and_survives() -> None:
    splat = replace(sheet(2), means=np.array([[1, 2, 5], [3, 4, 5]], np.float32))
    assert (bounds_of(splat.means)[1] > bounds_of(splat.means)[0]).all()
    assert np.abs(rounded(splat, even_sensitivity(2), 0.0)[1][:, :3]).max() < 1e-3


@settings(deadline=None, max_examples=40)
@given(arrays(np.float32, (9, 4), elements=st.floats(-10, 10, width=32)))
def test_rotations_come_back_as_unit_quaternions_within_the_formats_precision(quats: np.ndarray) -> None:
    quats[np.abs(quats).max(axis=1) < 1e-3] = (1, 0, 0, 0)
    splat = replace(sheet(9), quats=quats)
    codes = tagged(rounded(splat, even_sensitivity(9), 0.0)[0].rotations, quats)
    back = dequantise_quats(codes)
    assert np.allclose(np.linalg.norm(back, axis=1), 1, atol=1e-6)
    assert (codes[:, 3] >= 252).all()
    unit = quats / np.linalg.norm(quats, axis=1, keepdims=True)
    angles = 2 * np.arccos(np.clip(np.abs((unit * back).sum(axis=1)), 0, 1))
    # half a code is 0.0028; the worst case has four equal components, the largest of which compensates the others'
    # errors
    assert np.degrees(angles).max() < 1.2


def test_a_higher_lambda_takes_fewer_bits_and_errs_more() -> None:
    splat, even = sheet(), even_sensitivity(3000)
    results = [rounded(splat, even, lambda_) for lambda_ in (0.0, 1e-6, 1e-5, 1e-4, 1e-3)]
    bits = [bits_of(shapes) for shapes, _ in results]
    errors = [float(np.square(change).sum()) for _, change in results]
    assert bits == sorted(bits, reverse=True)
    assert errors == sorted(errors)
    for lambda_, fewer, more in zip((1e-5, 1e-4, 1e-3), range(2, 5), range(1, 4), strict=True):
        # a saved bit costs up to about λ, and not a tiny fraction of it
        paid = (errors[fewer] - errors[more]) / (bits[more] - bits[fewer])
        assert 0.1 * lambda_ < paid < 1.1 * lambda_


def test_what_pictures_notice_is_rounded_less() -> None:
    splat = sheet()
    even = even_sensitivity(len(splat))
    noticed = np.arange(len(splat)) % 2 == 0
    uneven = replace(even, outlines=np.where(noticed[:, None], 100, 1).astype(np.float32) * even.outlines)
    _, change = rounded(splat, uneven, 1e-3)
    for numbers in ((0, 1, 2), (3, 4, 5), (6, 7, 8)):  # limited by the format's precision and the bounds
        errors = np.square(change[:, numbers]).mean(axis=1)
        assert errors[~noticed].mean() > 2 * errors[noticed].mean()


def correlated(count: int, seed: int = 0) -> tuple[Sensitivity, np.ndarray]:
    """The same H for all Gaussians, as `Sensitivity` and as a matrix; its numbers can compensate each other."""
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(NUMBERS, 4))
    h = half @ half.T + 0.3 * np.eye(NUMBERS)
    scale = 1 / np.sqrt(np.diag(h))
    correlations = np.rint(127 * (h * scale[:, None] * scale)[np.tril_indices(NUMBERS, -1)]).astype(np.int8)
    kept = np.zeros((NUMBERS, NUMBERS))
    kept[np.tril_indices(NUMBERS, -1)] = correlations / 127
    kept += kept.T + np.eye(NUMBERS)
    sensitivity = replace(even_sensitivity(count), correlations=np.tile(correlations, (count, 1)))
    return sensitivity, kept


@pytest.mark.parametrize("lambda_", [0.0, 1e-5, 1e-4])
def test_later_numbers_make_up_for_earlier_ones(lambda_: float) -> None:
    splat = sheet()
    sensitivity, h = correlated(len(splat))
    apart, alone = rounded(splat, even_sensitivity(len(splat)), lambda_)
    shapes, together = rounded(splat, sensitivity, lambda_)
    costs = [
        float(np.einsum("ni,ij,nj->", change, h, change)) + lambda_ * bits_of(codes)
        for codes, change in ((apart, alone), (shapes, together))
    ]
    assert costs[1] < 0.93 * costs[0]
    # opacities are set to where the rest leaves the least error
    best = -(together[:, :9] @ h[9, :9]) / h[9, 9]
    assert np.allclose(together[:, 9], np.clip(best, -1, 1), atol=1e-4)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.floats(-9, -1))
def test_no_number_goes_further_than_it_may(seed: int, exponent: float) -> None:
    splat = sheet(40, seed)
    sensitivity, _ = correlated(40, seed)
    _, change = rounded(splat, replace(sensitivity, outlines=sensitivity.outlines * 1e-6), 10.0**exponent)
    gap = 5 / 40  # the coarsest step of forty values' codebook
    deviations = np.exp(splat.scales.max(axis=1))[:, None]
    assert (np.abs(change[:, :3]) <= deviations + 1e-3).all()
    assert np.abs(change[:, 3:6]).max() <= 0.15 + 0.003
    assert np.abs(change[:, 6:9]).max() <= 0.5 + gap
    assert np.abs(change[:, 9]).max() <= 1 + 1e-5


def test_colours_cost_least_predicted_from_green() -> None:
    rng = np.random.default_rng(4)
    grey = rng.normal(0, 1, (4000, 1))
    values = (grey + rng.normal(0, 0.02, (4000, 3))).astype(np.float32)
    weights = np.ones_like(values)
    book = fit_codebook(values, 256)
    codes = round_numbers(values, weights, book, 1e-4)
    error = float(np.square(book[codes] - values).sum())
    difference = (codes[:, [0, 2]] - codes[:, 1:2]) & 255
    bits = entropy(difference) + entropy(codes[:, 1:2])
    assert bits < 0.8 * entropy(codes)
    # each is a single channel, none predicted from another
    apart = np.concatenate([round_numbers(values[:, c : c + 1], weights[:, :1], book, 1e-4) for c in range(3)], axis=1)
    missed = float(np.square(book[apart] - values).sum())
    assert error + 1e-4 * bits < missed + 1e-4 * entropy(apart)


def test_opacities_are_rounded_to_the_nearest_without_lambda() -> None:
    book = dequantise_opacities(np.arange(1, 256, dtype=np.uint8))
    assert np.isfinite(book).all()
    assert (np.diff(book) > 0).all()
    codes = round_numbers(book[:, None], np.ones((255, 1), np.float32), book, 0.0)
    assert codes[:, 0].tolist() == list(range(255))
    far = np.array([[-50], [-8], [50], [np.inf]], np.float32)
    assert round_numbers(far, np.ones_like(far), book, 0.0)[:3, 0].tolist() == [0, 0, 254]
