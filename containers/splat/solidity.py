"""Is a splat made of surfaces or of fog? Told without any truth, from the depths that its pixels are made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from splat.camera import Camera, orbit
from splat.gaussians import Float32, Gaussians
from splat.harmonics import SH_C0
from splat.render import render_with_alpha

MIN_ALPHA = 0.5  # of a pixel that shows anything


def depth_spread(gaussians: Gaussians, camera: Camera) -> float | None:
    """Over the picture's covered pixels the mean of the relative standard deviation of the depths that a pixel's colour
    comes from, weighted as in blending: about 0.01 for a surface, 0.1 and more for fog. None where nothing is covered.

    One rendering, with each Gaussian's depth and its square for colours.
    """
    depths = gaussians.means.astype(np.float64) @ camera.rotation[2] + camera.translation[2]
    unit = max(float(depths.max(initial=0.0)), 1e-12)
    share = np.clip(depths / unit, 0, 1)
    colours = np.stack([share, share**2, np.zeros_like(share)], axis=1)
    image, alpha = render_with_alpha(in_colours(gaussians, colours.astype(np.float32)), camera)
    covered = alpha >= MIN_ALPHA
    if not covered.any():
        return None
    mean, square = (image[covered, channel] / alpha[covered] for channel in (0, 1))
    return float(np.mean(np.sqrt(np.maximum(square - mean**2, 0)) / np.maximum(mean, 1e-9)))


def mean_depth_spread(gaussians: Gaussians, cameras: Iterable[Camera]) -> float | None:
    """Mean of `depth_spread` over the cameras that see anything; None where none does."""
    found = [spread for camera in cameras if (spread := depth_spread(gaussians, camera)) is not None]
    return float(np.mean(found)) if found else None


def look_around(points: NDArray[np.float64], distance: float, up: NDArray[np.float64]) -> list[Camera]:
    """Where people turn a scene: eight views of the middle of its points (N, 3), from `distance`, 35° up.

    Photos of most flights look straight down, and from there fog looks like ground.
    """
    middle = np.median(points, axis=0)
    return orbit(middle, distance, 35.0, 8, width=400, height=300, up=up)


def in_colours(gaussians: Gaussians, colours: Float32) -> Gaussians:
    """The same Gaussians with the colours (N, 3), 0..1, from every side."""
    sh0 = ((colours - 0.5) / SH_C0).astype(np.float32)
    return replace(gaussians, sh0=sh0, shN=np.zeros((len(gaussians), 0, 3), np.float32))
