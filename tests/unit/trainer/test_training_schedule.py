"""Presets and schedules."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.options import Quality
from stage.environment import Options
from trainer.schedule import Budget, Flight, Growth, active_degree, affordable, budget, decay, picture_factor, preset_of
from trainer.virtual import photo_at

steps = st.integers(1, 40_000)
PLENTY = 10**12  # bytes


FLIGHT = Flight(photos=31, views=7.0, pixels=31 * 800 * 600)
flights = st.builds(Flight, st.integers(2, 5000), st.floats(0, 40), st.integers(10_000, 10**10))


def planned(options: Options, memory: int = PLENTY, flight: Flight = FLIGHT, *, cuda: bool = False) -> Budget:
    return budget(options, preset_of(options, cuda=cuda), flight, memory)


@pytest.mark.parametrize("cuda", [False, True])
def test_presets_grow_with_the_quality(cuda: bool) -> None:
    budgets = [planned(Options(quality=quality), cuda=cuda) for quality in Quality]
    for less, more in pairwise(budgets):
        assert less.steps < more.steps
        assert less.long_edge <= more.long_edge
        assert less.max_gaussians < more.max_gaussians


@given(flight=flights)
def test_twice_the_ground_is_twice_the_gaussians_and_no_less_steps(flight: Flight) -> None:
    twice = Flight(2 * flight.photos, flight.views, 2 * flight.pixels)
    preset = preset_of(Options(), cuda=False)
    assert preset.steps(flight) <= preset.steps(twice) <= 2 * preset.steps(flight) + 1
    assert preset.gaussians(flight) <= preset.gaussians(twice) <= 2 * preset.gaussians(flight) + 1
    assert preset.gaussians(flight) >= preset.min_gaussians


def test_a_long_flight_gets_steps_for_all_its_ground() -> None:
    preset = preset_of(Options(), cuda=False)
    counts = [preset.steps(Flight(photos, 9.0, photos * 750_000)) for photos in (30, 1000, 2000, 3000)]
    assert counts[0] == preset.steps(Flight(20, 9.0, 20 * 750_000)) < counts[1]
    assert counts[3] - counts[2] == pytest.approx(counts[2] - counts[1], abs=1)


def test_more_photos_of_the_same_ground_need_no_more_gaussians() -> None:
    preset = preset_of(Options(), cuda=False)
    once, again = Flight(200, 8.0, 200 * 750_000), Flight(400, 16.0, 400 * 750_000)
    assert preset.gaussians(once) == preset.gaussians(again) > preset.min_gaussians


def test_the_customers_options_come_first() -> None:
    found = planned(Options(training_steps=7, max_gaussians=99, sh_degree=0))
    assert (found.steps, found.max_gaussians, found.sh_degree) == (7, 99, 0)


@pytest.mark.parametrize(("asked", "allowed"), [(None, 40_000), (1000, 500), (1, 1)])
def test_after_memory_ran_out_the_cap_is_divided(asked: int | None, allowed: int) -> None:
    assert planned(Options(max_gaussians=asked, gaussians_divisor=2)).max_gaussians == allowed


@given(memory=st.integers(0, 10**12), asked=st.integers(1, 10**8))
def test_memory_bounds_every_option(memory: int, asked: int) -> None:
    found = planned(Options(max_gaussians=asked), memory).max_gaussians
    assert found == min(asked, affordable(memory))
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


def test_half_of_the_memory_is_left_for_photos_and_libraries() -> None:
    """On a GPU with 16 GiB; 3,000 bytes per Gaussian, measured including copies during refinement."""
    assert affordable(16 * 2**30) == 2_863_311
