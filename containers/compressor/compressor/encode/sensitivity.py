"""Measure the sensitivity of pictures to the parameters of each Gaussian, alone and together, from renders.

With a picture I(θ) and its Jacobian J, a small change d of θ adds dᵀJᵀJd to the squared error. The block of each
Gaussian is measured exactly (splat/moments.py), from the cameras that trained the splat and from all round it. Errors
are those of `Yardstick`: per covered pixel, the mean over the views.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numba import prange
from numpy.typing import NDArray

from compressor.encode.arranged import KINDS, NUMBERS, Int8, Sensitivity
from compressor.encode.fitting import Sights
from compressor.encode.gradients import render_from
from compressor.encode.quality import covered_pixels
from compressor.encode.viewpoints import MAX_EXPLORED, exploring_cameras
from compressor.framing import Framing
from compressor.sog.codes import Float32, Float64
from splat.camera import Camera, View
from splat.gaussians import HIGHER_COEFFICIENTS, Gaussians
from splat.harmonics import sh_basis
from splat.kernels import kernel, parallel_kernel

# a view costs about 1 µs per Gaussian: this many Gaussian-views are measured, but at least this many views
_WORK, _MIN_VIEWS = 12_000_000, 12
# lower bound of a sensitivity, as a part of the median: future views may show what these views hardly do
_MIN_SHARE = 1 / 8
# correlations are reduced by this part, since future views may not have them
_DAMPING = 0.1
_FULL = HIGHER_COEFFICIENTS[-1] + 1


def measure_sensitivity(
    gaussians: Gaussians, views: Sequence[View], framing: Framing, check_stop: Callable[[], None],
    limit: int = MAX_EXPLORED, *, antialiased: bool = False,
) -> tuple[Sensitivity, Sights]:  # fmt: skip
    """The sensitivity of `gaussians`, seen from training cameras and from all round; held-out cameras are not used.

    `antialiased`: whether the splat has that mark.
    """
    cameras = exploring_cameras(gaussians, views, framing, min(limit, max(_MIN_VIEWS, _WORK // len(gaussians))))
    tally = _Tally(gaussians, antialiased)
    for camera in cameras:
        check_stop()
        tally.add(camera)
    return tally.sensitivity(), Sights(cameras, tally.pictures, antialiased)


class _Tally:
    """Sums over the views."""

    def __init__(self, gaussians: Gaussians, antialiased: bool) -> None:
        count = len(gaussians)
        self._gaussians, self._antialiased = gaussians, antialiased
        self._views = 0
        self.pictures: list[Float32] = []
        self._blocks = np.zeros((count, NUMBERS * (NUMBERS + 1) // 2), np.float32)
        self._directions = np.zeros((count, _FULL), np.float32)
        self._harmonics = np.zeros((_FULL, _FULL))

    def add(self, camera: Camera) -> None:
        g = self._gaussians
        rendering = render_from(g, camera, antialiased=self._antialiased)
        gradients, weights = rendering.curvature()
        weight = np.float32(1 / (3 * covered_pixels(1 - rendering.transmittance)))
        for which, raw in gradients:
            blocks = self._blocks[which]
            _add_products(raw.means, raw.quats, raw.scales, raw.opacities, g.quats[which], weight, blocks)
        position = camera.position.astype(np.float32)
        _add_directions(g.means, position, weight * weights, self._directions, self._harmonics)
        self._views += 1
        self.pictures.append(rendering.picture)

    def sensitivity(self) -> Sensitivity:
        """The result; called once, after the last view."""
        full = self._harmonics / self._views
        constant = max(float(full[0, 0]), 1e-30)
        seen = self._blocks[:, -1] > 0
        outlines = np.empty((len(seen), NUMBERS), np.float32)
        for numbers in KINDS.values():
            outlines[:, numbers] = _bounded(self._blocks[:, [k * (k + 3) // 2 for k in numbers]])
        correlations = np.empty((len(seen), NUMBERS * (NUMBERS - 1) // 2), np.int8)
        _correlations(self._blocks, outlines, correlations)
        del self._blocks  # they are as large as the splat, and their memory may be needed
        outlines /= np.float32(self._views)
        colours = _bounded(self._directions[:, 0]) / np.float32(self._views)
        return Sensitivity(
            outlines=outlines,
            correlations=correlations,
            colours=colours,
            directions=self._blended_directions(full[0] / constant),
            seen=seen,
            harmonics=(full[1:, 1:] - np.outer(full[1:, 0], full[0, 1:]) / constant) / constant,
        )

    def _blended_directions(self, usual: Float64) -> Float32:
        """Each Gaussian's own directions, blended with the usual ones to make up for few views."""
        usual_weight = max(_MIN_SHARE * float(np.median(self._directions[:, 0])), 1e-30)
        blended = self._directions
        blended += (usual_weight * usual).astype(np.float32)
        blended /= np.float32(self._views)
        return blended


