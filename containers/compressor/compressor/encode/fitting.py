"""Fit opacities and constant colours to pictures, so that they compensate other errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from compressor.encode.gradients import render_from
from compressor.encode.quality import Image3
from splat.camera import Camera
from splat.gaussians import Gaussians

# limits of a fit's cost: Gaussians drawn and changed, and the minimum number of pictures; more pictures gain little
_WORK, _MIN_VISITS = 10_800_000, 12
# step length per unit of the pictures' root mean square error: steps shrink as the fit converges
_RATES = {"opacities": 3.2, "sh0": 1.06}
_MOMENTUM, _SQUARES, _TINY = 0.9, 0.95, 1e-12
_SEED = 11


@dataclass(frozen=True)
class Sights:
    """Cameras and the original splat's pictures from them: the target to which a splat is fitted.

    `antialiased`: whether the splat has that mark.
    """

    cameras: Sequence[Camera]
    pictures: Sequence[Image3]
    antialiased: bool = False


def fitted(start: Gaussians, seen: Sights, rounds: float, check_stop: Callable[[], None]) -> Gaussians:
    """`start` with opacities and constant colours that bring its pictures nearer to those `seen`.

    Kingma and Ba, Adam: A Method for Stochastic Optimization, 2015. Each step uses one picture, in random order, and
    each picture is used `rounds` times, less often for a large splat.
    """
    visits = max(1, min(round(rounds * len(seen.cameras)), max(_MIN_VISITS, _WORK // len(start))))
    values = {name: getattr(start, name) for name in _RATES}
    means = {name: np.zeros_like(value) for name, value in values.items()}
    squares = {name: np.zeros_like(value) for name, value in values.items()}
    rng = np.random.default_rng(_SEED)
    order = [i for _ in range(-(-visits // len(seen.cameras))) for i in rng.permutation(len(seen.cameras))][:visits]
    error = 0.0
    for number, i in enumerate(order):
        check_stop()
        rendering = render_from(replace(start, **values), seen.cameras[i], antialiased=seen.antialiased)
        missed = rendering.picture - seen.pictures[i]
        gradients = rendering.backward(missed)
        error = _MOMENTUM * error + (1 - _MOMENTUM) * float(np.mean(np.square(missed)))
        mean_share, square_share = 1 - _MOMENTUM ** (number + 1), 1 - _SQUARES ** (number + 1)
        pace = 0.5 * (1 + math.cos(math.pi * number / visits)) * math.sqrt(error / mean_share)
        for name, rate in _RATES.items():
            gradient = getattr(gradients, name)
            means[name] = _MOMENTUM * means[name] + (1 - _MOMENTUM) * gradient
            squares[name] = _SQUARES * squares[name] + (1 - _SQUARES) * np.square(gradient)
            direction = means[name] / mean_share / (np.sqrt(squares[name] / square_share) + _TINY)
            values[name] = (values[name] - pace * rate * direction).astype(np.float32)
    return replace(start, **values)
