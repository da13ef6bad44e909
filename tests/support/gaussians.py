"""Gaussians from arrays of any precision."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from splat.gaussians import Gaussians

Numbers = NDArray[np.floating[Any]]


def gaussians_of(
    *, means: Numbers, quats: Numbers, scales: Numbers, opacities: Numbers, sh0: Numbers, shN: Numbers
) -> Gaussians:
    """Gaussians in float32, as they are stored; shapes as in `Gaussians`."""
    return Gaussians(
        means=means.astype(np.float32),
        quats=quats.astype(np.float32),
        scales=scales.astype(np.float32),
        opacities=opacities.astype(np.float32),
        sh0=sh0.astype(np.float32),
        shN=shN.astype(np.float32),
    )
