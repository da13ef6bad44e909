"""The cost of training on a GPU: a model of a step's seconds, and budgets in minutes that follow from it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from trainer.gpu.schedule import Growth, picture_factor
from trainer.schedule import Budget, Flight
from trainer.seeds import DENSE_SHARE

FINISH_SHARE = 0.15  # steps on all photos, as a share of those trained
_SAMPLES = 200  # steps whose cost is added up


@dataclass(frozen=True)
class Machine:
    """Seconds that a step takes, as the sum of a constant and what each pixel of its picture and each Gaussian in view
    adds. `python -m benchmarks.gpu` measures the three.
    """

    step: float
    pixel: float
    gaussian: float


# Not measured. gsplat's own table gives 2,964 s for 30,000 steps of Bicycle (1.02 megapixels, 6.1 M Gaussians in the
# end) and 1,422 s of Bonsai (1.6 megapixels, 1.2 M) on a TITAN RTX: 17 ns a pixel and 17 ns a Gaussian of the scene, of
# which some 60 % are in view. A T4 has 0.48 of its bandwidth and half of its arithmetic.
T4 = Machine(step=6e-3, pixel=36e-9, gaussian=58e-9)


def seconds(budget: Budget, flight: Flight, machine: Machine = T4) -> float:
    """Seconds of training and finishing a `budget` on a `flight`; reading, seeding and scoring come on top."""
    pixels = flight.pixels / flight.photos
    in_view = min(1.0, flight.views / flight.photos)
    growth, start = Growth.of(budget.steps), round(DENSE_SHARE * budget.max_gaussians)

    def step_seconds(step: int) -> float:
        factor = picture_factor(step, budget.steps)
        count = growth.allowed(max(step, growth.first), start, budget.max_gaussians)
        return machine.step + machine.pixel * factor**2 * pixels + machine.gaussian * in_view * count

    sampled = range(0, budget.steps, max(1, budget.steps // _SAMPLES))
    mean = sum(map(step_seconds, sampled)) / len(sampled)
    return budget.steps * (mean + FINISH_SHARE * step_seconds(budget.steps - 1))


def within(budget: Budget, flight: Flight, minutes: float, machine: Machine = T4) -> Budget:
    """The budget with steps reduced to what `minutes` per 100 photos allow; fewer photos count as 100."""
    allowed = 60 * minutes * max(1.0, flight.photos / 100)
    share = min(1.0, allowed / seconds(budget, flight, machine))
    return replace(budget, steps=max(1, int(share * budget.steps)))
