"""Compute figures of a splat itself: opacities, and the shares of needles, long Gaussians and unseen ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splat.blending import blend, blend_backward
from splat.camera import Camera
from splat.gaussians import Float32, Gaussians
from splat.projection import packed, project
from splat.tiles import tile_lists

NEEDLE = 10.0  # longest axis by the middle one
LONG = 0.08  # viewing distances; longer Gaussians are what a veil is made of
UNSEEN = 0.1  # pixels: the sum of a Gaussian's blending weights over all photos


def weights(gaussians: Gaussians, camera: Camera) -> Float32:
    """(N,) the sum of each Gaussian's blending weights over the picture's pixels.

    It equals the gradient of the sum of the picture with respect to the Gaussian's colour.
    """
    projected = project(
        gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.sh0, gaussians.shN,
        packed(camera), camera.width, camera.height, gaussians.sh_degree,
    )  # fmt: skip
    lists = tile_lists(projected.footprints, projected.depths, camera.width, camera.height)
    image, left = blend(projected, lists, np.zeros(3, np.float32), camera.width, camera.height)
    gradients = blend_backward(projected, lists, image, left, np.ones_like(image), np.zeros_like(left))
    return gradients.colours[:, 0]


@dataclass(frozen=True)
class Shape:
    """Of all Gaussians: quantiles of opacity; shares that are needles, long, and seen in no photo."""

    opacity: tuple[float, float, float, float]  # 10, 50, 90, 99 %
    needles: float
    long: float
    unseen: float


def shape(gaussians: Gaussians, photos: list[Camera], viewing_distance: float) -> Shape:
    """`photos`: the cameras that looked; `viewing_distance`: typically from a camera to what it sees."""
    opacity = 1 / (1 + np.exp(-gaussians.opacities.astype(np.float64)))
    axes = np.sort(np.exp(gaussians.scales.astype(np.float64)), axis=1)
    looked_at = np.zeros(len(gaussians))
    for camera in photos:
        looked_at += weights(gaussians, camera.scaled(400 / max(camera.width, camera.height)))
    quantiles = np.quantile(opacity, (0.1, 0.5, 0.9, 0.99))
    return Shape(
        (float(quantiles[0]), float(quantiles[1]), float(quantiles[2]), float(quantiles[3])),
        float((axes[:, 2] > NEEDLE * axes[:, 1]).mean()),
        float((axes[:, 2] > LONG * viewing_distance).mean()),
        float((looked_at < UNSEEN).mean()),
    )
