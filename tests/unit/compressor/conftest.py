"""Small splats that the compressor's tests share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from splat.gaussians import HIGHER_COEFFICIENTS, Gaussians
from tests.support.gaussians import gaussians_of

MakeSplat = Callable[..., Gaussians]


def make_splat(count: int = 400, degree: int = 1, seed: int = 0) -> Gaussians:
    """A bumpy coloured sheet about the origin, z up, seen well from anywhere above."""
    rng = np.random.default_rng(seed)
    ground = rng.uniform(-2, 2, (count, 2))
    height = 0.3 * np.sin(2 * ground[:, :1]) * np.cos(1.5 * ground[:, 1:])
    return gaussians_of(
        means=np.hstack([ground, height]),
        quats=rng.normal(size=(count, 4)),
        scales=np.log(rng.uniform(0.03, 0.25, (count, 3))),
        opacities=rng.uniform(-1, 4, count),
        sh0=np.hstack([np.sin(3 * ground), height * 3]) + rng.normal(0, 0.1, (count, 3)),
        shN=rng.normal(0, 0.1, (count, HIGHER_COEFFICIENTS[degree], 3)),
    )


@pytest.fixture(scope="session", name="make_splat")
def make_splat_fixture() -> MakeSplat:
    return make_splat
