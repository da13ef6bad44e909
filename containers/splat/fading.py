"""Shares of Gaussians: where blocks of a large flight meet, each gives a part of the cover (geo.boxes)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from splat.gaussians import Float64, Gaussians, logit_of, opacity_of

MIN_SHARE = 0.004  # of a Gaussian, below which it is no more drawn
_MAX_OPACITY = 0.9999  # of what is faded


def faded(opacities: Float64, shares: Float64) -> Float64:
    """Opacities 0..1 (N,) of which `shares` (N,) remain: two layers with shares that add up to 1 cover as the one did
    before.
    """
    return np.asarray(1 - (1 - opacities) ** shares)


def with_shares(gaussians: Gaussians, shares: Float64) -> Gaussians:
    """Gaussians of whose cover a share (N,) remains, without those of which next to nothing does."""
    kept = shares > MIN_SHARE
    gaussians, shares = gaussians.select(kept), shares[kept]
    part = shares < 1
    opacities = gaussians.opacities.astype(np.float64)
    left = faded(opacity_of(gaussians.opacities[part]).clip(0, _MAX_OPACITY), shares[part])
    opacities[part] = logit_of(left)
    return replace(gaussians, opacities=opacities.astype(np.float32))
