"""Compute what a stage run costs, from SageMaker's on-demand prices in dollars per hour, by region.

Managed Spot training is billed at this price too, for fewer seconds: those that BillableTimeInSeconds counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

# aws.amazon.com/sagemaker/ai/pricing, as of PRICES_AS_OF; the template offers these machines and no other
PRICES_AS_OF = "2026-11-21"
DEFAULT_REGION = "us-east-1"
"""The region whose prices apply if the stack's own region is not listed and the operator has set none (RegionPrices).
"""
DOLLARS_PER_HOUR = {
    DEFAULT_REGION: {
        "ml.c6i.4xlarge": 0.816,
        "ml.c6i.8xlarge": 1.632,
        "ml.g4dn.xlarge": 0.7364,
        "ml.g4dn.2xlarge": 0.94,
        "ml.g5.xlarge": 1.408,
        "ml.g5.2xlarge": 1.515,
        "ml.g6.xlarge": 1.1267,
        "ml.g6.2xlarge": 1.222,
    }
}
NOTHING = {"seconds": 0.0, "dollars": 0.0}
"""The cost of a result that is reused: it was paid for by an earlier run."""
MIN_SECONDS = 60
"""For a shorter run, no machine is started."""


@dataclass(frozen=True)
class Prices:
    """What machines cost in `region`. `own`: prices set by the operator, by instance type; they take precedence."""

    region: str = DEFAULT_REGION
    own: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, region: str, listed: str) -> Prices:
        """`listed`: the template's RegionPrices, `ml.g4dn.xlarge=0.8,…`. Raises ValueError if it is malformed."""
        pairs = (entry.partition("=") for entry in listed.split(",") if entry)
        own = {instance_type.strip(): float(price) for instance_type, _, price in pairs}
        if not all(price > 0 for price in own.values()):
            raise ValueError(f"a price is not above 0: {listed}")  # a budget would then never end
        return cls(region, own)

    @property
    def described(self) -> str:
        """The source of the prices, shown beside a cost. It says if they are another region's."""
        known = self.region in DOLLARS_PER_HOUR
        listed = f"the list prices in {self.region if known else DEFAULT_REGION} of {PRICES_AS_OF}"
        if not self.own:
            return listed if known else f"{listed}, as those in {self.region} are not known"
        if known or DOLLARS_PER_HOUR[DEFAULT_REGION].keys() <= self.own.keys():
            return f"the prices in {self.region}"
        return f"the prices set for {self.region} and, for other instance types, {listed}"

    def per_hour(self, instance_type: str) -> float | None:
        """None for a machine without a known price."""
        listed = DOLLARS_PER_HOUR.get(self.region, DOLLARS_PER_HOUR[DEFAULT_REGION])
        return self.own.get(instance_type, listed.get(instance_type))

    def dollars(self, instance_type: str, seconds: float) -> float | None:
        """Price of `seconds` on one machine, or None for a machine without a known price."""
        per_hour = self.per_hour(instance_type)
        return None if per_hour is None else round(per_hour * seconds / 3600, 4)

    def seconds_for(self, instance_type: str, money: float) -> int:
        """How many whole seconds of the machine `money` (dollars) pays for; 0 if too few to be worth starting it.

        Raises KeyError for a machine without a known price: no budget can be kept on it.
        """
        per_hour = self.per_hour(instance_type)
        if per_hour is None:
            raise KeyError(instance_type)
        seconds = int(money / per_hour * 3600)
        return seconds if seconds >= MIN_SECONDS else 0

    def cost_of(self, bills: Iterable[tuple[str, float]]) -> dict[str, float]:
        """The `cost` object of a status event, from pairs of instance type and seconds; it has dollars only if all
        prices are known."""
        billed = [(instance_type, seconds) for instance_type, seconds in bills if seconds > 0]
        costs = [self.dollars(instance_type, seconds) for instance_type, seconds in billed]
        known = [cost for cost in costs if cost is not None]
        total = {"seconds": round(sum(seconds for _, seconds in billed), 1)}
        return {**total, "dollars": round(sum(known), 4)} if len(known) == len(costs) else total
