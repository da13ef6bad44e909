"""Render a splat, and take gradients of the picture back to its parameters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from compressor.encode.quality import BACKGROUND
from compressor.sog.codes import Float32
from splat.blending import blend, blend_backward
from splat.camera import Camera
from splat.gaussians import Gaussians
from splat.moments import blend_moments, outline_gradients
from splat.projection import GaussianGradients, Projected, ProjectedGradients, packed, project, project_backward
from splat.tiles import TileLists, tile_lists


@dataclass(frozen=True)
class Rendering:
    """What a camera sees of a splat, with all that its gradients need."""

    gaussians: Gaussians
    camera: Camera
    projected: Projected
    lists: TileLists
    colour: Float32  # (H, W, 3) without the background
    transmittance: Float32  # (H, W)

    @property
    def picture(self) -> Float32:
        """(H, W, 3) on the viewer's background."""
        return self.colour + self.transmittance[:, :, None] * np.asarray(BACKGROUND, np.float32)

    def backward(self, by_pixel: Float32) -> GaussianGradients:
        """Gradients of the raw parameters from those of the picture (H, W, 3); none of the higher coefficients."""
        by_transmittance = -(by_pixel * np.asarray(BACKGROUND, np.float32)).sum(axis=2)
        return self._raw(
            blend_backward(self.projected, self.lists, self.colour, self.transmittance, by_pixel, by_transmittance)
        )

    def curvature(self) -> tuple[Iterator[GaussianGradients], Float32]:
        """Factors gₖ with Σ gₖgₖᵀ = the Gauss-Newton block of each outline.

        And the sum of each Gaussian's weights squared (N,).
        """
        moments, weights = blend_moments(self.projected, self.lists, self.picture)
        return map(self._raw, outline_gradients(self.projected, moments)), weights

    def _raw(self, gradients: ProjectedGradients) -> GaussianGradients:
        """Ignores d(colour)/d(position): view dependence does not move the outline."""
        g, camera = self.gaussians, self.camera
        none = np.zeros((len(g), 0, 3), np.float32)
        size = (camera.width, camera.height)
        return project_backward(
            g.means, g.quats, g.scales, g.opacities, none, packed(camera), *size, 0, self.projected, gradients
        )


def render_from(gaussians: Gaussians, camera: Camera) -> Rendering:
    """Draw `gaussians`, ready for gradients."""
    g, size = gaussians, (camera.width, camera.height)
    projected = project(g.means, g.quats, g.scales, g.opacities, g.sh0, g.shN, packed(camera), *size, g.sh_degree)
    lists = tile_lists(projected.footprints, projected.depths, *size)
    colour, transmittance = blend(projected, lists, np.zeros(3, np.float32), *size)
    return Rendering(gaussians, camera, projected, lists, colour, transmittance)
