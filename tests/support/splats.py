"""What tests of the compressor need to know of a splat without rendering it."""

from __future__ import annotations

import numpy as np

from compressor.sog.codes import Sensitivity


def even_sensitivity(count: int, value: float = 1.0) -> Sensitivity:
    """Every number counts alike, in every direction."""
    directions = np.zeros((count, 16), np.float32)
    directions[:, 0] = value
    return Sensitivity(
        means=np.full((count, 3), value, np.float32),
        quats=np.full((count, 4), value, np.float32),
        scales=np.full((count, 3), value, np.float32),
        opacities=np.full(count, value, np.float32),
        colours=np.full(count, value, np.float32),
        directions=directions,
        seen=np.ones(count, np.bool_),
        harmonics=np.eye(15),
    )
