"""Degrade trained splats on purpose, by degrees, in the ways in which training goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from splat.gaussians import Gaussians
from splat.harmonics import SH_C0

# A ruined copy of a splat: `degree` is how far, `distance` the viewing distance in its units.
Ruin = Callable[[Gaussians, float, float], Gaussians]


def displaced(splat: Gaussians, degree: float, distance: float) -> Gaussians:
    """Like after wrong poses: centres displaced by a normal deviation of `degree` viewing distances."""
    noise = np.random.default_rng(0).normal(0, degree * distance, splat.means.shape)
    return replace(splat, means=(splat.means + noise).astype(np.float32))


def blurred(splat: Gaussians, degree: float, _distance: float) -> Gaussians:
    """Like after blurred photos or with too few Gaussians: each one `degree` times as wide."""
    return replace(splat, scales=(splat.scales + np.log(degree)).astype(np.float32))


def holed(splat: Gaussians, degree: float, _distance: float) -> Gaussians:
    """Like after too little coverage: a share `degree` of the Gaussians is removed."""
    return splat.select(np.random.default_rng(0).random(len(splat)) >= degree)


def veiled(splat: Gaussians, degree: float, distance: float) -> Gaussians:
    """Like after overfitting: grey Gaussians are added above the others, `degree` times their number, each 0.02 viewing
    distances wide and with an opacity of a tenth.
    """
    random = np.random.default_rng(0)
    fog = splat.select(random.choice(len(splat), max(1, round(degree * len(splat)))))
    up = np.array([0.0, 0.0, 1.0])  # the generator's flights are georeferenced
    means = fog.means + distance * (
        random.uniform(0.05, 0.4, (len(fog), 1)) * up + random.normal(0, 0.05, (len(fog), 3))
    )
    fog = replace(
        fog,
        means=means.astype(np.float32),
        scales=np.full_like(fog.scales, np.log(0.02 * distance)),
        opacities=np.full_like(fog.opacities, np.log(0.1 / 0.9)),
        sh0=np.full_like(fog.sh0, (0.6 - 0.5) / SH_C0),
        shN=np.zeros_like(fog.shN),
    )
    names = ("means", "quats", "scales", "opacities", "sh0", "shN")
    return Gaussians(**{name: np.concatenate([getattr(splat, name), getattr(fog, name)]) for name in names})


RUINS: dict[str, tuple[Ruin, tuple[float, ...]]] = {
    "displaced": (displaced, (0.001, 0.004, 0.016)),
    "blurred": (blurred, (1.5, 2.5, 5.0)),
    "holed": (holed, (0.3, 0.6, 0.9)),
    "veiled": (veiled, (0.02, 0.1, 0.4)),
}
