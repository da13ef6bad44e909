"""Assign arrays of points to the blocks of a large flight: which box holds a point, and each block's share of it.

Shares fall off across a band at each seam, because a hard cut through Gaussians is visible: on 120 photos it cost
1.6 dB within a metre of the seam, of which the band won back 1.1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contract.blocks import BlockPlan, Box

Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]


def along_axes(plan: BlockPlan, positions: Float64) -> Float64:
    """Positions (N, 3) of the scene in the plan's axes: two on the ground, then height."""
    return np.asarray(positions @ np.array(plan.axes).T)


def in_box(box: Box, places: Float64, margin: float = 0.0) -> Bool:
    """(N,) which places (N, 2 or 3), along the plan's axes, lie in a box or within `margin` of it along each axis."""
    held = np.ones(len(places), np.bool_)
    for axis, value, inward in box.sides():
        held &= places[:, axis] >= value - margin if inward > 0 else places[:, axis] < value + margin
    return held


def in_hull(plan: BlockPlan, places: Float64, margin: float = 0.0) -> Bool:
    """(N,) which places (N, 3), along the plan's axes, lie in the hull or within `margin` of it along each axis."""
    low, high = np.array(plan.hull.low) - margin, np.array(plan.hull.high) + margin
    return np.asarray(((places >= low) & (places < high)).all(axis=1))


def hull_share(plan: BlockPlan, places: Float64) -> Float64:
    """(N,) the blocks' common share of what is at places (N, 3): 1 within the hull, 0 beyond it, a ramp across its
    faces. The rest comes from the coarse model.
    """
    low, high = np.array(plan.hull.low), np.array(plan.hull.high)
    inward = np.minimum(places - low, high - places)
    return np.asarray(_ramp(inward, plan.fade).prod(axis=1))


def box_shares(plan: BlockPlan, places: Float64) -> Float64:
    """(B, N) each block's share of what is at places (N, 2 or 3), by the two axes on the ground alone. The shares add
    up to 1 everywhere, also at corners and where one seam ends at another.
    """
    ramps = np.ones((len(plan.blocks), len(places)))
    for row, block in zip(ramps, plan.blocks, strict=True):
        for axis, value, inward in block.box.sides():
            row *= _ramp((places[:, axis] - value) * inward, plan.fade)
    return np.asarray(ramps / ramps.sum(axis=0))


def _ramp(inward: Float64, fade: float) -> Float64:
    """0 to 1 from `fade` outside a side to `fade` inside."""
    return np.asarray(np.clip(0.5 + 0.5 * inward / fade, 0.0, 1.0))
