"""Model the cost and duration of a flight by its number of photos: `python -m benchmarks.large_flights`.

This is a model, not a measurement: list prices (functions/domain/cost.py) times seconds that were measured on smaller
flights or are assumed, as noted at each constant. It shows what training in blocks costs and saves, and whether it is
within a job's budget.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from math import ceil

from contract.blocks import blocks_for
from domain.cost import Prices

# the template begins with ml.c6i.4xlarge and ml.g4dn.xlarge; the assumed training times are of an A10G, which g5 has
CPU_MACHINE, GPU_MACHINE = "ml.c6i.4xlarge", "ml.g5.xlarge"
PHOTOS = (500, 2_000, 5_000)

START_SECONDS = 150  # billed: loading the input, starting the container
WAIT_SECONDS = 240  # not billed: until SageMaker has found a machine
FEATURES_AND_MATCHING = 0.6  # CPU seconds a photo, measured at 500; pairs grow with the photos, not with their square
PIXELS_OF_A_PHOTO = 0.8  # CPU seconds: decoding and undistorting 20 megapixels
BUSY_CORES = 10  # of the sixteen, on average
MAPPING_OF_500 = 262  # seconds on one core, measured
MAPPING_EXPONENT = 1.2  # measured between 150 and 500 photos
TRAINING_SECONDS = 45 * 60  # assumed: 30,000 steps in 40 minutes on an A10G, and 5 to load, score and write
COARSE_SECONDS = 590  # assumed: 300,000 Gaussians, photos of 800 pixels
JOIN_SECONDS, JOIN_OF_A_BLOCK = 270, 72  # assumed, from a compression of 5 million Gaussians
SPOT_SHARE = 0.4  # assumed: what Spot capacity costs of the price on demand


@dataclass(frozen=True)
class Estimate:
    """Of one flight. Dollars on demand and with training on Spot capacity; seconds with a machine for every block, and
    with a single one."""

    photos: int
    blocks: int
    sfm: float
    training: float
    join: float
    spot: float
    seconds: float
    seconds_one_machine: float

    @property
    def on_demand(self) -> float:
        return self.sfm + self.training + self.join


def sfm_seconds(photos: int) -> float:
    """Structure from motion on one machine, with mapping on one core of it: the most that it takes, for flights of 800
    photos and more are mapped in clusters on all.
    """
    cpu = photos * (FEATURES_AND_MATCHING + PIXELS_OF_A_PHOTO)
    mapping: float = MAPPING_OF_500 * (photos / 500) ** MAPPING_EXPONENT
    return START_SECONDS + cpu / BUSY_CORES + mapping


def estimate(photos: int) -> Estimate:
    """Costs and times of a flight with this number of photos."""
    blocks = blocks_for(photos)
    coarse = COARSE_SECONDS if blocks > 1 else 0.0
    sfm, join = sfm_seconds(photos), JOIN_SECONDS + JOIN_OF_A_BLOCK * blocks
    training = _price(GPU_MACHINE, coarse + blocks * TRAINING_SECONDS)
    around = sfm + coarse + join + WAIT_SECONDS * (3 + (blocks > 1))
    sfm_price, join_price = _price(CPU_MACHINE, sfm), _price(CPU_MACHINE, join)
    return Estimate(
        photos=photos,
        blocks=blocks,
        sfm=sfm_price,
        training=training,
        join=join_price,
        spot=sfm_price + SPOT_SHARE * training + join_price,
        seconds=around + TRAINING_SECONDS,
        seconds_one_machine=around + blocks * TRAINING_SECONDS + (blocks - 1) * WAIT_SECONDS,
    )


def table(photos: tuple[int, ...] = PHOTOS) -> str:
    """The table of benchmarks/README.md in Markdown; every figure is rounded up."""
    rows = ["| photos | blocks | sfm | training | join | on demand | Spot | a machine a block | one machine |"]
    rows += ["|---|---|---|---|---|---|---|---|---|"]
    for one in map(estimate, photos):
        money = [f"{_up(amount, 2):.2f} $" for amount in (one.sfm, one.training, one.join, one.on_demand, one.spot)]
        times = [f"{_up(seconds / 3600, 1):.1f} h" for seconds in (one.seconds, one.seconds_one_machine)]
        rows.append(f"| {one.photos:,} | {one.blocks} | " + " | ".join([*money, *times]) + " |")
    return "\n".join(rows)


def _price(machine: str, seconds: float) -> float:
    price = Prices().dollars(machine, seconds)
    assert price is not None, "the template offers no machine without a price"
    return price


def _up(amount: float, digits: int) -> float:
    steps = float(10**digits)
    return ceil(amount * steps - 1e-9) / steps


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
