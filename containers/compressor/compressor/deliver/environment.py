"""Separate the environment of a streamed scene: Gaussians far outside the photographed part, such as sky and horizon.

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
_FAR = 3.0  # distance from the footprint's middle, in radii
_MAX_SHARE = 0.25  # of the Gaussians: if there are more, they are a scene larger than its footprint, not sky


def far_of(gaussians: Gaussians, surroundings: Surroundings) -> NDArray[np.bool_]:
    """(N,) which Gaussians are so far away that they are sky or horizon."""
    away = np.linalg.norm(gaussians.means.astype(np.float64) - surroundings.centre, axis=1)
    return np.asarray(away > _FAR * surroundings.radius)


def environment_of(gaussians: Gaussians, surroundings: Surroundings) -> NDArray[np.bool_]:
    """(N,) which Gaussians are the environment; none if there are too many far ones."""
    far = far_of(gaussians, surroundings)
    return far if far.mean() <= _MAX_SHARE else np.zeros_like(far)
