"""Gaussians that are dropped at random while training."""

from __future__ import annotations

import pytest
import torch

from trainer.dropout import drop, peak_rate, rate_at


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_the_share_left_out_is_the_rate_and_the_rest_make_up_for_it() -> None:
    logits = torch.zeros(20_000)
    opacities = torch.sigmoid(drop(logits, 0.2, generator()))
    gone = opacities < 1 / 255
    assert float(gone.double().mean()) == pytest.approx(0.2, abs=0.01)
    torch.testing.assert_close(opacities[~gone], torch.full_like(opacities[~gone], 0.5 / 0.8))
    assert float(opacities.mean()) == pytest.approx(0.5, abs=0.01)


def test_none_dropped_changes_nothing() -> None:
    logits = torch.linspace(-6, 6, 50)
    torch.testing.assert_close(drop(logits, 0.0, generator()), logits, rtol=1e-3, atol=1e-3)


def test_gradients_reach_the_kept_and_stay_finite() -> None:
    logits = torch.tensor([-60.0, -3.0, 0.0, 3.0, 60.0]).repeat(40).requires_grad_()
    out = drop(logits, 0.3, generator())
    out.sum().backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    kept = out.detach() > -29
    middle = torch.tensor([False, True, True, False, False]).repeat(40)
    assert (logits.grad[kept & middle] > 0).all()
    assert (logits.grad[~kept] == 0).all()


def test_the_rate_rises_and_is_nothing_over_the_last_third() -> None:
    assert rate_at(0, 99, 0.3) == 0
    assert 0 < rate_at(20, 99, 0.3) < rate_at(33, 99, 0.3) == pytest.approx(0.3)
    assert 0.3 > rate_at(50, 99, 0.3) > 0
    assert [rate_at(step, 99, 0.3) for step in (66, 80, 98)] == [0, 0, 0]


def test_many_views_need_little_dropped_and_dense_seeds_none() -> None:
    rates = [peak_rate(views, 0.0) for views in (0, 1, 6, 12, 100)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == 0.5
    assert rates[-1] < 0.05
    assert peak_rate(6, 0.25) == pytest.approx(0.5 * rates[2])
    assert [peak_rate(6, dense) for dense in (0.5, 0.8, 1.0)] == [0, 0, 0]
