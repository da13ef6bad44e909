"""What a stage run costs: SageMaker on-demand list prices, us-east-1, in dollars per hour."""

from __future__ import annotations

# aws.amazon.com/sagemaker/ai/pricing (us-east-1), as of PRICES_AS_OF; Spot is cheaper, so this is an upper bound
PRICES_AS_OF = "2025-06-01"
DOLLARS_PER_HOUR = {
    "ml.c6i.4xlarge": 0.816,
    "ml.g4dn.xlarge": 0.736,
    "ml.g5.xlarge": 1.408,
    "ml.g5.2xlarge": 1.515,
}


def dollars(instance_type: str, seconds: float) -> float | None:
    """Price of `seconds` on one machine, or None for a machine without a known price."""
    per_hour = DOLLARS_PER_HOUR.get(instance_type)
    return None if per_hour is None else round(per_hour * seconds / 3600, 4)


def cost_of(instance_type: str, seconds: float) -> dict[str, float]:
    """The `cost` object of a status event: seconds, and dollars where the price is known."""
    price = dollars(instance_type, seconds)
    return {"seconds": round(seconds, 1), **({} if price is None else {"dollars": price})}
