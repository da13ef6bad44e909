"""How much to train and when to do what: presets and schedules as pure functions of the step."""

from __future__ import annotations

from dataclasses import dataclass, replace

from stage.environment import Options


@dataclass(frozen=True)
class Budget:
    """Steps of one photo each, the longer side of the photos in pixels, the most Gaussians, the harmonics' degree, and
    the seconds after which training ends with what it has.
    """

    steps: int
    long_edge: int
    max_gaussians: int
    sh_degree: int = 3
    seconds: float | None = None


# On 2 cores with AVX-512 and 16 to 31 photos to train on: preview some 25 s, standard some 95 s.
_CPU = {
    "preview": Budget(steps=800, long_edge=800, max_gaussians=40_000),
    "standard": Budget(steps=2000, long_edge=1000, max_gaussians=80_000),
    "high": Budget(steps=6000, long_edge=1600, max_gaussians=200_000),
}
_GPU = {
    "preview": Budget(steps=2000, long_edge=1200, max_gaussians=200_000),
    "standard": Budget(steps=7000, long_edge=1600, max_gaussians=1_000_000),
    "high": Budget(steps=30_000, long_edge=3200, max_gaussians=3_000_000),
}


# Of a Gaussian: 59 parameters with gradients and Adam's two moments are 944 bytes; with what drawing keeps, 1,350 were
# measured on the CPU. Refining copies once more.
_BYTES_A_GAUSSIAN = 3000
_SHARE_OF_MEMORY = 0.5  # the rest is for photos, pictures and libraries


def affordable(memory: int) -> int:
    """How many Gaussians can be trained in `memory` bytes."""
    return max(1, int(_SHARE_OF_MEMORY * memory) // _BYTES_A_GAUSSIAN)


def budget(options: Options, memory: int, *, cuda: bool) -> Budget:
    """The preset of the wished quality, with the customer's own steps, cap and degree in place of its; never more
    Gaussians than `memory` bytes hold.
    """
    preset = (_GPU if cuda else _CPU)[options.quality]
    wished = max(1, (options.max_gaussians or preset.max_gaussians) // options.gaussians_divisor)
    return replace(
        preset,
        steps=options.training_steps or preset.steps,
        max_gaussians=min(wished, affordable(memory)),
        sh_degree=preset.sh_degree if options.sh_degree is None else options.sh_degree,
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
