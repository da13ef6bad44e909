"""`python -m trainer.warm`: compile every CPU kernel into numba's cache, so that no job has to.

`python -m trainer.warm splats` compiles those that draw and train, which the compressor uses as well, and
`… stereo` the others.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import torch

from splat.camera import look_at
from splat.gaussians import Gaussians
from splat.loss import Target
from trainer.loss import Photometric
from trainer.optimise import Splats
from trainer.stereo.geometry import Look, StereoPhoto
from trainer.stereo.maps import reconstruct
from trainer.stereo.points import fuse
from trainer.stereo.settings import SETTINGS
from trainer.stereo.virtual import Cover, warped
from trainer.train import draw


def compile_kernels(*parts: str) -> None:
    """Compile the `parts` named, "splats" or "stereo", or all of them. Raises KeyError for any other."""
    for part in parts or PARTS:
        PARTS[part]()


def _compile_splats() -> None:
    """Draw, compare and differentiate one small picture of one Gaussian."""
    gaussian = Gaussians(
        means=np.zeros((1, 3), np.float32),
        quats=np.array([[1, 0, 0, 0]], np.float32),
        scales=np.full((1, 3), -2, np.float32),
        opacities=np.zeros(1, np.float32),
        sh0=np.zeros((1, 3), np.float32),
        shN=np.zeros((1, 15, 3), np.float32),
    )
    camera = look_at((0, 0, 2), (0, 0, 0), width=32, height=24)
    splats = Splats.of(gaussian, torch.device("cpu"))
    seen = splats.seen_by(camera, degree=3)
    image, _ = draw(seen, camera, degree=3)
    loss = Photometric()(image, Target.of(np.full((24, 32, 3), 0.5, dtype=np.float32)))
    loss.backward()  # type: ignore[no-untyped-call]
    splats.step(seen, means_decay=1.0)


def _compile_stereo() -> None:
    """Match three photos of one small plane, and see it from elsewhere."""
    picture = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    grid = np.stack([*np.meshgrid(np.linspace(-0.2, 0.2, 5), np.linspace(-0.2, 0.2, 5)), np.zeros((5, 5))], axis=-1)
    points = grid.reshape(-1, 3)
    photos = []
    for number in range(3):
        camera = look_at((0.2 * number - 0.2, 0, 1), (0, 0, 0), (0, 1, 0), width=40, height=30)
        looks = tuple(Look(camera, picture[..., 0], None) for _ in SETTINGS.levels)
        photos.append(StereoPhoto(str(number), looks, picture, np.arange(len(points))))
    stereo = reconstruct(photos, points)
    fuse(stereo, photos, 1)
    maps = [found for found in stereo.maps if found is not None]
    warped(photos[0].camera, maps, lambda _map, _size: picture, {}, Cover.of(points, np.array([0.0, 0.0, 1.0]), 0.01))


PARTS: dict[str, Callable[[], None]] = {"splats": _compile_splats, "stereo": _compile_stereo}

if __name__ == "__main__":
    compile_kernels(*sys.argv[1:])
