"""The documented cost model of large flights: within its bounds, within the job's budget, and as the table states."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.large_flights import estimate, table
from contract.counts import MAX_PHOTOS
from tests.support.sam_template import Template

README = Path(__file__).parents[3] / "benchmarks" / "README.md"


def test_the_largest_flight_costs_and_takes_what_was_asked_at_most() -> None:
    largest = estimate(MAX_PHOTOS)
    assert largest.blocks == 13
    assert largest.on_demand <= 16
    assert largest.spot <= 7.5
    assert largest.seconds <= 3 * 3600


def test_the_budget_of_a_job_pays_for_the_largest_flight_with_every_block_tried_half_again() -> None:
    budget = float(Template.load().parameters["JobBudgetDollars"]["Default"])
    largest = estimate(MAX_PHOTOS)
    assert budget >= largest.on_demand + 0.5 * largest.training


def test_a_flight_that_is_trained_whole_pays_for_no_coarse_model() -> None:
    assert estimate(500).training == pytest.approx(estimate(100).training)
    assert estimate(500).seconds == estimate(500).seconds_one_machine


@given(st.integers(100, MAX_PHOTOS - 1))
def test_more_photos_never_cost_less(photos: int) -> None:
    fewer, more = estimate(photos), estimate(photos + 1)
    assert fewer.on_demand <= more.on_demand
    assert fewer.seconds <= more.seconds <= more.seconds_one_machine
    assert more.spot < more.on_demand


def test_the_table_is_the_models_own() -> None:
    assert table() in README.read_text(encoding="utf-8")
