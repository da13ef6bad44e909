"""L1 + SSIM against the twin: value and gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from splat.loss import SSIM_WEIGHT, Buffers, Target, photometric_loss, window_means
from tests.unit.splat import twin
from tests.unit.splat.scenes import seeds


def pictures(seed: int, height: int, width: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    photo = rng.random((height, width, 3)).astype(np.float32)
    return (photo + noise * rng.normal(size=photo.shape)).astype(np.float32), photo


@settings(max_examples=40, deadline=None)
@given(
    seed=seeds,
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    noise=st.sampled_from([0.0, 1e-3, 0.1, 2.0]),
    weight=st.sampled_from([0.0, SSIM_WEIGHT, 1.0]),
)
def test_value_and_gradient_agree_with_the_twin(
    seed: int, height: int, width: int, noise: float, weight: float
) -> None:
    image, photo = pictures(seed, height, width, noise)
    found = photometric_loss(image, Target.of(photo), Buffers(), weight)
    x = torch.tensor(image, dtype=torch.float64, requires_grad=True)
    y = torch.tensor(photo, dtype=torch.float64)
    expected = twin.photometric_loss(x, y, weight)
    expected.backward()
    assert found.value == pytest.approx(expected.item(), abs=1e-5)
    assert found.ssim == pytest.approx(twin.ssim(x, y).item(), abs=1e-5)
    assert found.l1 == pytest.approx((x - y).abs().mean().item(), rel=1e-5, abs=1e-7)
    assert found.mse == pytest.approx(((x - y) ** 2).mean().item(), rel=1e-5, abs=1e-9)
    assert x.grad is not None
    reference = x.grad.numpy()
    # where pictures agree, terms of up to 1 / C2 (1,100) cancel in float32: the largest error of 1,500 scenes was
    # 3.4e-6
    assert np.abs(found.gradient - reference).max() <= 1e-4 * np.abs(reference).max() + 1e-5 / image.size


def test_a_photo_matches_itself() -> None:
    _, photo = pictures(1, 20, 24, 0)
    found = photometric_loss(photo, Target.of(photo), Buffers())
    assert found.value == pytest.approx(0, abs=1e-5)
    assert found.ssim == pytest.approx(1, abs=1e-5)
    assert found.mse == 0


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=8), seed=seeds)
def test_one_scratch_serves_pictures_of_all_sizes(sizes: list[tuple[int, int]], seed: int) -> None:
    shared, largest = Buffers(), 0
    for height, width in sizes:
        image, photo = pictures(seed, height, width, 0.3)
        found, alone = photometric_loss(image, Target.of(photo), shared), Buffers()
        expected = photometric_loss(image, Target.of(photo), alone)
        assert found.value == expected.value
        np.testing.assert_array_equal(found.gradient, expected.gradient)
        largest = max(largest, alone.nbytes)
        assert shared.nbytes == largest


def test_window_means_of_a_constant_fade_only_at_the_sides() -> None:
    means = window_means(np.ones((2, 20, 20), np.float32))
    np.testing.assert_allclose(means[:, 5:-5, 5:-5], 1, rtol=1e-6)
    assert means[0, 0, 0] < 0.5
