"""Gaussians to a SOG file's integers: the only place where something is lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from compressor.sog.axes import canonical_axes
from compressor.sog.codebook import fit_codebook, nearest_codes
from compressor.sog.codes import (
    CODEBOOK_SIZE,
    PALETTE_COEFFICIENTS,
    Codes,
    Float32,
    Float64,
    Palette,
    Steps,
    UInt8,
    UInt16,
)
from compressor.sog.curve import hilbert_order
from compressor.sog.means import quantise_means
from compressor.sog.palette import build_palette, sort_by_curve
from compressor.sog.quats import quantise_quats
from splat.gaussians import Gaussians

# weights are kept within these, or a few huge Gaussians would own every codebook
_FOOTPRINTS = (1e-3, 1e3)


def arrange(gaussians: Gaussians) -> Gaussians:
    """Equal Gaussians in the order and with the axes in which they compress best; changes no picture of them."""
    ordered = gaussians.select(hilbert_order(gaussians.means))
    quats, scales = canonical_axes(ordered.quats, ordered.scales)
    return replace(ordered, quats=quats, scales=scales)


def quantise(arranged: Gaussians, steps: Steps, palette: Palette | None) -> Codes:
    """The SOG content of arranged Gaussians, as coarse as `steps` says, with the palette of `quantise_harmonics`."""
    weights = footprint(arranged)
    means, mins, maxs = quantise_positions(arranged, steps.position_tolerance)
    scale_codebook = weighted_codebook(arranged.scales, steps.scale_codes, weights)
    colour_codebook = weighted_codebook(arranged.sh0, steps.colour_codes, weights)
    colours = np.empty((len(arranged), 4), dtype=np.uint8)
    colours[:, :3] = nearest_codes(arranged.sh0, colour_codebook)
    colours[:, 3] = quantise_opacities(arranged.opacities, steps.opacity_step)
    return Codes(
        mins=mins,
        maxs=maxs,
        means=means,
        quats=quantise_rotations(arranged, steps.rotation_tolerance),
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


def leeway(gaussians: Gaussians) -> NDArray[np.float64]:
    """How far, in the scene's units, an outline may be off for equal errors in a picture (N,); of arbitrary scale.

    An error d in a Gaussian of deviation s and opacity a changes about s² pixels by a · d / s each: the squares sum to
    (a · d)², whatever the size. So large Gaussians need positions as exact as small ones, faint ones do not.
    """
    opacity = opacity_of(gaussians.opacities)
    deviation = np.exp(np.median(gaussians.scales, axis=1).astype(np.float64))
    return np.asarray(np.median(deviation) * np.median(opacity) / opacity)


def footprint(gaussians: Gaussians) -> Float32:
    """How much of a picture a Gaussian covers (N,), relative to the median: opacity times its two largest axes."""
    deviations = np.sort(gaussians.scales.astype(np.float64), axis=1)
    area = opacity_of(gaussians.opacities) * np.exp(deviations[:, 1] + deviations[:, 2])
    return np.clip(area / max(float(np.median(area)), 1e-30), *_FOOTPRINTS).astype(np.float32)


def quantise_positions(gaussians: Gaussians, tolerance: float) -> tuple[UInt16, Float64, Float64]:
    """As `quantise_means`, with the leeway's `tolerance`-fold as step."""
    return quantise_means(gaussians.means, tolerance * leeway(gaussians))


def quantise_rotations(gaussians: Gaussians, tolerance: float) -> UInt8:
    """As `quantise_quats`: a turn moves the ends of a long Gaussian far, and does nothing to a ball."""
    deviations = np.exp(gaussians.scales.astype(np.float64))
    length = deviations.max(axis=1) - deviations.min(axis=1)
    return quantise_quats(gaussians.quats, tolerance * leeway(gaussians) / np.maximum(length, 1e-30))


def weighted_codebook(values: Float32, size: int, weights: Float32) -> Float32:
    """A codebook for `values` (N, …) whose errors count by the weight (N,) of their Gaussian."""
    spread = np.broadcast_to(weights.reshape(-1, *[1] * (values.ndim - 1)), values.shape)
    return fit_codebook(values, size, weights=spread)


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
        CODEBOOK_SIZE,
        weights=np.broadcast_to(users[:, None], vectors.shape),
        zero=coefficients < PALETTE_COEFFICIENTS,
    )
    return Palette(labels=labels.astype(np.uint16), codes=nearest_codes(padded, codebook), codebook=codebook)
