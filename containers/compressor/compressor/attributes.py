"""The attributes of a splat one by one: how coarse each may become, what that costs and what it saves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compressor.sog.codes import Sensitivity, UInt8
from compressor.sog.decoder import dequantise_opacities
from compressor.sog.encoder import (
    quantise_colours,
    quantise_opacities,
    quantise_positions,
    quantise_rotations,
    quantise_scales,
)
from compressor.sog.images import lay_out
from compressor.sog.means import dequantise_means
from compressor.sog.quats import dequantise_quats
from splat.gaussians import Gaussians

Images = list[UInt8]
Coarsen = Callable[[Gaussians, Sensitivity, float], tuple[Gaussians, Images]]

LADDER = (0.0, *(2.0**exponent for exponent in range(-25, -8, 2)))
"""Errors that a whole splat's attribute may cause in its pictures, from fine to coarse (Steps): those measured."""
FINE_LADDER = (0.0, *(2.0 ** (quarters / 4) for quarters in range(-100, -35)))
"""Those to choose from: what lies between measured ones is interpolated."""
PROBES = (2.0**-21, 2.0**-17)
"""The steps at which the expected error is compared with that of real pictures."""


@dataclass(frozen=True)
class Attribute:
    """One field of `Steps`, and how to try it alone.

    `coarsen` gives the splat with only this attribute quantised, each Gaussian by its share of an error, and the images
    that hold it.
    """

    name: str
    coarsen: Coarsen
    expected: Callable[[Gaussians, Gaussians, Sensitivity], float]


def weighted_error(exact: NDArray[np.floating[Any]], coarse: NDArray[np.floating[Any]], weights: Any) -> float:
    """The expected squared error in a picture: Σ sensitivity · change²."""
    return float((weights * np.square(coarse.astype(np.float64) - exact)).sum())


def _positions(splat: Gaussians, sensitivity: Sensitivity, share: float) -> tuple[Gaussians, Images]:
    codes, low, high = quantise_positions(splat, sensitivity, share)
    images = [lay_out((codes & 255).astype(np.uint8)), lay_out((codes >> 8).astype(np.uint8))]
    return replace(splat, means=dequantise_means(codes, low, high)), images


def _rotations(splat: Gaussians, sensitivity: Sensitivity, share: float) -> tuple[Gaussians, Images]:
    codes = quantise_rotations(splat, sensitivity, share)
    return replace(splat, quats=dequantise_quats(codes)), [lay_out(codes)]


def _scales(splat: Gaussians, sensitivity: Sensitivity, share: float) -> tuple[Gaussians, Images]:
    codes, codebook = quantise_scales(splat, sensitivity, share)
    return replace(splat, scales=codebook[codes]), [lay_out(codes)]


def _colours(splat: Gaussians, sensitivity: Sensitivity, share: float) -> tuple[Gaussians, Images]:
    codes, codebook = quantise_colours(splat, sensitivity, share)
    return replace(splat, sh0=codebook[codes]), [lay_out(codes)]


def _opacities(splat: Gaussians, sensitivity: Sensitivity, share: float) -> tuple[Gaussians, Images]:
    codes = quantise_opacities(splat, sensitivity, share)
    return replace(splat, opacities=dequantise_opacities(codes)), [lay_out(np.repeat(codes[:, None], 3, axis=1))]


ATTRIBUTES = (
    Attribute("positions", _positions, lambda a, b, s: weighted_error(a.means, b.means, s.means)),
    Attribute("rotations", _rotations, lambda a, b, s: weighted_error(a.quats, b.quats, s.quats)),
    Attribute("scales", _scales, lambda a, b, s: weighted_error(a.scales, b.scales, s.scales)),
    Attribute("colours", _colours, lambda a, b, s: weighted_error(a.sh0, b.sh0, s.colours[:, None])),
    Attribute("opacities", _opacities, lambda a, b, s: weighted_error(a.opacities, b.opacities, s.opacities)),
)
