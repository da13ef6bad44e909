"""What a stage run costs: SageMaker on-demand list prices, us-east-1, in dollars per hour.

Managed Spot training is billed at this price too, for fewer seconds: those that BillableTimeInSeconds counts.
"""

from __future__ import annotations

from collections.abc import Iterable

# aws.amazon.com/sagemaker/ai/pricing (us-east-1), as of PRICES_AS_OF; the template offers these machines and no other
PRICES_AS_OF = "2026-11-21"
DOLLARS_PER_HOUR = {
    "ml.c6i.4xlarge": 0.816,
    "ml.c6i.8xlarge": 1.632,
    "ml.g4dn.xlarge": 0.7364,
    "ml.g4dn.2xlarge": 0.94,
    "ml.g5.xlarge": 1.408,
    "ml.g5.2xlarge": 1.515,
    "ml.g6.xlarge": 1.1267,
    "ml.g6.2xlarge": 1.222,
}
MIN_SECONDS = 60
"""A shorter run is not worth starting a machine for."""


def dollars(instance_type: str, seconds: float) -> float | None:
    """Price of `seconds` on one machine, or None for a machine without a known price."""
    per_hour = DOLLARS_PER_HOUR.get(instance_type)
    return None if per_hour is None else round(per_hour * seconds / 3600, 4)


def seconds_for(instance_type: str, money: float) -> int:
    """How long `money` (dollars) keeps the machine, in whole seconds; 0 when that is not worth starting it.

    Raises KeyError for a machine without a known price: no budget can be kept on it.
    """
    seconds = int(money / DOLLARS_PER_HOUR[instance_type] * 3600)
    return seconds if seconds >= MIN_SECONDS else 0


def cost_of(bills: Iterable[tuple[str, float]]) -> dict[str, float]:
    """The `cost` object of a status event, of (instance type, seconds): dollars only if all prices are known."""
    billed = [(instance_type, seconds) for instance_type, seconds in bills if seconds > 0]
    costs = [dollars(instance_type, seconds) for instance_type, seconds in billed]
    known = [cost for cost in costs if cost is not None]
    total = {"seconds": round(sum(seconds for _, seconds in billed), 1)}
    return {**total, "dollars": round(sum(known), 4)} if len(known) == len(costs) else total
