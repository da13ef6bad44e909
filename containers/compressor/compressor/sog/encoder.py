"""Gaussians to a SOG file's integers: the only place where something is lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from compressor.sog.axes import canonical_axes
from compressor.sog.codebook import fit_codebook
from compressor.sog.codes import CODEBOOK_SIZE, Coarseness, Codes, Float32, Palette, Sensitivity, UInt8
from compressor.sog.curve import hilbert_order
from compressor.sog.decoder import dequantise_opacities
from compressor.sog.harmonics import absorb
from compressor.sog.quats import tagged
from compressor.sog.rounding import round_numbers, round_shapes
from splat.gaussians import Gaussians

# an opacity of 0 would make a Gaussian vanish
_OPACITIES = np.arange(1, 256, dtype=np.uint8)


def arrange(gaussians: Gaussians) -> Gaussians:
    """Equal Gaussians in the order and with the axes in which they compress best; changes no picture of them."""
    ordered = gaussians.select(hilbert_order(gaussians.means))
    quats, scales = canonical_axes(ordered.quats, ordered.scales)
    return replace(ordered, quats=quats, scales=scales)


def quantise(arranged: Gaussians, sensitivity: Sensitivity, coarseness: Coarseness, palette: Palette | None) -> Codes:
    """The SOG content of arranged Gaussians, with the palette of `quantise_harmonics`."""
    book = fit_codebook(arranged.scales, CODEBOOK_SIZE, weights=sensitivity.outlines[:, 6:9])
    shapes = round_shapes(arranged, sensitivity, book, coarseness.bit_price)
    adapted = replace(arranged, sh0=absorb(arranged, sensitivity, palette), opacities=shapes.opacities)
    colours, colour_codebook = _quantise_shades(adapted, sensitivity, coarseness)
    return Codes(
        mins=shapes.mins,
        maxs=shapes.maxs,
        means=shapes.means,
        quats=tagged(shapes.rotations, arranged.quats),
        scales=shapes.scales,
        scale_codebook=book,
        colours=colours,
        colour_codebook=colour_codebook,
        palette=palette,
    )


def recoloured(codes: Codes, gaussians: Gaussians, sensitivity: Sensitivity, coarseness: Coarseness) -> Codes:
    """`codes` with the opacities and constant colours of `gaussians`."""
    colours, codebook = _quantise_shades(gaussians, sensitivity, coarseness)
    return replace(codes, colours=colours, colour_codebook=codebook)


def _quantise_shades(
    gaussians: Gaussians, sensitivity: Sensitivity, coarseness: Coarseness
) -> tuple[UInt8, Float32]:  # fmt: skip
    """Codes (N, 4) of constant colours and opacities, and the codebook (256,) of the colours."""
    weights = np.repeat(sensitivity.colours[:, None], 3, axis=1)
    book = fit_codebook(gaussians.sh0, CODEBOOK_SIZE, weights=weights)
    colours = round_numbers(gaussians.sh0, weights, book, coarseness.bit_price)
    logits = gaussians.opacities[:, None]
    opacities = round_numbers(
        logits, sensitivity.opacities[:, None], dequantise_opacities(_OPACITIES), coarseness.bit_price
    )
    return np.concatenate([colours, _OPACITIES[opacities]], axis=1), book


def opacity_of(logits: Float32) -> NDArray[np.float64]:
    """Opacities 0..1 (N,) of their logits."""
    return np.asarray(0.5 + 0.5 * np.tanh(logits.astype(np.float64) / 2))
