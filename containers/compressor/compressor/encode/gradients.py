"""Render a splat, and propagate gradients of the picture back to its parameters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from compressor.encode.quality import BACKGROUND
from compressor.sog.codes import Float32
from splat.blending import blend, blend_backward
from splat.camera import Camera
from splat.gaussians import Gaussians
from splat.moments import blend_moments, outline_gradients
from splat.projection import GaussianGradients, Projected, ProjectedGradients, packed, project, project_backward
from splat.tiles import TileLists, tile_lists

_CHUNK = 1 << 18  # Gaussians whose curvature is worked on at a time: its factors take as much memory as a splat


@dataclass(frozen=True)
class Rendering:
    """A camera's picture of a splat, with the data for its gradients."""

    gaussians: Gaussians
    camera: Camera
    projected: Projected
    lists: TileLists
    colour: Float32  # (H, W, 3) without the background
    transmittance: Float32  # (H, W)
    antialiased: bool

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

    def curvature(self) -> tuple[Iterator[tuple[slice, GaussianGradients]], Float32]:
        """Factors gₖ with Σ gₖgₖᵀ = the Gauss-Newton block of each outline, in chunks, each with the slice of its
        Gaussians.

        Also returns the sum of each Gaussian's squared weights (N,).
        """
        moments, weights = blend_moments(self.projected, self.lists, self.picture)
        return self._factors(moments), weights

    def _factors(self, moments: Float32) -> Iterator[tuple[slice, GaussianGradients]]:
        for start in range(0, len(moments), _CHUNK):
            which = slice(start, start + _CHUNK)
            some = Projected(**{field.name: getattr(self.projected, field.name)[which] for field in fields(Projected)})
            for factor in outline_gradients(some, moments[which]):
                yield which, self._raw(factor, which, some)

    def _raw(
        self, gradients: ProjectedGradients, which: slice = slice(None), projected: Projected | None = None
    ) -> GaussianGradients:
        """Gradients of the raw parameters of the Gaussians `which`, from those of `projected`. Ignores
        d(colour)/d(position): view dependence does not move the outline."""
        g, camera = self.gaussians, self.camera
        parts = (g.means[which], g.quats[which], g.scales[which], g.opacities[which])
        none = np.zeros((len(parts[0]), 0, 3), np.float32)
        size = (camera.width, camera.height)
        return project_backward(
            *parts, none, packed(camera), *size, 0, projected or self.projected, gradients, antialiased=self.antialiased
        )


def render_from(gaussians: Gaussians, camera: Camera, *, antialiased: bool = False) -> Rendering:
    """Draw `gaussians`, keeping the data for gradients; `antialiased`: whether the splat has that mark."""
    g, size = gaussians, (camera.width, camera.height)
    projected = project(
        g.means, g.quats, g.scales, g.opacities, g.sh0, g.shN, packed(camera), *size, g.sh_degree,
        antialiased=antialiased,
    )  # fmt: skip
    lists = tile_lists(projected.footprints, projected.depths, *size)
    colour, transmittance = blend(projected, lists, np.zeros(3, np.float32), *size)
    return Rendering(gaussians, camera, projected, lists, colour, transmittance, antialiased)
