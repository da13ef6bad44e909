"""Gaussians to a SOG file's integers: the only place where something is lost.

Each number is rounded as coarsely as its own sensitivity allows: at high rates a file is smallest for its error where
all numbers add the same squared error to the pictures (Shoham and Gersho, Efficient bit allocation for an arbitrary
set of quantizers, 1988). Steps are powers of two of the finest, so that a number rounded coarsely falls on values that
finely rounded ones use too, and the images' bytes repeat.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from compressor.sog.axes import canonical_axes
from compressor.sog.codebook import fit_codebook, nearest_codes
from compressor.sog.codes import CODEBOOK_SIZE, Codes, Float32, Float64, Palette, Sensitivity, Steps, UInt8, UInt16
from compressor.sog.curve import hilbert_order
from compressor.sog.harmonics import absorb
from compressor.sog.means import power_of_two, quantise_means
from compressor.sog.quats import quantise_quats
from splat.gaussians import Gaussians

# codebook indices are dropped in steps of at most 2 to this
_MOST_BITS_DROPPED = 5
# a scale's logarithm, beyond which the picture is no longer linear in it
_MOST_SCALE_STEP = 1.0
# below this slope of the sigmoid an opacity is as good as 0 or 1
_LEAST_SLOPE = 1e-4


def arrange(gaussians: Gaussians) -> Gaussians:
    """Equal Gaussians in the order and with the axes in which they compress best; changes no picture of them."""
    ordered = gaussians.select(hilbert_order(gaussians.means))
    quats, scales = canonical_axes(ordered.quats, ordered.scales)
    return replace(ordered, quats=quats, scales=scales)


def quantise(arranged: Gaussians, sensitivity: Sensitivity, steps: Steps, palette: Palette | None) -> Codes:
    """The SOG content of arranged Gaussians, as coarse as `steps` says, with the palette of `quantise_harmonics`."""
    means, mins, maxs = quantise_positions(arranged, sensitivity, share_of(steps.positions, arranged))
    scales, scale_codebook = quantise_scales(arranged, sensitivity, share_of(steps.scales, arranged))
    absorbed = replace(arranged, sh0=absorb(arranged, sensitivity, palette))
    colours, colour_codebook = _quantise_shades(absorbed, sensitivity, steps)
    return Codes(
        mins=mins,
        maxs=maxs,
        means=means,
        quats=quantise_rotations(arranged, sensitivity, share_of(steps.rotations, arranged)),
        scales=scales,
        scale_codebook=scale_codebook,
        colours=colours,
        colour_codebook=colour_codebook,
        palette=palette,
    )


def recoloured(codes: Codes, gaussians: Gaussians, sensitivity: Sensitivity, steps: Steps) -> Codes:
    """`codes` with the opacities and constant colours of `gaussians`."""
    colours, codebook = _quantise_shades(gaussians, sensitivity, steps)
    return replace(codes, colours=colours, colour_codebook=codebook)


def _quantise_shades(gaussians: Gaussians, sensitivity: Sensitivity, steps: Steps) -> tuple[UInt8, Float32]:
    """Codes (N, 4) of constant colours and opacities, and the codebook (256,) of the colours."""
    colours, codebook = quantise_colours(gaussians, sensitivity, share_of(steps.colours, gaussians))
    opacities = quantise_opacities(gaussians, sensitivity, share_of(steps.opacities, gaussians))
    return np.concatenate([colours, opacities[:, None]], axis=1), codebook


def share_of(error: float, gaussians: Gaussians) -> float:
    """Each Gaussian's share of an error that all of them may cause together."""
    return error / len(gaussians)


def quantise_positions(gaussians: Gaussians, sensitivity: Sensitivity, share: float) -> tuple[UInt16, Float64, Float64]:
    """Codes (N, 3) and their bounds; each Gaussian may cause an error of `share`."""
    return quantise_means(gaussians.means, _steps(sensitivity.means, share))


def quantise_rotations(gaussians: Gaussians, sensitivity: Sensitivity, share: float) -> UInt8:
    """Codes (N, 4); each Gaussian may cause an error of `share`."""
    return quantise_quats(gaussians.quats, _steps(sensitivity.quats, share))


def quantise_scales(gaussians: Gaussians, sensitivity: Sensitivity, share: float) -> tuple[UInt8, Float32]:
    """Codes (N, 3) and codebook (256,); each Gaussian may cause an error of `share`."""
    return _quantise_by_book(gaussians.scales, sensitivity.scales, share, _MOST_SCALE_STEP)


def quantise_colours(gaussians: Gaussians, sensitivity: Sensitivity, share: float) -> tuple[UInt8, Float32]:
    """Codes (N, 3) of the constant coefficient and codebook (256,); each Gaussian may cause an error of `share`."""
    return _quantise_by_book(gaussians.sh0, np.repeat(sensitivity.colours[:, None], 3, axis=1), share)


def quantise_opacities(gaussians: Gaussians, sensitivity: Sensitivity, share: float) -> UInt8:
    """Opacities of 255 (N,), never 0: that would make a Gaussian vanish. Each may cause an error of `share`."""
    opacity = opacity_of(gaussians.opacities)
    slope = 255 * np.maximum(opacity * (1 - opacity), _LEAST_SLOPE)  # codes a logit
    step = power_of_two(_steps(sensitivity.opacities, share) * slope, _MOST_BITS_DROPPED)
    codes: UInt8 = np.clip(np.rint(255 * opacity / step) * step, 1, 255).astype(np.uint8)
    return codes


def opacity_of(logits: Float32) -> NDArray[np.float64]:
    """Opacities 0..1 (N,) of their logits."""
    return np.asarray(0.5 + 0.5 * np.tanh(logits.astype(np.float64) / 2))


def _steps(sensitivity: Float32, share: float) -> Float64:
    """The step of each number whose rounding causes its part of `share`: uniform errors have a variance of step²/12."""
    numbers = 1 if sensitivity.ndim == 1 else sensitivity.shape[1]
    return np.asarray(np.sqrt(12 * share / numbers / sensitivity.astype(np.float64)))


def _quantise_by_book(
    values: Float32, sensitivity: Float32, share: float, most: float = np.inf
) -> tuple[UInt8, Float32]:
    """The finest codebook for `values` (N, 3), and codes that skip its entries where the error allows, up to `most`."""
    book = fit_codebook(values, CODEBOOK_SIZE, weights=sensitivity)
    codes = nearest_codes(values, book)
    if share <= 0:
        return codes, book
    distinct = np.unique(book)
    if len(distinct) < 2:
        return codes, book
    gap = np.gradient(distinct.astype(np.float64))[codes]
    step = power_of_two(np.minimum(_steps(sensitivity, share), most) / gap, _MOST_BITS_DROPPED)
    coarse: UInt8 = np.clip(np.rint(codes / step) * step, 0, len(distinct) - 1).astype(np.uint8)
    return coarse, book
