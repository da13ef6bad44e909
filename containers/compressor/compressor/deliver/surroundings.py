"""Compute default surroundings from the splat's own colours, if training left no surroundings.json."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from compressor.framing import solid
from splat.camera import Camera
from splat.footprint import footprint_of, pale_sky, robust_mean
from splat.gaussians import Gaussians
from splat.harmonics import SH_C0
from splat.surroundings import Surroundings


def default_surroundings(gaussians: Gaussians, cameras: Sequence[Camera], up: np.ndarray) -> Surroundings:
    """Surroundings with the footprint seen by `cameras`, if there are any, and a pale sky that no photo shows."""
    which = solid(gaussians)
    colours = np.clip(0.5 + SH_C0 * gaussians.sh0[which].astype(np.float64), 0, 1)
    footprint = footprint_of(gaussians.means[which].astype(np.float64), cameras, up)
    horizon, zenith = pale_sky(robust_mean(colours))
    return footprint.surroundings(robust_mean(colours[footprint.rim]), horizon, zenith, photographed=False)
