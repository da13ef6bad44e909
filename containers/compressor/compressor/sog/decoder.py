"""Convert a SOG file's integers back to Gaussians, with the same bits as the format's other readers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compressor.sog.codes import Codes, Float32, Palette, UInt8
from compressor.sog.means import dequantise_means
from compressor.sog.quats import dequantise_quats
from splat.gaussians import Gaussians, logit_of

_OPACITY_MARGIN = 1e-6


def dequantise(codes: Codes) -> Gaussians:
    """The Gaussians that a viewer of the file draws."""
    return Gaussians(
        means=dequantise_means(codes.means, codes.mins, codes.maxs),
        quats=dequantise_quats(codes.quats),
        scales=codes.scale_codebook[codes.scales],
        opacities=dequantise_opacities(codes.colours[:, 3]),
        sh0=codes.colour_codebook[codes.colours[:, :3]],
        shN=dequantise_harmonics(codes.palette, len(codes)),
    )


def dequantise_opacities(values: UInt8) -> Float32:
    """Logits (N,) from opacities (N,), 0..255."""
    opacity = np.clip(values / 255.0, _OPACITY_MARGIN, 1 - _OPACITY_MARGIN)
    return logit_of(opacity).astype(np.float32)


def dequantise_harmonics(palette: Palette | None, count: int) -> Float32:
    """Higher coefficients (N, K, 3); K = 0 without a palette."""
    if palette is None:
        return np.zeros((count, 0, 3), dtype=np.float32)
    return palette.codebook[palette.codes][palette.labels]


def with_harmonics(gaussians: Gaussians, palette: Palette) -> Gaussians:
    """`gaussians` with the palette's higher coefficients in place of their own."""
    return replace(gaussians, shN=dequantise_harmonics(palette, len(gaussians)))
