"""Leave out the Gaussians that pictures miss least, and let the others make up for them.

A picture is linear in each opacity by itself, so its sensitivity says what leaving a Gaussian out costs; together the
losses add up, which the others' opacities and colours, fitted to the original's pictures, recover (Adam: Kingma and
Ba, 2015). Fan et al., LightGaussian: Unbounded 3D Gaussian Compression with 15x Reduction and 200+ FPS, 2024, prune
and recover likewise.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from compressor.curves import Arranged
from compressor.gradients import render_from
from compressor.quality import Yardstick, draw
from compressor.sog.codes import Float32
from compressor.sog.encoder import opacity_of
from splat.camera import Camera
from splat.gaussians import Gaussians

# measured on trained scenes: a tenth more Gaussians left out costs five times the error, so it gets this part of it
_SHARE = 1 / 6
# what the fit recovers, as a factor of the error (6 dB after four rounds over 36 views)
_RECOVERED = 4.0
_TOLERANCE = 1.5  # the fit may miss what was allowed by so much
_SHARES = tuple(share / 64 for share in range(1, 20))
# above this many Gaussians a fit takes longer than all the rest, and fewer are left out instead
_MOST_FITTED = 200_000
_ROUNDS = 4
_RATES = {"opacities": 0.03, "sh0": 0.01}
_MOMENTUM, _SQUARES, _TINY = 0.9, 0.95, 1e-12
_SEED = 11


@dataclass(frozen=True)
class Thinned:
    """What is left, and the mean squared error of its pictures against the whole's."""

    arranged: Arranged
    error: float


def thin(
    arranged: Arranged, budget: float, yardstick: Yardstick, cameras: Sequence[Camera], check_stop: Callable[[], None]
) -> Thinned:
    """As few Gaussians as a sixth of the squared error `budget` pays for, fitted to what `cameras` see of all."""
    order = np.argsort(missed(arranged))
    allowed = _SHARE * budget

    def without(share: float) -> Arranged:
        return arranged.select(np.sort(order[int(share * len(order)) :]))

    def error(share: float) -> float:
        check_stop()
        return yardstick.mean_squared_error(without(share).gaussians)

    def most(error_allowed: float) -> float:
        place = bisect_right(_SHARES, error_allowed, key=error)
        return _SHARES[place - 1] if place else 0.0

    if len(arranged) <= _MOST_FITTED and (share := most(_RECOVERED * allowed)):
        left = without(share)
        left = replace(left, gaussians=fitted(left.gaussians, arranged.gaussians, cameras, check_stop))
        found = yardstick.mean_squared_error(left.gaussians)
        if found <= _TOLERANCE * allowed:
            return Thinned(left, found)
    share = most(allowed)
    return Thinned(without(share), error(share)) if share else Thinned(arranged, 0.0)


def missed(arranged: Arranged) -> Float32:
    """Expected squared error (N,) of the pictures without each Gaussian alone."""
    # d picture / d opacity is that by the logit over α(1 − α), and the opacity changes by α
    left = np.maximum(1 - opacity_of(arranged.gaussians.opacities), 1 / 255)
    return np.asarray(arranged.sensitivity.opacities / np.square(left), dtype=np.float32)


def fitted(
    start: Gaussians, original: Gaussians, cameras: Sequence[Camera], check_stop: Callable[[], None]
) -> Gaussians:
    """`start` with opacities and constant colours that bring its pictures nearer to the original's."""
    pictures = [draw(original, camera) for camera in cameras]
    values = {name: getattr(start, name) for name in _RATES}
    means = {name: np.zeros_like(value) for name, value in values.items()}
    squares = {name: np.zeros_like(value) for name, value in values.items()}
    rng = np.random.default_rng(_SEED)
    visits = [i for _ in range(_ROUNDS) for i in rng.permutation(len(cameras))]
    for number, i in enumerate(visits):
        check_stop()
        rendering = render_from(replace(start, **values), cameras[i])
        gradients = rendering.backward(rendering.picture - pictures[i])
        pace = 0.5 * (1 + math.cos(math.pi * number / len(visits)))
        for name, rate in _RATES.items():
            gradient = getattr(gradients, name)
            means[name] = _MOMENTUM * means[name] + (1 - _MOMENTUM) * gradient
            squares[name] = _SQUARES * squares[name] + (1 - _SQUARES) * np.square(gradient)
            mean = means[name] / (1 - _MOMENTUM ** (number + 1))
            square = squares[name] / (1 - _SQUARES ** (number + 1))
            step = pace * rate * mean / (np.sqrt(square) + _TINY)
            values[name] = (values[name] - step).astype(np.float32)
    return replace(start, **values)
