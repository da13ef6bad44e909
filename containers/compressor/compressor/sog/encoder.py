"""Gaussians to a SOG file's integers: the only place where something is lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from compressor.sog.axes import canonical_axes
from compressor.sog.codebook import fit_codebook, nearest_codes
from compressor.sog.codes import PALETTE_COEFFICIENTS, Codes, Float32, Palette, Steps, UInt8
from compressor.sog.curve import hilbert_order
from compressor.sog.means import quantise_means
from compressor.sog.palette import build_palette, sort_by_curve
from compressor.sog.quats import quantise_quats
from splat.gaussians import Gaussians


def arrange(gaussians: Gaussians) -> Gaussians:
    """Equal Gaussians in the order and with the axes in which they compress best; changes no picture of them."""
    ordered = gaussians.select(hilbert_order(gaussians.means))
    quats, scales = canonical_axes(ordered.quats, ordered.scales)
    return replace(ordered, quats=quats, scales=scales)


def quantise(arranged: Gaussians, steps: Steps, palette: Palette | None) -> Codes:
    """The SOG content of arranged Gaussians, as coarse as `steps` says, with the palette of `quantise_harmonics`."""
    means, mins, maxs = quantise_means(arranged.means, arranged.scales, steps.position_tolerance)
    scale_codebook = fit_codebook(arranged.scales, steps.scale_codes)
    colour_codebook = fit_codebook(arranged.sh0, steps.colour_codes)
    colours = np.empty((len(arranged), 4), dtype=np.uint8)
    colours[:, :3] = nearest_codes(arranged.sh0, colour_codebook)
    colours[:, 3] = quantise_opacities(arranged.opacities, steps.opacity_step)
    return Codes(
        mins=mins,
        maxs=maxs,
        means=means,
        quats=quantise_quats(arranged.quats, steps.quaternion_step),
        scales=nearest_codes(arranged.scales, scale_codebook),
        scale_codebook=scale_codebook,
        colours=colours,
        colour_codebook=colour_codebook,
        palette=palette,
    )


def opacity_of(logits: Float32) -> NDArray[np.float64]:
    """Opacities 0..1 (N,) of their logits."""
    return np.asarray(0.5 + 0.5 * np.tanh(logits.astype(np.float64) / 2))


def quantise_opacities(logits: Float32, step: int) -> UInt8:
    """Opacities of 255 (N,) in multiples of `step`, never 0: that would make a Gaussian vanish."""
    codes: UInt8 = np.clip(np.rint(255 * opacity_of(logits) / step) * step, 1, 255).astype(np.uint8)
    return codes


def footprint(gaussians: Gaussians) -> Float32:
    """How much of a picture a Gaussian covers (N,), relative to the median: opacity times its two largest deviations.

    The square root serves as its weight, so that a few huge Gaussians do not own the palette.
    """
    deviations = np.sort(gaussians.scales.astype(np.float64), axis=1)
    area = opacity_of(gaussians.opacities) * np.exp(deviations[:, 1] + deviations[:, 2])
    return np.sqrt(np.clip(area / max(float(np.median(area)), 1e-30), 0.02, 50.0)).astype(np.float32)


def quantise_harmonics(arranged: Gaussians, size: int) -> Palette | None:
    """A palette of up to `size` vectors; None where there are no higher coefficients or all are zero."""
    count, coefficients, _ = arranged.shN.shape
    if not arranged.shN.any():
        return None
    weights = footprint(arranged)
    vectors, labels = build_palette(arranged.shN.reshape(count, -1), weights, size)
    vectors, labels = sort_by_curve(vectors, labels)
    padded = np.zeros((len(vectors), PALETTE_COEFFICIENTS, 3), dtype=np.float32)
    padded[:, :coefficients] = vectors.reshape(len(vectors), coefficients, 3)
    users = np.bincount(labels, weights, minlength=len(vectors)).astype(np.float32)
    codebook = fit_codebook(
        vectors,
        256,
        weights=np.repeat(users[:, None], vectors.shape[1], axis=1),
        zero=coefficients < PALETTE_COEFFICIENTS,
    )
    return Palette(labels=labels.astype(np.uint16), codes=nearest_codes(padded, codebook), codebook=codebook)
