"""Reduce Gaussians to a share of their opacity: where blocks of a large flight meet, each covers a part (geo.boxes)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from splat.gaussians import Float64, Gaussians, logit_of, opacity_of

MIN_SHARE = 0.004  # a Gaussian with a smaller share is dropped
_MAX_OPACITY = 0.9999  # clamps the opacities that are faded: no share of 1 is less than 1


def faded(opacities: Float64, shares: Float64) -> Float64:
    """Opacities 0..1 (N,) reduced to `shares` (N,): layers whose shares add up to 1 cover as much as the original."""
    return np.asarray(1 - (1 - opacities) ** shares)


def with_shares(gaussians: Gaussians, shares: Float64) -> Gaussians:
    """Gaussians with their opacities reduced to `shares` (N,), 0..1; those below MIN_SHARE are dropped."""
    kept = shares > MIN_SHARE
    gaussians, shares = gaussians.select(kept), shares[kept]
    part = shares < 1
    opacities = gaussians.opacities.astype(np.float64)
    left = faded(opacity_of(gaussians.opacities[part]).clip(0, _MAX_OPACITY), shares[part])
    opacities[part] = logit_of(left)
    return replace(gaussians, opacities=opacities.astype(np.float32))
