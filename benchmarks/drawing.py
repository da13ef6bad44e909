"""Draw a splat as the page shows it, over the ground and sky behind it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from splat.camera import Camera
from splat.gaussians import Float32, Gaussians
from splat.render import render_with_alpha
from splat.surroundings import Surroundings, background


def shown(splat: Gaussians, camera: Camera, surroundings: Surroundings) -> Float32:
    """(height, width, 3), 0..1."""
    return over(*render_with_alpha(splat, camera), background(surroundings, camera))


def over(image: Float32, alpha: Float32, behind: Float32) -> Float32:
    """A picture on black with its alpha (height, width) over the picture `behind`, clamped."""
    return np.asarray(image + (1 - alpha[..., None]) * behind, np.float32).clip(0, 1)


def as_floats(picture: NDArray[np.uint8]) -> Float32:
    """Bytes as 0..1."""
    return np.asarray(picture / np.float32(255), np.float32)
