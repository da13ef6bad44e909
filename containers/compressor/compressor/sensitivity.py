"""How much each number of a splat matters in its pictures, from renders of noise backwards.

With a picture I(θ), the expected gradient of Σ gᵢIᵢ, squared, is the diagonal of JᵀJ where the g are independent signs
(Bekas, Kokiopoulou and Saad, An estimator for the diagonal of a matrix, 2007): exactly the sum over pixels of what a
small change of each parameter does to them, squared. One pass backwards gives it for all parameters at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from compressor.framing import Framing
from compressor.gradients import render_from
from compressor.quality import evenly
from compressor.sog.codes import PALETTE_COEFFICIENTS, Float32, Float64, Sensitivity
from splat.camera import Camera, View
from splat.gaussians import Gaussians
from splat.harmonics import SH_C0, sh_basis
from splat.kernels import kernel

_PIXELS = 480  # along the longer side
_TRAINING_VIEWS = 24
_ORBIT_VIEWS = 12
_ROUNDS = 3
# passes cost about 0.7 µs a Gaussian: this many Gaussian-passes are made, if that is enough for every view once
_WORK = 4_500_000
_SEED = 7
# what few passes see little of still counts this part of what the median does: nobody knows every future view
_LEAST = 1 / 8
# and this part of the mean over the passes squared: few of them miss much of what matters in other views
_LEAST_OF_MEAN = 7.0
_FULL = PALETTE_COEFFICIENTS + 1


def measure_sensitivity(
    gaussians: Gaussians, views: Sequence[View], framing: Framing, check_stop: Callable[[], None]
) -> Sensitivity:
    """Of `gaussians` seen from the training cameras and from all round; held-out cameras stay unseen."""
    cameras = cameras_of(views, framing)
    passes = max(1, min(_ROUNDS * len(cameras), _WORK // len(gaussians)))
    if passes < len(cameras):
        cameras = evenly(cameras, max(passes, _ORBIT_VIEWS))
    rounds = max(1, passes // len(cameras))
    tally = _Tally(gaussians)
    rng = np.random.default_rng(_SEED)
    for camera in cameras:
        check_stop()
        tally.add(camera, rounds, rng)
    return tally.sensitivity()


def cameras_of(views: Sequence[View], framing: Framing) -> list[Camera]:
    """Some of the training cameras, and some from all round the scene."""
    training = evenly([view.camera for view in views if view.split == "train"], _TRAINING_VIEWS)
    around = _ORBIT_VIEWS if training else _ORBIT_VIEWS + _TRAINING_VIEWS
    rises = [framing.elevation + (-12, 0, 15)[i % 3] for i in range(around)]
    orbit = [
        framing.camera(turn, _PIXELS, _PIXELS * 3 // 4, rise)
        for turn, rise in zip(framing.turns(around), rises, strict=True)
    ]
    # interleaved, so that any even choice holds some of both
    scaled = [camera.scaled(min(1.0, _PIXELS / max(camera.width, camera.height))) for camera in training]
    return [camera for _, camera in sorted([*_placed(scaled), *_placed(orbit)], key=lambda placed: placed[0])]


def _placed(cameras: list[Camera]) -> list[tuple[float, Camera]]:
    return [((i + 0.5) / len(cameras), camera) for i, camera in enumerate(cameras)]


class _Tally:
    """Sums over the passes."""

    def __init__(self, gaussians: Gaussians) -> None:
        count = len(gaussians)
        self._gaussians = gaussians
        self._numbers = 0
        self._passes = 0
        self._means = np.zeros((count, 3), np.float32)
        self._quats = np.zeros((count, 4), np.float32)
        self._scales = np.zeros((count, 3), np.float32)
        self._opacities = np.zeros(count, np.float32)
        self._directions = np.zeros((count, _FULL), np.float32)
        self._harmonics = np.zeros((_FULL, _FULL))

    def add(self, camera: Camera, rounds: int, rng: np.random.Generator) -> None:
        g = self._gaussians
        rendering = render_from(g, camera)
        shape = rendering.colour.shape
        colours = np.zeros(len(g), np.float32)
        for _ in range(rounds):
            raw = rendering.backward((2 * rng.integers(0, 2, shape, dtype=np.int8) - 1).astype(np.float32))
            self._means += np.square(raw.means) / rounds
            self._quats += np.square(raw.quats) / rounds
            self._scales += np.square(raw.scales) / rounds
            self._opacities += np.square(raw.opacities) / rounds
            colours += np.square(raw.sh0).mean(axis=1) / rounds
        _add_directions(
            g.means, camera.position.astype(np.float32), colours / SH_C0**2, self._directions, self._harmonics
        )
        self._numbers += rendering.colour.size
        self._passes += rounds

    def sensitivity(self) -> Sensitivity:
        full = self._harmonics / self._numbers
        constant = max(float(full[0, 0]), 1e-30)
        return Sensitivity(
            means=self._bounded(self._means),
            quats=self._bounded(self._quats),
            scales=self._bounded(self._scales),
            opacities=self._bounded(self._opacities),
            colours=self._bounded(self._directions[:, 0]),
            directions=self._blended_directions(full[0] / constant),
            seen=self._opacities > 0,
            harmonics=(full[1:, 1:] - np.outer(full[1:, 0], full[0, 1:]) / constant) / constant,
        )

    def _bounded(self, sums: Float32) -> Float32:
        seen = sums[sums > 0]
        least = 1.0
        if seen.size:
            least = max(_LEAST * float(np.median(seen)), _LEAST_OF_MEAN / self._passes**2 * float(sums.mean()))
        return np.asarray(np.maximum(sums, least) / self._numbers, dtype=np.float32)

    def _blended_directions(self, usual: Float64) -> Float32:
        """Each Gaussian's own directions, and as much of the usual ones as makes up for few passes."""
        usual_weight = max(_LEAST * float(np.median(self._directions[:, 0])), 1e-30)
        blended = self._directions + (usual_weight * usual).astype(np.float32)
        return np.asarray(blended / self._numbers, dtype=np.float32)


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
