"""How much to train and when to do what: presets and schedules as pure functions of the step."""

from __future__ import annotations

from dataclasses import dataclass

from contract.options import WHOLE_NUMBERS, Quality
from stage.environment import Options

MAX_SH_DEGREE = 3


@dataclass(frozen=True)
class Budget:
    """Steps of one photo each, the longer side of the photos in pixels, the most Gaussians, the harmonics' degree, and
    the seconds after which training ends with what it has.
    """

    steps: int
    long_edge: int
    max_gaussians: int
    sh_degree: int = MAX_SH_DEGREE
    seconds: float | None = None


@dataclass(frozen=True)
class Flight:
    """What a flight's budget follows from.

    photos: training photos.
    views: training photos that see a place, on average over the sparse points.
    pixels: pixels of all training photos at training resolution.
    """

    photos: int
    views: float
    pixels: int

    @property
    def distinct_pixels(self) -> float:
        """Pixels of the places that the photos show, each place counted once."""
        return self.pixels / max(1.0, self.views)

    @property
    def extent(self) -> float:
        """How many photos side by side would show all that the flight shows."""
        return self.photos / max(1.0, self.views)


@dataclass(frozen=True)
class Preset:
    """How a quality sizes its budget to a flight.

    long_edge: longer side of the photos, pixels.
    steps_per_view: training steps for each photo that sees a place; five photos are added to their number (`steps`).
        Training on few views soon overfits: on 16 photos with 5 views per place, 500 steps at 800 pixels beat 800,
        while 17 photos with 13 views gain up to 900.
    pixels_per_gaussian: distinct pixels of the flight per Gaussian.
    min_gaussians: lower limit, because the photos of a small site show it at many scales.
    max_gaussians: upper limit; default the largest that the customer's option allows.
    minutes: T4 time per 100 photos; steps are reduced to fit it (`gpu.cost`). None, the default, on a CPU.
    """

    long_edge: int
    steps_per_view: float
    pixels_per_gaussian: float
    min_gaussians: int
    max_gaussians: int = WHOLE_NUMBERS["max_gaussians"].high
    minutes: float | None = None

    def steps(self, flight: Flight) -> int:
        """Steps by what one place needs, or, where the flight is long, by what all its places need."""
        return round(self.steps_per_view * (_BASE_VIEWS + max(flight.views, _VIEWS_PER_EXTENT * flight.extent)))

    def gaussians(self, flight: Flight) -> int:
        """Gaussians by the places shown."""
        wanted = max(self.min_gaussians, round(flight.distinct_pixels / self.pixels_per_gaussian))
        return min(wanted, self.max_gaussians)


_BASE_VIEWS = 5.0
_VIEWS_PER_EXTENT = 1.33  # one more photo's worth of ground takes the steps of so many views
_CPU = {
    Quality.PREVIEW: Preset(long_edge=800, steps_per_view=50, pixels_per_gaussian=54, min_gaussians=40_000),
    Quality.STANDARD: Preset(long_edge=1000, steps_per_view=85, pixels_per_gaussian=42, min_gaussians=80_000),
    Quality.HIGH: Preset(long_edge=1600, steps_per_view=300, pixels_per_gaussian=42, min_gaussians=200_000),
}
# Gaussians by pixels alone but for the CPU's own minimum: a dozen photos of a shed need no million.
_GPU = {
    Quality.PREVIEW: Preset(1200, steps_per_view=170, pixels_per_gaussian=24, min_gaussians=60_000, minutes=3),
    Quality.STANDARD: Preset(1600, steps_per_view=550, pixels_per_gaussian=9, min_gaussians=120_000, minutes=12),
    Quality.HIGH: Preset(3200, steps_per_view=850, pixels_per_gaussian=9, min_gaussians=300_000, minutes=60),
}

# Of a Gaussian: 59 parameters with gradients and Adam's two moments are 944 bytes; with what drawing keeps, 1,350 were
# measured on the CPU. Refining copies once more.
_BYTES_A_GAUSSIAN = 3000
_SHARE_OF_MEMORY = 0.5  # the rest is for photos, pictures and libraries


def affordable(memory: int) -> int:
    """How many Gaussians can be trained in `memory` bytes."""
    return max(1, int(_SHARE_OF_MEMORY * memory) // _BYTES_A_GAUSSIAN)


def preset_of(options: Options, *, cuda: bool) -> Preset:
    """The preset of the chosen quality."""
    return (_GPU if cuda else _CPU)[options.quality]


def budget(options: Options, preset: Preset, flight: Flight, memory: int) -> Budget:
    """The preset sized to the flight, with the customer's own steps, cap and degree in place of its; never more
    Gaussians than `memory` bytes hold.
    """
    gaussians = max(1, (options.max_gaussians or preset.gaussians(flight)) // options.gaussians_divisor)
    return Budget(
        steps=options.training_steps or preset.steps(flight),
        long_edge=preset.long_edge,
        max_gaussians=min(gaussians, affordable(memory)),
        sh_degree=MAX_SH_DEGREE if options.sh_degree is None else options.sh_degree,
        seconds=options.training_seconds,
    )


def picture_factor(step: int, steps: int) -> float:
    """Size of the pictures at `step` (0-based) relative to full: a quarter, a half, whole.

    A drone scene of 28 photos, 800 steps: whole pictures from 60 % on 26.65 dB in 64 CPU seconds, from 70 % on 26.63
    dB in 50.
    """
    done = (step + 1) / steps
    return 0.25 if done < 0.25 else 0.5 if done < 0.7 else 1.0


def active_degree(step: int, steps: int, degree: int) -> int:
    """Degree of the harmonics in use at `step`: one more each fifth of the way."""
    return min(degree, 5 * (step + 1) // steps)


def decay(step: int, steps: int) -> float:
    """Factor of the means' learning rate: exponentially from 1 to 1/100."""
    return float(0.01 ** (step / steps))


@dataclass(frozen=True)
class Growth:
    """When to refine, and how many Gaussians there may be then."""

    first: int
    last: int
    every: int

    @classmethod
    def of(cls, steps: int) -> Growth:
        """From 5 % to 70 % of the way, some thirty times."""
        return cls(first=max(1, steps // 20), last=round(0.7 * steps), every=max(10, steps // 45))

    def due(self, step: int) -> bool:
        """Whether to refine after `step`."""
        return self.first <= step <= self.last and (step - self.first) % self.every == 0

    def allowed(self, step: int, start: int, cap: int) -> int:
        """Gaussians allowed after refining at `step`: linear from `start` to `cap`."""
        share = (step - self.first + self.every) / max(self.every, self.last - self.first)
        return max(start, round(start + (cap - start) * min(1.0, share)))
