"""Limits on the shape of Gaussians."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from trainer.shape import Shape

EVERY = torch.ones(3, dtype=torch.bool)


def test_what_is_round_enough_costs_nothing() -> None:
    scales = torch.log(torch.tensor([[0.1, 0.1, 0.1], [0.5, 0.1, 0.001], [0.1, 0.5, 0.5]])).requires_grad_()
    assert float(Shape().aspect_penalty(scales, EVERY).detach()) == 0.0


def test_a_needle_costs_the_logarithm_beyond_the_limit_and_is_pushed_back() -> None:
    scales = torch.log(torch.tensor([[1.0, 0.1, 0.1], [0.1, 0.1, 0.1]])).requires_grad_()
    penalty = Shape(max_aspect=5, aspect_weight=0.3).aspect_penalty(scales, EVERY[:2])
    assert float(penalty.detach()) == pytest.approx(0.3 * math.log(2) / 2)
    penalty.backward()
    assert scales.grad is not None
    assert scales.grad[0, 0] > 0
    assert scales.grad[0].sum() == pytest.approx(0)
    assert (scales.grad[1] == 0).all()


def test_what_is_not_visible_neither_costs_nor_counts() -> None:
    scales = torch.log(torch.tensor([[1.0, 0.1, 0.1], [2.0, 0.1, 0.1]])).requires_grad_()
    penalty = Shape(max_aspect=5, aspect_weight=0.3).aspect_penalty(scales, torch.tensor([True, False]))
    assert float(penalty.detach()) == pytest.approx(0.3 * math.log(2))


def test_no_gaussian_in_view_costs_nothing() -> None:
    scales = torch.zeros(0, 3, requires_grad=True)
    penalty = Shape().aspect_penalty(scales, EVERY[:0])
    penalty.backward()
    assert float(penalty.detach()) == 0.0


def test_what_is_farther_from_every_camera_may_be_longer() -> None:
    cameras = np.array([[0.0, 0.0, 1.0], [5.0, 0.0, 1.0]])
    means = np.array([[0, 0, 0], [5, 0, 0.5], [5, 0, -3]], np.float32)
    np.testing.assert_allclose(np.exp(Shape(max_size=0.08).limits(means, cameras)), [0.08, 0.08, 1.28], rtol=1e-6)


def test_limits_on_a_device_are_the_same() -> None:
    rng = np.random.default_rng(0)
    means, cameras = rng.normal(0, 3, (200, 3)).astype(np.float32), rng.normal(0, 2, (7, 3))
    on_device = Shape().limits_on_device(torch.from_numpy(means), torch.from_numpy(cameras.astype(np.float32)))
    np.testing.assert_allclose(on_device.numpy(), Shape().limits(means, cameras), atol=1e-5)
