"""Draw a picture of a splat from a camera, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from splat.blending import blend
from splat.camera import Camera
from splat.gaussians import Float32, Gaussians
from splat.projection import packed, project
from splat.tiles import tile_lists


def render(
    gaussians: Gaussians, camera: Camera, background: Sequence[float] = (0.0, 0.0, 0.0), *, antialiased: bool = False
) -> Float32:
    """Draw a splat with the projection and blending that training uses.

    Parameters
    ----------
    gaussians: in world units; without any, the picture is the background.
    camera: a pinhole camera, in pixels.
    background: red, green and blue behind the splat, 0 to 1; black by default.
    antialiased: whether the splat has that mark (splat.stored).

    Returns (height, width, 3) float32 in the photos' colour space, not clamped.
    """
    image, _ = _drawn(gaussians, camera, background, antialiased)
    return image


def render_with_alpha(
    gaussians: Gaussians, camera: Camera, background: Sequence[float] = (0.0, 0.0, 0.0), *, antialiased: bool = False
) -> tuple[Float32, Float32]:
    """Draw a splat and its coverage.

    Takes the parameters of `render`. Returns its picture, and alpha (height, width) float32: 0 where nothing is drawn,
    1 where the splat is opaque.
    """
    image, transmittance = _drawn(gaussians, camera, background, antialiased)
    return image, np.float32(1) - transmittance


def _drawn(
    gaussians: Gaussians, camera: Camera, background: Sequence[float], antialiased: bool
) -> tuple[Float32, Float32]:
    """The picture over a plain colour, and the colour's transmittance (height, width)."""
    projected = project(
        gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.sh0, gaussians.shN,
        packed(camera), camera.width, camera.height, gaussians.sh_degree, antialiased=antialiased,
    )  # fmt: skip
    lists = tile_lists(projected.footprints, projected.depths, camera.width, camera.height)
    return blend(projected, lists, np.asarray(background, dtype=np.float32), camera.width, camera.height)
