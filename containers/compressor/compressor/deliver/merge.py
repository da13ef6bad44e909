"""Merge neighbouring Gaussians of similar colour into one that looks like all of them, for views from a distance.

Means and covariances are those of the mixture, and the colour is its mean. The opacity is chosen so that the same area
of a picture stays covered; if that would need an opacity above 1, the Gaussian grows instead. Kerbl et al., A
Hierarchical 3D Gaussian Representation for Real-Time Rendering of Very Large Datasets, 2024.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from compressor.sog.codes import Float64
from splat.gaussians import Gaussians, logit_of, opacity_of
from splat.harmonics import SH_C0
from splat.quaternions import quaternions_of

_MAX_OPACITY = 0.99
_MIN_DEVIATION = 1e-7
_STEP = 1 / 255  # of a colour
_COLOUR_REACH = 12.0  # deviations of a median Gaussian that count as much as the difference of black and white


def group_order(gaussians: Gaussians, group: int) -> NDArray[np.int64]:
    """Order (N,) in which every `group` consecutive Gaussians are near each other and similar in colour.

    A k-d tree over place and colour, halved across its largest variance down to groups; only the last is smaller.
    """
    count = len(gaussians)
    reach = _COLOUR_REACH * SH_C0 * np.median(np.exp(gaussians.scales.max(axis=1)))
    points = np.concatenate([gaussians.means, reach * gaussians.sh0], axis=1).astype(np.float64)
    order = np.arange(count)
    starts = np.zeros(1, np.int64)
    while (sizes := _sizes(starts, count)).max() > group:
        ordered = points[order]
        part = np.repeat(np.arange(len(starts)), sizes)
        middle = np.add.reduceat(ordered, starts) / sizes[:, None]
        axis = np.add.reduceat(np.square(ordered - middle[part]), starts).argmax(axis=1)
        order = order[np.lexsort((ordered[np.arange(count), axis[part]], part))]
        groups = -(-sizes // group)
        starts = np.unique(np.concatenate([starts, starts + groups // 2 * group]))
    return order


def merged(gaussians: Gaussians, group: int) -> Gaussians:
    """One Gaussian for every `group` consecutive ones (the last for the remainder), in their order."""
    starts = np.arange(0, len(gaussians), group)
    opacity = opacity_of(gaussians.opacities)
    deviations = np.exp(gaussians.scales.astype(np.float64))
    area = opacity * _area(deviations)
    total = np.add.reduceat(area, starts)
    share = area / np.repeat(total, _sizes(starts, len(gaussians)))

    def mean(values: NDArray[np.floating[Any]]) -> Float64:
        weighted = values.astype(np.float64) * share.reshape(-1, *[1] * (values.ndim - 1))
        return np.asarray(np.add.reduceat(weighted, starts, axis=0))

    means = mean(gaussians.means)
    offset = gaussians.means - np.repeat(means, _sizes(starts, len(gaussians)), axis=0)
    covariances = mean(_covariances(gaussians.quats, deviations) + offset[:, :, None] * offset[:, None, :])
    variances, axes = np.linalg.eigh(covariances)
    axes[:, :, 0] *= np.linalg.det(axes)[:, None]
    merged_deviations = np.sqrt(np.maximum(variances, _MIN_DEVIATION**2))
    needed = total / _area(merged_deviations)
    covered = np.clip(needed, 1 / 255, _MAX_OPACITY)
    # opacity w > 1, deviation d would cover min(1, w·exp(-r²/2d²)): in all as much as opacity 1, variance (1 + ln w)·d²
    merged_deviations *= np.sqrt(1 + np.log(np.maximum(needed / _MAX_OPACITY, 1.0)))[:, None]
    return Gaussians(
        means=means.astype(np.float32),
        quats=quaternions_of(axes).astype(np.float32),
        scales=np.log(merged_deviations).astype(np.float32),
        opacities=logit_of(covered).astype(np.float32),
        sh0=mean(gaussians.sh0).astype(np.float32),
        shN=mean(gaussians.shN).astype(np.float32),
    )


def merge_error(members: Gaussians, coarse: Gaussians, group: int, contrast: float) -> float:
    """How much the pictures of `members` differ from those of what they were `merged` to: squared colour difference
    (colours 0..1, summed over the channels) times covered area, in squared units of the scene.

    Where a member moved away, the background shows instead; this counts with the scene's `contrast`, a squared colour
    difference. Colours are area-weighted means, so the errors of merging level by level add up to that of merging once.
    """
    owner = np.arange(len(members)) // group
    faces = _area(np.exp(members.scales.astype(np.float64)))
    colours = np.square(SH_C0 * (members.sh0.astype(np.float64) - coarse.sh0[owner])).sum(axis=1)
    away = np.square(members.means.astype(np.float64) - coarse.means[owner]).sum(axis=1)
    moved = -np.expm1(-away / np.maximum(4 * faces / 3, _MIN_DEVIATION**2))
    return float((opacity_of(members.opacities) * faces * (colours + contrast * moved)).sum())


def contrast_of(gaussians: Gaussians) -> float:
    """The mean squared colour difference between two Gaussians, at least one step of 8 bits."""
    colours = SH_C0 * gaussians.sh0.astype(np.float64)
    return float(2 * colours.var(axis=0).sum() + _STEP**2)


def _sizes(starts: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    return np.diff(starts, append=count)


def _area(deviations: Float64) -> Float64:
    """(N,) the area that a Gaussian covers from an average direction: the sum of its three faces' areas."""
    a, b, c = deviations.T
    return np.asarray(a * b + b * c + c * a)


def _covariances(quats: NDArray[np.float32], deviations: Float64) -> Float64:
    w, x, y, z = (quats.astype(np.float64) / np.linalg.norm(quats, axis=1, keepdims=True)).T
    rotation = np.stack(
        [
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        ],
        axis=1,
    ).reshape(-1, 3, 3)  # fmt: skip
    half = rotation * deviations[:, None, :]
    return np.asarray(np.einsum("nij,nkj->nik", half, half))
