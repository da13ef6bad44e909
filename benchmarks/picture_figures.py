"""Figures of one picture against another, and of the splat that drew it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from splat.blending import blend, blend_backward
from splat.camera import Camera
from splat.gaussians import Float32, Gaussians
from splat.harmonics import SH_C0
from splat.projection import packed, project
from splat.tiles import tile_lists

Mask = NDArray[np.bool_]

BLACK = np.zeros(3, np.float32)
NEEDLE = 10.0  # longest axis by the middle one
LONG = 0.08  # viewing distances; longer Gaussians are what a veil is made of
UNSEEN = 0.1  # pixels: the sum of a Gaussian's blending weights over all photos


def as_floats(picture: NDArray[np.uint8]) -> Float32:
    """Bytes as 0..1."""
    return np.asarray(picture / np.float32(255), np.float32)


def psnr(image: Float32, truth: Float32, where: Mask | None = None) -> float | None:
    """dB over the pixels of `where`; None where there are none."""
    error = (image - truth) ** 2 if where is None else (image[where] - truth[where]) ** 2
    return -10 * math.log10(max(float(error.mean()), 1e-10)) if error.size else None


def fitted(image: Float32, truth: Float32, where: Mask | None = None) -> Float32:
    """The image with the gain and offset per channel that bring it nearest to the truth over `where`, 0..1."""
    chosen = np.ones(image.shape[:2], bool) if where is None else where
    out = np.empty_like(image)
    for channel in range(3):
        given = image[chosen, channel]
        design = np.stack([given, np.ones_like(given)], axis=1)
        (gain, offset), *_ = np.linalg.lstsq(design, truth[chosen, channel], rcond=None)
        out[..., channel] = image[..., channel] * gain + offset
    return out.clip(0, 1)


def drawn(gaussians: Gaussians, camera: Camera) -> tuple[Float32, Float32]:
    """The splat over black (height, width, 3), not clamped, and its coverage (height, width), 0..1."""
    projected = project(
        gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.sh0, gaussians.shN,
        packed(camera), camera.width, camera.height, gaussians.sh_degree,
    )  # fmt: skip
    lists = tile_lists(projected.footprints, projected.depths, camera.width, camera.height)
    image, left = blend(projected, lists, np.zeros(3, np.float32), camera.width, camera.height)
    return image, 1 - left


def composed(image: Float32, coverage: Float32, background: Float32) -> Float32:
    """What a viewer shows: the splat over `background` ((3,) or a picture), clamped."""
    return np.asarray(image + (1 - coverage[..., None]) * background, np.float32).clip(0, 1)


def weights(gaussians: Gaussians, camera: Camera) -> Float32:
    """(N,) the sum of each Gaussian's blending weights over the picture's pixels.

    The gradient of the picture's sum by a Gaussian's colour is exactly that.
    """
    projected = project(
        gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.sh0, gaussians.shN,
        packed(camera), camera.width, camera.height, gaussians.sh_degree,
    )  # fmt: skip
    lists = tile_lists(projected.footprints, projected.depths, camera.width, camera.height)
    image, left = blend(projected, lists, np.zeros(3, np.float32), camera.width, camera.height)
    gradients = blend_backward(projected, lists, image, left, np.ones_like(image), np.zeros_like(left))
    return gradients.colours[:, 0]


def in_colour(gaussians: Gaussians, value: Float32) -> Gaussians:
    """The same Gaussians, each grey of `value` (N,), 0..1, from every side."""
    sh0 = np.repeat((value[:, None] - 0.5) / SH_C0, 3, axis=1).astype(np.float32)
    return replace(gaussians, sh0=sh0, shN=np.zeros((len(gaussians), 0, 3), np.float32))


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
