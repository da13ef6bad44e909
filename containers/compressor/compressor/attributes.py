"""The attributes of a splat one by one: how coarse each may become, what that costs and what it saves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compressor.sog.codebook import fit_codebook, nearest_codes
from compressor.sog.codes import UInt8
from compressor.sog.decoder import dequantise_opacities
from compressor.sog.encoder import footprint, opacity_of, quantise_opacities
from compressor.sog.images import lay_out
from compressor.sog.means import dequantise_means, quantise_means
from compressor.sog.quats import dequantise_quats, quantise_quats
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
        """Mean squared change in the attribute's own numbers."""
        return weighted_error(exact, self.domain(exact), self.domain(coarse))


def weighted_error(splat: Gaussians, exact: NDArray[np.floating[Any]], coarse: NDArray[np.floating[Any]]) -> float:
    """Mean squared change of numbers (N, …), weighted by what each Gaussian of `splat` covers of a picture."""
    change = np.square(coarse - exact).reshape(len(splat), -1).sum(axis=1)
    return float(np.average(change, weights=footprint(splat)))


def _positions(splat: Gaussians, tolerance: float) -> tuple[Gaussians, Images]:
    codes, low, high = quantise_means(splat.means, splat.scales, tolerance)
    images = [lay_out((codes & 255).astype(np.uint8)), lay_out((codes >> 8).astype(np.uint8))]
    return replace(splat, means=dequantise_means(codes, low, high)), images


def _relative_positions(splat: Gaussians) -> NDArray[np.float64]:
    """Positions in each Gaussian's middle standard deviation."""
    deviation = np.exp(np.median(splat.scales, axis=1, keepdims=True).astype(np.float64))
    return np.asarray(splat.means / np.maximum(deviation, 1e-12))


def _rotations(splat: Gaussians, step: float) -> tuple[Gaussians, Images]:
    codes = quantise_quats(splat.quats, int(step))
    return replace(splat, quats=dequantise_quats(codes)), [lay_out(codes)]


def _scales(splat: Gaussians, size: float) -> tuple[Gaussians, Images]:
    codebook = fit_codebook(splat.scales, int(size))
    codes = nearest_codes(splat.scales, codebook)
    return replace(splat, scales=codebook[codes]), [lay_out(codes)]


def _colours(splat: Gaussians, size: float) -> tuple[Gaussians, Images]:
    codebook = fit_codebook(splat.sh0, int(size))
    codes = nearest_codes(splat.sh0, codebook)
    return replace(splat, sh0=codebook[codes]), [lay_out(codes)]


def _opacities(splat: Gaussians, step: float) -> tuple[Gaussians, Images]:
    codes = quantise_opacities(splat.opacities, int(step))
    return replace(splat, opacities=dequantise_opacities(codes)), [lay_out(np.repeat(codes[:, None], 3, axis=1))]


ATTRIBUTES = (
    Attribute("position_tolerance", (0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2), 0.3, _positions, _relative_positions),
    Attribute("quaternion_step", (1, 2, 3, 4, 6, 8, 12), 4, _rotations, lambda splat: splat.quats),
    Attribute("scale_codes", (256, 192, 128, 96, 64, 48, 32, 24), 64, _scales, lambda splat: splat.scales),
    Attribute("colour_codes", (256, 192, 128, 96, 64, 48, 32), 64, _colours, lambda splat: splat.sh0),
    Attribute("opacity_step", (1, 2, 3, 4, 6, 8, 12, 16), 6, _opacities, lambda splat: opacity_of(splat.opacities)),
)
