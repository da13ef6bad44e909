"""Make splats for the compressor's benchmarks: trained by this project, and enlarged copies of various sizes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from compressor.encode.arranged import Arranged
from compressor.encode.fitting import Sights
from compressor.encode.pace import Pace
from compressor.encode.prepared import prepare
from compressor.encode.pruning import Pruner
from compressor.encode.quality import HeldOut, Yardstick, held_out_photos, yardstick
from compressor.framing import Framing, frame_scene
from compressor.sog.container import pack_files, zip_files
from compressor.source import read_source, visible
from local.sample_photos import make_sample
from splat.camera import View
from splat.gaussians import Gaussians
from splat.loss import psnr

ROOT = Path(__file__).parents[1]
GAUSSIANS = 50_000


@dataclass(frozen=True)
class Scene:
    """A trained splat, and the data for measuring its files."""

    gaussians: Gaussians
    views: list[View]
    framing: Framing
    held_out: HeldOut | None
    stick: Yardstick

    def decibels(self, decoded: Gaussians) -> float:
        return round(psnr(self.stick.mean_squared_error(decoded)), 2)


def read_scene(folder: Path) -> Scene:
    with tempfile.TemporaryDirectory() as scratch:
        source = read_source(folder, Path(scratch))
    gaussians, _ = visible(source.gaussians)
    framing = frame_scene(gaussians, source.views, source.z_up)
    stick = yardstick(gaussians, source.views, framing)
    return Scene(gaussians, source.views, framing, held_out_photos(source.views, source.folder), stick)


def smallest(arranged: Arranged, seen: Sights | None, stick: Yardstick, decibels: float) -> bytes:
    """The smallest file found whose pictures match the original with at least `decibels`."""
    budget, pace = 10 ** (-decibels / 10), Pace()
    ready = prepare(Pruner(arranged, stick, seen, pace).prune(budget), budget, stick, seen, pace)
    return zip_files(pack_files(ready.search(budget, stick, pace).codes))


def sample_model(build: Path) -> Path:
    """The folder of the splat that this project makes of its own sample."""
    return trained(make_sample(build), build)


def trained(photos: Path, build: Path) -> Path:
    """The folder of the splat of 50,000 Gaussians that this project makes of a ZIP of photos, trained once."""
    digest = hashlib.sha256(photos.read_bytes()).hexdigest()[:12]
    folder = build / f"bench-compressor-{photos.stem}-{digest}"
    if not (folder / "model/result.json").is_file():
        upload = folder / "processing/input/upload"
        upload.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(photos, upload / photos.name)
        _run("sfm", folder, photos.stem)
        scene = folder / "input/data/scene"
        scene.parent.mkdir(parents=True, exist_ok=True)
        (folder / "processing/output").rename(scene)
        _run("trainer", folder, photos.stem)
    return folder / "model"


def _run(stage: str, root: Path, name: str) -> None:
    print(f"running {stage} on {name}", flush=True)
    environment = {
        **os.environ,
        "ML_ROOT": str(root),
        "MAX_GAUSSIANS": str(GAUSSIANS),
        "PYTHONPATH": ":".join(str(ROOT / "containers" / part) for part in ("", "sfm", "3dgs", "compressor")),
    }
    subprocess.run([sys.executable, "-m", stage], env=environment, stderr=subprocess.DEVNULL, check=True)


def enlarged(splat: Gaussians, count: int) -> Gaussians:
    """A splat of `count` Gaussians with the statistics of a trained one.

    Each Gaussian is repeated, its copies scattered by its own extent, smaller, and all of their parameters jittered.
    """
    rng = np.random.default_rng(0)
    source = rng.permutation(np.resize(np.arange(len(splat)), count))
    spread = np.exp(splat.scales[source])
    shrink = np.log(count / len(splat)) / 3  # as much volume as before

    def jitter(values: np.ndarray, deviation: float) -> np.ndarray:
        return np.asarray(values + deviation * rng.standard_normal(values.shape, dtype=np.float32))

    picked = splat.select(source)
    return replace(
        picked,
        means=picked.means + spread * rng.standard_normal(picked.means.shape, dtype=np.float32),
        quats=jitter(picked.quats, 0.1),
        scales=jitter(picked.scales, 0.2) - np.float32(max(shrink, 0.0)),
        opacities=jitter(picked.opacities, 0.5),
        sh0=jitter(picked.sh0, 0.05),
        shN=jitter(picked.shN, 0.005),
    )
