"""The attributes of a splat one by one: how coarse each may become, what that costs and what it saves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compressor.sog.codebook import nearest_codes
from compressor.sog.codes import UInt8
from compressor.sog.decoder import dequantise_opacities
from compressor.sog.encoder import (
    footprint,
    leeway,
    opacity_of,
    quantise_opacities,
    quantise_positions,
    quantise_rotations,
    weighted_codebook,
)
from compressor.sog.images import lay_out
from compressor.sog.means import dequantise_means
from compressor.sog.quats import dequantise_quats
from splat.gaussians import Gaussians

Images = list[UInt8]
Coarsen = Callable[[Gaussians, float], tuple[Gaussians, Images]]
Domain = Callable[[Gaussians], NDArray[np.floating[Any]]]


@dataclass(frozen=True)
class Attribute:
    """One field of `Steps`: its values from fine to coarse, and how to try one alone.

    `coarsen` gives the splat with only this attribute quantised, and the images that hold it; `domain` the numbers in
    which its error is measured.
    """

    name: str
    ladder: tuple[float, ...]
    probe: float
    coarsen: Coarsen
    domain: Domain

    def error(self, exact: Gaussians, coarse: Gaussians) -> float:
        """Mean squared change, in numbers that count alike in a picture."""
        return mean_squared_change(self.domain(exact), self.domain(coarse))


def mean_squared_change(exact: NDArray[np.floating[Any]], coarse: NDArray[np.floating[Any]]) -> float:
    """Mean over the Gaussians of the squared distance of their rows (N, …)."""
    return float(np.square(coarse - exact).sum() / len(exact))


def seen(splat: Gaussians, values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Values (N, …) scaled so that the squares of their errors count by what each Gaussian covers of a picture."""
    weights = np.sqrt(footprint(splat).astype(np.float64))
    return np.asarray(values * weights.reshape(-1, *[1] * (values.ndim - 1)))


def _positions(splat: Gaussians, tolerance: float) -> tuple[Gaussians, Images]:
    codes, low, high = quantise_positions(splat, tolerance)
    images = [lay_out((codes & 255).astype(np.uint8)), lay_out((codes >> 8).astype(np.uint8))]
    return replace(splat, means=dequantise_means(codes, low, high)), images


def _relative_positions(splat: Gaussians) -> NDArray[np.float64]:
    """Positions in each Gaussian's leeway."""
    return np.asarray(splat.means / leeway(splat)[:, None])


def _rotations(splat: Gaussians, tolerance: float) -> tuple[Gaussians, Images]:
    codes = quantise_rotations(splat, tolerance)
    return replace(splat, quats=dequantise_quats(codes)), [lay_out(codes)]


def _rotation_parts(splat: Gaussians) -> NDArray[np.float64]:
    """Quaternions times the length that they turn, in each Gaussian's leeway."""
    deviations = np.exp(splat.scales.astype(np.float64))
    length = deviations.max(axis=1) - deviations.min(axis=1)
    return np.asarray(splat.quats * (length / leeway(splat))[:, None])


def _scales(splat: Gaussians, size: float) -> tuple[Gaussians, Images]:
    codebook = weighted_codebook(splat.scales, int(size), footprint(splat))
    codes = nearest_codes(splat.scales, codebook)
    return replace(splat, scales=codebook[codes]), [lay_out(codes)]


def _colours(splat: Gaussians, size: float) -> tuple[Gaussians, Images]:
    codebook = weighted_codebook(splat.sh0, int(size), footprint(splat))
    codes = nearest_codes(splat.sh0, codebook)
    return replace(splat, sh0=codebook[codes]), [lay_out(codes)]


def _opacities(splat: Gaussians, step: float) -> tuple[Gaussians, Images]:
    codes = quantise_opacities(splat.opacities, int(step))
    return replace(splat, opacities=dequantise_opacities(codes)), [lay_out(np.repeat(codes[:, None], 3, axis=1))]


ATTRIBUTES = (
    Attribute(
        "position_tolerance",
        ladder=(0, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8),
        probe=0.3,
        coarsen=_positions,
        domain=_relative_positions,
    ),
    Attribute(
        "rotation_tolerance",
        ladder=(0, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64),
        probe=16,
        coarsen=_rotations,
        domain=_rotation_parts,
    ),
    Attribute(
        "scale_codes",
        ladder=(256, 192, 128, 96, 64, 48, 32, 24),
        probe=64,
        coarsen=_scales,
        domain=lambda splat: seen(splat, splat.scales),
    ),
    Attribute(
        "colour_codes",
        ladder=(256, 192, 128, 96, 64, 48, 32, 24),
        probe=64,
        coarsen=_colours,
        domain=lambda splat: seen(splat, splat.sh0),
    ),
    Attribute(
        "opacity_step",
        ladder=(1, 2, 3, 4, 6, 8, 12, 16),
        probe=6,
        coarsen=_opacities,
        domain=lambda splat: opacity_of(splat.opacities),
    ),
)
