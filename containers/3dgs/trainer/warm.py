"""`python -m trainer.warm`: compile every CPU kernel into numba's cache, so that no job need do it."""

from __future__ import annotations

import numpy as np
import torch

from splat.camera import look_at
from splat.gaussians import Gaussians
from splat.loss import Target
from trainer.loss import Photometric
from trainer.optimise import Splats
from trainer.train import draw


def compile_kernels() -> None:
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


if __name__ == "__main__":
    compile_kernels()
