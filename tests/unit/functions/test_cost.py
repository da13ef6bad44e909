"""Prices: every machine that the template offers has one, and time and money convert into each other."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.cost import DEFAULT_REGION, DOLLARS_PER_HOUR, MIN_SECONDS, Prices
from domain.stage_settings import StageSettings
from tests.support.cloud import ENVIRONMENT
from tests.support.sam_template import Template

SIZES = ("xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge")
LISTED = DOLLARS_PER_HOUR[DEFAULT_REGION]
machines = st.sampled_from(sorted(LISTED))
regions = st.sampled_from([Prices(), Prices("eu-west-1", dict.fromkeys(LISTED, 3.21)), Prices("mars-1")])


@pytest.mark.parametrize(("stage", "gpu"), [("Sfm", False), ("Training", True), ("Compressor", False)])
def test_a_stage_may_have_the_machines_of_its_kind_that_have_a_price_and_no_other(stage: str, gpu: bool) -> None:
    parameter = Template.load().parameters[f"{stage}InstanceTypes"]
    kinds = {f"ml.{family}.{size}" for family in ("c6i", "g4dn", "g5", "g6", "p3", "m7i") for size in SIZES}
    offered = {kind for kind in kinds if re.fullmatch(parameter["AllowedPattern"], ",".join([kind] * 3))}
    assert offered == {kind for kind in LISTED if kind.startswith("ml.g") == gpu}
    assert set(parameter["Default"].split(",")) <= offered
    chains = [f"{first}+{second}" for first in offered for second in offered]
    assert all(re.fullmatch(parameter["AllowedPattern"], ",".join([chain] * 3)) for chain in chains)
    assert not re.fullmatch(parameter["AllowedPattern"], parameter["Default"].replace(",", "+,", 1))
    assert not re.fullmatch(parameter["AllowedPattern"], parameter["Default"] + ",")


@given(regions, machines, st.floats(0, 1000))
def test_money_buys_no_more_time_than_it_pays_for(prices: Prices, machine: str, money: float) -> None:
    seconds = prices.seconds_for(machine, money)
    price = prices.dollars(machine, seconds)
    assert price is not None
    assert price <= money + 1e-4
    assert seconds == 0 or seconds >= MIN_SECONDS


@given(machines, st.floats(-100, 0))
def test_debts_buy_nothing(machine: str, money: float) -> None:
    assert Prices().seconds_for(machine, money) == 0


@given(regions, st.lists(st.tuples(machines, st.floats(0, 10_000)), max_size=5))
def test_a_cost_is_the_sum_of_its_bills(prices: Prices, bills: list[tuple[str, float]]) -> None:
    cost = prices.cost_of(bills)
    assert cost["seconds"] == pytest.approx(sum(seconds for _, seconds in bills), abs=0.06)
    assert cost["dollars"] == pytest.approx(sum(prices.dollars(*bill) or 0 for bill in bills), abs=1e-3)


def test_without_every_price_there_is_no_sum() -> None:
    assert Prices().cost_of([("ml.c6i.4xlarge", 60), ("ml.unknown.large", 30)]) == {"seconds": 90}
    assert Prices().cost_of([]) == {"seconds": 0, "dollars": 0}
    with pytest.raises(KeyError, match="unknown"):
        Prices().seconds_for("ml.unknown.large", 30)


def prices_of(region: str, listed: str) -> Prices:
    return StageSettings.read({**ENVIRONMENT, "STACK_REGION": region, "REGION_PRICES": listed}).platform.prices


def test_what_the_operator_has_set_counts_and_the_default_list_where_he_has_not() -> None:
    prices = prices_of("eu-west-1", "ml.g4dn.xlarge=0.9,ml.c6i.4xlarge=1")
    assert (prices.dollars("ml.g4dn.xlarge", 3600), prices.seconds_for("ml.c6i.4xlarge", 2.0)) == (0.9, 7200)
    assert prices.dollars("ml.g5.xlarge", 3600) == LISTED["ml.g5.xlarge"]


@pytest.mark.parametrize(
    ("region", "listed", "said"),
    [
        (DEFAULT_REGION, "", "the list prices in us-east-1 of 2026-11-21"),
        ("eu-west-1", "", "the list prices in us-east-1 of 2026-11-21, as those in eu-west-1 are not known"),
        ("eu-west-1", ",".join(f"{machine}=0.9" for machine in LISTED), "the prices in eu-west-1"),
        (DEFAULT_REGION, "ml.g4dn.xlarge=0.9", "the prices in us-east-1"),
        (
            "eu-west-1",
            "ml.g4dn.xlarge=0.9",
            "the prices set for eu-west-1 and, for other instance types, the list prices in us-east-1 of 2026-11-21",
        ),
    ],
)
def test_prices_of_another_region_are_called_so(region: str, listed: str, said: str) -> None:
    assert prices_of(region, listed).described == said


@pytest.mark.parametrize("listed", ["ml.g4dn.xlarge", "ml.g4dn.xlarge=", "ml.g4dn.xlarge=a lot", "0.9"])
def test_a_price_that_is_none_ends_the_function_at_its_start(listed: str) -> None:
    with pytest.raises(ValueError, match="float"):
        prices_of("eu-west-1", listed)


@pytest.mark.parametrize("price", ["0", "0.0", "-1", "nan"])
def test_nothing_is_free(price: str) -> None:
    with pytest.raises(ValueError, match="not above 0"):
        prices_of("eu-west-1", f"ml.c6i.4xlarge=1,ml.g4dn.xlarge={price}")


def test_the_template_takes_prices_of_the_machines_that_it_offers() -> None:
    pattern = Template.load().parameters["RegionPrices"]["AllowedPattern"]
    whole = ",".join(f"{machine}={price}" for machine, price in LISTED.items())
    assert all(re.fullmatch(pattern, listed) for listed in ("", "ml.c6i.4xlarge=1", whole))
    assert not any(re.fullmatch(pattern, listed) for listed in ("ml.c6i.4xlarge", "=1", f"{whole},", "a=b"))
    assert not any(re.fullmatch(pattern, f"ml.c6i.4xlarge={free}") for free in ("0", "0.0", "0."))
    assert prices_of("eu-west-1", whole).own == LISTED
