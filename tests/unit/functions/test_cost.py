"""Prices: what the template offers has one, and time and money turn into each other."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.cost import DOLLARS_PER_HOUR, MIN_SECONDS, cost_of, dollars, seconds_for
from tests.support.sam_template import Template

SIZES = ("xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge")
machines = st.sampled_from(sorted(DOLLARS_PER_HOUR))


@pytest.mark.parametrize(("stage", "gpu"), [("Sfm", False), ("Training", True), ("Compressor", False)])
def test_a_stage_may_have_the_machines_of_its_kind_that_have_a_price_and_no_other(stage: str, gpu: bool) -> None:
    parameter = Template.load().parameters[f"{stage}InstanceTypes"]
    kinds = {f"ml.{family}.{size}" for family in ("c6i", "g4dn", "g5", "g6", "p3", "m7i") for size in SIZES}
    offered = {kind for kind in kinds if re.fullmatch(parameter["AllowedPattern"], ",".join([kind] * 3))}
    assert offered == {kind for kind in DOLLARS_PER_HOUR if kind.startswith("ml.g") == gpu}
    assert set(parameter["Default"].split(",")) <= offered
    chains = [f"{first}+{second}" for first in offered for second in offered]
    assert all(re.fullmatch(parameter["AllowedPattern"], ",".join([chain] * 3)) for chain in chains)
    assert not re.fullmatch(parameter["AllowedPattern"], parameter["Default"].replace(",", "+,", 1))
    assert not re.fullmatch(parameter["AllowedPattern"], parameter["Default"] + ",")


@given(machines, st.floats(0, 1000))
def test_money_buys_no_more_time_than_it_pays_for(machine: str, money: float) -> None:
    seconds = seconds_for(machine, money)
    price = dollars(machine, seconds)
    assert price is not None
    assert price <= money + 1e-4
    assert seconds == 0 or seconds >= MIN_SECONDS


@given(machines, st.floats(-100, 0))
def test_debts_buy_nothing(machine: str, money: float) -> None:
    assert seconds_for(machine, money) == 0


@given(st.lists(st.tuples(machines, st.floats(0, 10_000)), max_size=5))
def test_a_cost_is_the_sum_of_its_bills(bills: list[tuple[str, float]]) -> None:
    cost = cost_of(bills)
    assert cost["seconds"] == pytest.approx(sum(seconds for _, seconds in bills), abs=0.06)
    assert cost["dollars"] == pytest.approx(sum(dollars(*bill) or 0 for bill in bills), abs=1e-3)


def test_without_every_price_there_is_no_sum() -> None:
    assert cost_of([("ml.c6i.4xlarge", 60), ("ml.unknown.large", 30)]) == {"seconds": 90}
    assert cost_of([]) == {"seconds": 0, "dollars": 0}