def _bounded(sums: Float32) -> Float32:
    seen = sums[sums > 0]
    return np.maximum(sums, np.float32(_MIN_SHARE * float(np.median(seen)) if seen.size else 1.0))


@parallel_kernel
def _add_products(
    means: Float32, quats: Float32, scales: Float32, opacities: Float32, rotations: Float32, weight: np.float32,
    blocks: Float32,
) -> None:  # fmt: skip
    """Add `weight` times the outer product of each Gaussian's gradient with respect to SOG's numbers to its block
    (N, 55).
    """
    for i in prange(means.shape[0]):
        if opacities[i] == 0 and scales[i, 0] == 0 and means[i, 0] == 0:
            continue
        v = np.empty(NUMBERS, np.float32)
        largest = 0
        length = np.float32(0)
        for k in range(4):
            length += rotations[i, k] * rotations[i, k]
            if abs(rotations[i, k]) > abs(rotations[i, largest]):
                largest = k
        # the largest component follows from the others: of a unit quaternion, positive
        scaling = np.sqrt(length) * np.sign(rotations[i, largest])
        place = 3
        for k in range(4):
            if k != largest:
                follows = rotations[i, k] / rotations[i, largest]
                v[place] = (quats[i, k] - follows * quats[i, largest]) * scaling
                place += 1
        for k in range(3):
            v[k], v[6 + k] = means[i, k], scales[i, k]
        v[9] = opacities[i]
        at = 0
        for j in range(NUMBERS):
            for k in range(j + 1):
                blocks[i, at] += weight * v[j] * v[k]
                at += 1


@parallel_kernel
def _correlations(blocks: Float32, outlines: Float32, out: Int8) -> None:
    for i in prange(blocks.shape[0]):
        at = 0
        for j in range(NUMBERS):
            for k in range(j):
                shared = np.sqrt(outlines[i, j]) * np.sqrt(outlines[i, k])
                out[i, at] = np.int8(np.rint(127 * (1 - _DAMPING) * blocks[i, j * (j + 1) // 2 + k] / shared))
                at += 1


@kernel
def _add_directions(
    means: Float32, position: Float32, weights: Float32, directions: Float32, harmonics: NDArray[np.float64]
) -> None:
    """Add each Gaussian's weight · Y0·Yk to `directions` (N, 16), and all their weight · Yj·Yk to `harmonics`."""
    basis = np.empty(16, np.float32)
    for i in range(means.shape[0]):
        if weights[i] == 0:
            continue
        x, y, z = means[i, 0] - position[0], means[i, 1] - position[1], means[i, 2] - position[2]
        inverse = np.float32(1) / np.sqrt(x * x + y * y + z * z)
        sh_basis(3, x * inverse, y * inverse, z * inverse, basis)
        for j in range(16):
            directions[i, j] += weights[i] * basis[0] * basis[j]
            for k in range(16):
                harmonics[j, k] += weights[i] * basis[j] * basis[k]
