"""`python -m compressor.warm`: compile every kernel of the stage into numba's cache, so that no job has to.

Without it, a job on a lone splat takes 31 CPU seconds longer on one core. The exit code is not 0 if the stage fails on
a tiny job; then no image is built.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from plyfile import PlyData, PlyElement

from compressor.products import CAMERAS
from compressor.stage import INPUT, result_folder, work
from contract.options import DEFAULT_QUALITY
from contract.stages import Stage
from splat.camera import View, orbit, write_views
from splat.gaussians import Gaussians
from splat.ply import write_ply
from stage.contract import Folders, run_stage

COUNT = 300
_PLACE = {"georeferenced": True, "origin": {"latitude": 47.0, "longitude": 8.0, "altitude": 0.0}}
# the CPU seconds of a fictitious training: the time budget, against which compiling counts, is a share of them, and
# without time left the search would skip kernels
_TRAINING_SECONDS = 36_000
_DENSE = [*((name, "<f4") for name in "xyz"), *((name, "u1") for name in ("red", "green", "blue", "agree"))]


def compile_kernels() -> int:
    """Compress a small scene with a held-out photo and make its survey products, as after training. Returns the exit
    code."""
    with tempfile.TemporaryDirectory() as root:
        folders = Folders(Path(root))
        write_scene(folders.processing_input(INPUT), folders.processing_input(CAMERAS) / "images")
        environment = {"ML_ROOT": root, "JOB_ID": "warm", "ATTEMPT": "1", "QUALITY": DEFAULT_QUALITY.value}
        return run_stage(Stage.COMPRESSOR, result_folder, work, environment)


def write_scene(model: Path, photos: Path) -> None:
    """Write what training (`model`) and structure from motion (`photos`) would leave behind."""
    model.mkdir(parents=True)
    photos.mkdir(parents=True)
    rng = np.random.default_rng(0)
    gaussians = Gaussians(
        means=rng.normal(size=(COUNT, 3)).astype(np.float32),
        quats=rng.normal(size=(COUNT, 4)).astype(np.float32),
        scales=np.full((COUNT, 3), -2, np.float32),
        opacities=np.full(COUNT, 3, np.float32),
        sh0=rng.normal(size=(COUNT, 3)).astype(np.float32),
        shN=rng.normal(scale=0.1, size=(COUNT, 15, 3)).astype(np.float32),
    )
    write_ply(model / "scene.ply", gaussians)
    points = np.zeros(COUNT, [*_DENSE, ("sigma", "<f4")])
    points["x"], points["y"] = rng.uniform(-1, 1, (2, COUNT))
    points["agree"], points["sigma"] = 5, 0.01
    PlyData([PlyElement.describe(points, "vertex")]).write(str(model / "dense.ply"))
    photo = Image.effect_noise((64, 48), 50).convert("RGB")
    photo.save(model / "photo.png")
    views = []
    for number, camera in enumerate(orbit((0, 0, 0), 5, 35, 4, width=64, height=48)):
        name = f"{number}.png"
        photo.save(photos / name)
        views.append(View(name, "train" if number else "test", camera, None if number else "photo.png"))
    write_views(model / "views.json", views)
    (model / "georeference.json").write_text(json.dumps(_PLACE), encoding="utf-8")
    result = {"resources": {"cpuSeconds": _TRAINING_SECONDS}}
    (model / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(compile_kernels())
