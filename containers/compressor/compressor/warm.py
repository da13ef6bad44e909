"""`python -m compressor.warm`: compile the kernels of a tiny job into numba's cache, so that a job need compile few.

Without it a job on a lone splat takes 31 CPU seconds longer, on one core. Ends with an exit code other than 0 where
the stage cannot do a tiny job: no image is built then.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from compressor.stage import INPUT, result_folder, work
from contract.options import DEFAULT_QUALITY
from contract.stages import Stage
from splat.camera import View, orbit, write_views
from splat.gaussians import Gaussians
from splat.ply import write_ply
from stage.contract import Folders, run_stage

COUNT = 300


def compile_kernels() -> int:
    """Compress a small scene with one held-out photo, as after training. The stage's exit code."""
    with tempfile.TemporaryDirectory() as root:
        folder = Folders(Path(root)).processing_input(INPUT)
        folder.mkdir(parents=True)
        _write_scene(folder)
        environment = {"ML_ROOT": root, "JOB_ID": "warm", "ATTEMPT": "1", "QUALITY": DEFAULT_QUALITY.value}
        return run_stage(Stage.COMPRESSOR, result_folder, work, environment)


def _write_scene(folder: Path) -> None:
    rng = np.random.default_rng(0)
    gaussians = Gaussians(
        means=rng.normal(size=(COUNT, 3)).astype(np.float32),
        quats=rng.normal(size=(COUNT, 4)).astype(np.float32),
        scales=np.full((COUNT, 3), -2, np.float32),
        opacities=np.full(COUNT, 3, np.float32),
        sh0=rng.normal(size=(COUNT, 3)).astype(np.float32),
        shN=rng.normal(scale=0.1, size=(COUNT, 15, 3)).astype(np.float32),
    )
    write_ply(folder / "scene.ply", gaussians)
    Image.effect_noise((64, 48), 50).convert("RGB").save(folder / "photo.png")
    cameras = orbit((0, 0, 0), 5, 35, 4, width=64, height=48)
    views = [
        View(f"{number}.jpg", "train" if number else "test", camera, None if number else "photo.png")
        for number, camera in enumerate(cameras)
    ]
    write_views(folder / "views.json", views)


if __name__ == "__main__":
    sys.exit(compile_kernels())
