"""Presets and schedules."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.options import Quality
from stage.environment import Options
from trainer.schedule import Growth, active_degree, affordable, budget, decay, picture_factor
from trainer.train import photo_at

steps = st.integers(1, 40_000)
PLENTY = 10**12  # bytes


@pytest.mark.parametrize("cuda", [False, True])
def test_presets_grow_with_the_quality(cuda: bool) -> None:
    budgets = [budget(Options(quality=quality), PLENTY, cuda=cuda) for quality in Quality]
    for less, more in pairwise(budgets):
        assert less.steps < more.steps
        assert less.long_edge <= more.long_edge
        assert less.max_gaussians < more.max_gaussians


def test_the_customers_wishes_come_first() -> None:
    found = budget(Options(training_steps=7, max_gaussians=99, sh_degree=0), PLENTY, cuda=False)
    assert (found.steps, found.max_gaussians, found.sh_degree) == (7, 99, 0)


@pytest.mark.parametrize(("wished", "most"), [(None, 40_000), (1000, 500), (1, 1)])
def test_after_memory_ran_out_the_cap_is_divided(wished: int | None, most: int) -> None:
    assert budget(Options(max_gaussians=wished, gaussians_divisor=2), PLENTY, cuda=False).max_gaussians == most


@given(memory=st.integers(0, 10**12), wished=st.integers(1, 10**8))
def test_memory_bounds_every_wish(memory: int, wished: int) -> None:
    found = budget(Options(max_gaussians=wished), memory, cuda=False).max_gaussians
    assert found == min(wished, affordable(memory))
    assert found == 1 or found * 1350 <= memory


@given(total=steps)
def test_pictures_and_harmonics_only_grow(total: int) -> None:
    walk = range(0, total, max(1, total // 50))
    factors = [picture_factor(step, total) for step in walk]
    degrees = [active_degree(step, total, 3) for step in walk]
    assert factors == sorted(factors)
    assert degrees == sorted(degrees)
    assert picture_factor(total - 1, total) == 1
    assert active_degree(total - 1, total, 3) == 3
    assert active_degree(total - 1, total, 1) == 1
    assert 0.01 <= decay(total - 1, total) <= 1


@given(total=steps, start=st.integers(1, 10_000), more=st.integers(0, 100_000))
def test_growth_ends_at_the_cap_and_never_passes_it(total: int, start: int, more: int) -> None:
    growth = Growth.of(total)
    due = [step for step in range(1, total + 1) if growth.due(step)] if total < 3000 else [growth.first, growth.last]
    allowed = [growth.allowed(step, start, start + more) for step in due]
    assert allowed == sorted(allowed)
    assert all(start <= count <= start + more for count in allowed)
    assert growth.allowed(growth.last, start, start + more) == start + more
    assert growth.allowed(growth.first, start, start // 2) == start


@given(count=st.integers(1, 40), seed=st.integers(0, 9), epoch=st.integers(0, 5))
def test_every_photo_is_seen_once_an_epoch(count: int, seed: int, epoch: int) -> None:
    seen = [photo_at(epoch * count + place, count, seed) for place in range(count)]
    assert sorted(seen) == list(range(count))
