"""Quantise Gaussians to a SOG file's integers, the only lossy step."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from compressor.encode.arranged import Sensitivity
from compressor.encode.axes import canonical_axes
from compressor.encode.codebook import fit_codebook
from compressor.encode.curve import hilbert_order
from compressor.encode.harmonics import absorb
from compressor.encode.rounding import round_numbers, round_shapes
from compressor.sog.codes import CODEBOOK_SIZE, MAX_PALETTE, Codes, Float32, Palette, UInt8
from compressor.sog.decoder import dequantise_opacities
from compressor.sog.quats import tagged
from splat.gaussians import Gaussians

# an opacity of 0 would make a Gaussian vanish
_OPACITIES = np.arange(1, 256, dtype=np.uint8)


@dataclass(frozen=True)
class Coarseness:
    """How much error to trade for bytes; the defaults are the finest the format holds.

    Each λ is the extra squared picture error (colours 0..1, mean over pixels and channels) accepted per bit saved.
    Rounding uses the format's full precision: it makes the bytes of the images repeat.
    """

    lambda_: float = 0.0
    label_lambda: float = 0.0  # λ of the palette's labels, whose errors are measured differently
    palette_size: int = MAX_PALETTE  # vectors of higher colour coefficients


def arrange(gaussians: Gaussians) -> Gaussians:
    """The same Gaussians in the order and with the axes in which they compress best; their pictures do not change."""
    ordered = gaussians.select(hilbert_order(gaussians.means))
    quats, scales = canonical_axes(ordered.quats, ordered.scales)
    return replace(ordered, quats=quats, scales=scales)


def quantise(arranged: Gaussians, sensitivity: Sensitivity, coarseness: Coarseness, palette: Palette | None) -> Codes:
    """The SOG content of arranged Gaussians, with the palette of `quantise_harmonics`."""
    book = fit_codebook(arranged.scales, CODEBOOK_SIZE, weights=sensitivity.outlines[:, 6:9])
    shapes = round_shapes(arranged, sensitivity, book, coarseness.lambda_)
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
    colours = round_numbers(gaussians.sh0, weights, book, coarseness.lambda_)
    logits = gaussians.opacities[:, None]
    opacities = round_numbers(
        logits, sensitivity.opacities[:, None], dequantise_opacities(_OPACITIES), coarseness.lambda_
    )
    return np.concatenate([colours, _OPACITIES[opacities]], axis=1), book
