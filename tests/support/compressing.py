"""The compressor's stage in the folders that SageMaker provides, and the output of 3dgs that it reads."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
from PIL import Image

from compressor import stage
from splat.camera import View, orbit, write_views
from splat.gaussians import Gaussians
from splat.ply import write_ply
from splat.render import render
from stage.contract import run_stage


def run(tmp_path: Path, **environment: str) -> tuple[int, Path]:
    before = signal.getsignal(signal.SIGTERM)
    try:
        code = run_stage(
            "compressor", stage.result_folder, stage.work, {"ML_ROOT": str(tmp_path / "ml"), **environment}
        )
    finally:
        signal.signal(signal.SIGTERM, before)
    return code, tmp_path / "ml/processing/output"


def write_scene(folder: Path, splat: Gaussians) -> None:
    """Writes the output of 3dgs: splat, views with two held-out photos (renders with noise), georeference."""
    write_ply(folder / "scene.ply", splat)
    (folder / "views").mkdir()
    rng = np.random.default_rng(0)
    views = []
    for number, camera in enumerate(orbit((0, 0, 0), 5, 35, 6, width=96, height=72)):
        image = None
        if number % 3 == 0:
            image = f"views/{number}.png"
            noisy = np.clip(render(splat, camera) + rng.normal(0, 0.04, (72, 96, 3)), 0, 1)
            Image.fromarray(np.rint(noisy * 255).astype(np.uint8)).save(folder / image)
        views.append(View(f"{number}.jpg", "test" if image else "train", camera, image))
    write_views(folder / "views.json", views)
    origin = {"latitude": 47.3612, "longitude": 8.5306, "altitude": 466.0}
    document = {"version": 1, "georeferenced": True, "origin": origin, "heights": {"datum": "sea level", "epsg": None}}
    (folder / "georeference.json").write_text(json.dumps(document))
