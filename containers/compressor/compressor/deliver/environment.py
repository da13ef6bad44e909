"""The environment: Gaussians far outside of what the photos show, as sky and horizon; streamed scenes keep it apart.

A viewer always draws the environment, at a single level: it is in every picture, and in the tree of levels its extent
would make every node count as near.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from splat.gaussians import Gaussians
from splat.surroundings import Surroundings

MAX_ENVIRONMENT = 50_000
"""Gaussians, about 0.5 MB: it is loaded before the first picture, with the coarsest level."""
_FAR = 3.0  # times the footprint's radius, from its middle
_MAX_SHARE = 0.25  # of the Gaussians: more of them are no sky but a scene that its footprint does not hold


def far_of(gaussians: Gaussians, surroundings: Surroundings) -> NDArray[np.bool_]:
    """Which Gaussians (N,) are so far off that they are sky or horizon."""
    away = np.linalg.norm(gaussians.means.astype(np.float64) - surroundings.centre, axis=1)
    return np.asarray(away > _FAR * surroundings.radius)


def environment_of(gaussians: Gaussians, surroundings: Surroundings) -> NDArray[np.bool_]:
    """Which Gaussians (N,) are the environment; none where they are too many to be one."""
    far = far_of(gaussians, surroundings)
    return far if far.mean() <= _MAX_SHARE else np.zeros_like(far)
