"""A picture of a splat from a camera, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from splat.blending import blend
from splat.camera import Camera
from splat.gaussians import Float32, Gaussians
from splat.projection import packed, project
from splat.tiles import tile_lists


def render(gaussians: Gaussians, camera: Camera, background: Sequence[float] = (0.0, 0.0, 0.0)) -> Float32:
    """Draw a splat by the rules that it was trained by.

    Parameters
    ----------
    gaussians: in world units; none at all gives the background.
    camera: pinhole, world to camera, in pixels.
    background: red, green and blue behind the splat, 0 to 1; black by default.

    Returns (height, width, 3) float32 in the photos' colour space, not clamped.
    """
    image, _ = _drawn(gaussians, camera, background)
    return image


def render_with_alpha(
    gaussians: Gaussians, camera: Camera, background: Sequence[float] = (0.0, 0.0, 0.0)
) -> tuple[Float32, Float32]:
    """Draw a splat, and where it is.

    Parameters: as of `render`.

    Returns the picture of `render`, and its alpha (height, width) float32, from 0 where nothing is to 1 where it is
    opaque.
    """
    image, transmittance = _drawn(gaussians, camera, background)
    return image, np.float32(1) - transmittance


def _drawn(gaussians: Gaussians, camera: Camera, background: Sequence[float]) -> tuple[Float32, Float32]:
    """The picture over a plain colour, and the transmittance (height, width) left for it."""
    projected = project(
        gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.sh0, gaussians.shN,
        packed(camera), camera.width, camera.height, gaussians.sh_degree,
    )  # fmt: skip
    lists = tile_lists(projected.footprints, projected.depths, camera.width, camera.height)
    return blend(projected, lists, np.asarray(background, dtype=np.float32), camera.width, camera.height)
