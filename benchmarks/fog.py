"""Measure how much of a picture comes from Gaussians in places where the truth has empty air."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.similarity import Similarity
from benchmarks.truth_views import Depths, in_the_air
from sample.camera import Camera as TrueCamera
from splat.gaussians import Float32, Gaussians
from splat.harmonics import SH_C0


def fog_alone(gaussians: Gaussians, carried: Similarity, maps: Sequence[tuple[TrueCamera, Depths]]) -> Gaussians:
    """The same Gaussians, white in empty air and black elsewhere, so that their picture shows only the fog."""
    share = share_in_the_air(gaussians, carried, maps)
    return in_colours(gaussians, share[:, None].repeat(3, axis=1))


def share_in_the_air(gaussians: Gaussians, carried: Similarity, maps: Sequence[tuple[TrueCamera, Depths]]) -> Float32:
    """(N,) the share of seven points of each Gaussian that lies in empty air: its mean, and one deviation along each
    axis.
    """
    middle = gaussians.means.astype(np.float64)
    arms = axes_of(gaussians) * np.exp(gaussians.scales.astype(np.float64))[:, :, None]
    share = in_the_air(carried.back(middle), maps).astype(np.float32)
    for axis in range(3):
        for sign in (1, -1):
            share += in_the_air(carried.back(middle + sign * arms[:, axis]), maps)
    return np.asarray(share / 7, np.float32)


def axes_of(gaussians: Gaussians) -> NDArray[np.float64]:
    """(N, 3, 3): unit vectors along each Gaussian's axes, one a row."""
    quats = gaussians.quats.astype(np.float64)
    w, x, y, z = (quats / np.linalg.norm(quats, axis=1, keepdims=True)).T
    return np.stack(
        [
            np.stack([1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)], axis=1),
            np.stack([2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)], axis=1),
            np.stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)], axis=1),
        ],
        axis=1,
    )


def in_colours(gaussians: Gaussians, colours: Float32) -> Gaussians:
    """The same Gaussians with the given colours (N, 3), 0..1, in every direction."""
    sh0 = ((colours - 0.5) / SH_C0).astype(np.float32)
    return replace(gaussians, sh0=sh0, shN=np.zeros((len(gaussians), 0, 3), np.float32))
