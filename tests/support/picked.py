"""Depths at which rays meet a splat, and a pick by nine rays, in plain float64: the twin of the page's own picking
(containers/compressor/viewer/src/measure/picking.mjs)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splat.gaussians import Gaussians, opacity_of

Vector = NDArray[np.float64]


def met_depths(gaussians: Gaussians, origin: Vector, direction: Vector) -> Vector:
    """Depths at which a quarter, half and three quarters of a ray's light are absorbed; infinite if they are not."""
    (depths,) = met_by_each(gaussians, [(origin, direction)])
    return depths


def met_by_each(gaussians: Gaussians, rays: Sequence[tuple[Vector, Vector]]) -> list[Vector]:
    """`met_depths` of each ray, its origin and direction."""
    w, x, y, z = (gaussians.quats.astype(np.float64) / np.linalg.norm(gaussians.quats, axis=1, keepdims=True)).T
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    ).transpose(2, 0, 1)
    whitening = rotation.transpose(0, 2, 1) / np.exp(gaussians.scales.astype(np.float64))[:, :, None]
    means, opacities = gaussians.means.astype(np.float64), opacity_of(gaussians.opacities.astype(np.float64))
    return [_depths(whitening, opacities, means - origin, direction) for origin, direction in rays]


def _depths(whitening: Vector, opacities: Vector, relative: Vector, direction: Vector) -> Vector:
    offsets = np.einsum("nij,nj->ni", whitening, relative)
    along = whitening @ direction
    depths = np.einsum("ni,ni->n", offsets, along) / np.einsum("ni,ni->n", along, along)
    squared = np.sum(np.square(offsets - depths[:, None] * along), axis=1)
    alphas = np.minimum(0.999, opacities * np.exp(-squared / 2))
    met = (depths > 0) & (alphas >= 1 / 255)
    order = np.argsort(depths[met])
    left = np.cumprod(1 - alphas[met][order])
    sorted_ = depths[met][order]
    return np.array([sorted_[left < t][0] if (left < t).any() else np.inf for t in (0.75, 0.5, 0.25)])


@dataclass(frozen=True)
class Picked:
    """The plane through the points where the rays meet the splat: its depth along the middle ray, the RMS distance of
    the points from it, and the median thickness; `whole`: whether every ray meets something."""

    depth: float
    rough: float
    fog: float
    whole: bool


def picked_depth(gaussians: Gaussians, origin: Vector, direction: Vector, radius: float | None) -> Picked | None:
    """None if the middle ray meets nothing; `radius` of the ring: by default two thousandths of the distance."""
    centre = met_depths(gaussians, origin, direction)[1]
    if not np.isfinite(centre):
        return None
    turns = np.arange(8) * math.pi / 4
    plan = np.array([(0.0, 0.0), *np.column_stack([np.cos(turns), np.sin(turns)])])
    x, y, z = direction
    right = np.array([y, -x, 0] if abs(z) < 0.9 else [0, z, -y]) / math.hypot(*((y, x) if abs(z) < 0.9 else (z, y)))
    spread = 2e-3 if radius is None else radius / centre
    beside = direction + spread * plan @ np.array([right, np.cross(right, direction)])
    met = np.array(met_by_each(gaussians, [(origin, ray / np.linalg.norm(ray)) for ray in beside]))
    known = np.isfinite(met[:, 1])
    sides = np.column_stack([np.ones(9), plan])[known]
    fit, *_ = np.linalg.lstsq(sides, met[known, 1], rcond=None)
    thickness = np.sort(np.where(known, met[:, 2], np.inf) - np.where(known, met[:, 0], 0))[4]
    rough = float(np.sqrt(np.mean(np.square(sides @ fit - met[known, 1]))))
    return Picked(float(fit[0]), rough, float(thickness), bool(known.all()))


def moved(picks: Sequence[Mapping[str, Any]], rng: np.random.Generator) -> Vector:
    """The picks' points (N, 3), each displaced at random by its standard deviations along and across its ray."""
    points = []
    for pick in picks:
        direction = np.array(pick["direction"])
        aside = rng.normal(0, pick["aside"], 3)
        aside -= direction * (aside @ direction)
        points.append(np.array(pick["point"]) + aside + rng.normal(0, pick["along"]) * direction)
    return np.array(points)
