"""Run OpenSplat as a separate process on the same photos, cameras and number of Gaussians."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pycolmap

from trainer.dataset import Scene
from trainer.initialise import Seeds

_FEW, _MORE = 4, 12  # steps of two runs: their difference holds neither loading nor the first step's set-up
# whole pictures and all harmonics from the start, and no Gaussian added or taken away, as in our own figure
_OPTIONS = ("--cpu", "--num-downscales", "0", "--sh-degree-interval", "1", "--warmup-length", "1000000")


def opensplat_seconds_a_step(binary: Path, folder: Path, scene: Scene, seeds: Seeds, scratch: Path) -> float:
    """Wall seconds of one of OpenSplat's steps. `folder` holds sparse/0 and images of the size that `scene` trains at;
    `seeds` are the Gaussians' centres. Raises CalledProcessError, with OpenSplat's words, where it fails.
    """
    project = scratch / "project"
    _write_project(folder, project, seeds.positions * scene.frame.scale + scene.frame.centre, seeds.colours)
    seconds = []
    for steps in (_FEW, _MORE):
        started = time.monotonic()
        command = [str(binary), str(project), *_OPTIONS, "-n", str(steps), "-o", str(scratch / "out.ply")]
        subprocess.run(command, check=True, capture_output=True, cwd=scratch)
        seconds.append(time.monotonic() - started)
    return (seconds[1] - seconds[0]) / (_MORE - _FEW)


def _write_project(folder: Path, project: Path, positions: np.ndarray, colours: np.ndarray) -> None:
    """The scene with `positions` (P, 3) for its sparse points."""
    model = pycolmap.Reconstruction(str(folder / "sparse" / "0"))
    for identifier in list(model.points3D):
        model.delete_point3D(identifier)
    for position, colour in zip(positions, (colours * 255).round().astype(np.uint8), strict=True):
        model.add_point3D(position, pycolmap.Track(), colour)
    (project / "sparse" / "0").mkdir(parents=True)
    model.write(str(project / "sparse" / "0"))
    shutil.copytree(folder / "images", project / "images")
