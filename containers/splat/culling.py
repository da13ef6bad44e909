"""Find the Gaussians that a picture can show: bounding spheres against the frustum, before any costly arithmetic.

A photo of a long flight sees a twentieth of the Gaussians. The others are excluded by their centres and largest
deviations alone, so that the cost of a training step depends on what its picture shows.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange
from numpy.typing import NDArray

from splat.gaussians import Float32, Float64
from splat.kernels import kernel, parallel_kernel
from splat.projection import ALPHA_THRESHOLD, BLUR, CLAMP, CX, CY, FX, FY, NEAR, TRANSLATION

Bool = NDArray[np.bool_]

REACH = math.sqrt(-2 * math.log(ALPHA_THRESHOLD))  # radius of an opaque Gaussian, in deviations
_BLUR = math.sqrt(BLUR)
_MARGIN = 1.01  # factor on the deviation that covers the error of the exponential below
_BLOCK = 4096  # Gaussians per task


def frustum(view: Float64, width: int, height: int) -> Float64:
    """(6,): limits of a `packed` camera for a Gaussian of deviation σ at x, y, z in the camera's frame.

    The Gaussian can touch the picture only if z is not below NEAR and, for each axis and its three limits a, b and c,
    -(a·σ + b·z) < f·x < a·σ + c·z. This bounds the projection with its clamped Jacobian, not the true outline.
    """
    limits = []
    for focal, centre, size in ((view[FX], view[CX], width), (view[FY], view[CY], height)):
        low, high = -centre / focal, (size - centre) / focal
        slope = max(abs(low), abs(high)) + CLAMP * size / focal
        blur = REACH * _BLUR
        limits += [_MARGIN * REACH * focal * math.hypot(1, slope), centre + blur, size - centre + blur]
    return np.array(limits, np.float64)


def in_view(means: Float32, scales: Float32, view: Float64, width: int, height: int) -> NDArray[np.int64]:
    """Ascending indices of the Gaussians that `project` may find visible; means and scales as in `Gaussians`."""
    inside = np.empty(means.shape[0], np.bool_)
    _in_view(means, scales, view, frustum(view, width, height), inside)
    return np.flatnonzero(inside)


@parallel_kernel
def _in_view(means: Float32, scales: Float32, view: Float64, limits: Float64, inside: Bool) -> None:
    count = means.shape[0]
    for block in prange((count + _BLOCK - 1) // _BLOCK):
        start, end = block * _BLOCK, min(count, (block + 1) * _BLOCK)
        _in_view_block(means[start:end].ravel(), scales[start:end].ravel(), view, limits, inside[start:end])


@kernel
def _in_view_block(means: Float32, scales: Float32, view: Float64, limits: Float64, inside: Bool) -> None:
    """`_in_view` for one block, its coordinates flattened; unsigned indices let the compiler vectorise the loop."""
    r0, r1, r2, r3, r4, r5, r6, r7, r8 = view[0], view[1], view[2], view[3], view[4], view[5], view[6], view[7], view[8]
    t0, t1, t2 = view[TRANSLATION], view[TRANSLATION + 1], view[TRANSLATION + 2]
    fx, fy = view[FX], view[FY]
    ax, bx, cx, ay, by, cy = limits[0], limits[1], limits[2], limits[3], limits[4], limits[5]
    for i in range(np.uint64(inside.shape[0])):
        j = np.uint64(3) * i
        a, b, c = means[j], means[j + np.uint64(1)], means[j + np.uint64(2)]
        x = fx * (r0 * a + r1 * b + r2 * c + t0)
        y = fy * (r3 * a + r4 * b + r5 * c + t1)
        z = r6 * a + r7 * b + r8 * c + t2
        # e^s as (Taylor polynomial of degree 5 at s/32)³²: within 1 % from -20 to 8, without a call in the loop
        s = max(scales[j], max(scales[j + np.uint64(1)], scales[j + np.uint64(2)]))
        e = max(np.float64(s), -20.0) * 0.03125
        e = ((((e / 120 + 1 / 24) * e + 1 / 6) * e + 0.5) * e + 1) * e + 1
        e *= e
        e *= e
        e *= e
        e *= e
        e *= e
        across = (x > -(ax * e + bx * z)) & (x < ax * e + cx * z)
        down = (y > -(ay * e + by * z)) & (y < ay * e + cy * z)
        inside[i] = (z >= NEAR) & ((s > 8) | (across & down))
