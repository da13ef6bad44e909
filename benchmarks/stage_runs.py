"""Run the sfm and 3dgs stages like their containers, each in a separate process, and keep the results below `.build/`.

A finished run is not repeated: to run it again, remove its folder.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BUILD = ROOT / ".build"
SCORED = "scored.ply"  # in a training run's folder: the splat before the finish on all photos


def run_sfm(archive: Path, root: Path, options: dict[str, str] | None = None) -> Path:
    """The scene that the sfm stage makes of a ZIP of photos, below the run's folder `root`; `options` are the stage's,
    as its environment names them.
    """
    scene = root / "processing" / "output"
    if not (scene / "result.json").is_file():
        upload = root / "processing" / "input" / "upload"
        upload.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(archive, upload / archive.name)
        scene.mkdir(parents=True, exist_ok=True)
        _run(["-m", "sfm"], root, "sfm", options or {})
    return scene


def run_training(scene: Path, root: Path, quality: str, fold: int, options: dict[str, str] | None = None) -> Path:
    """The folder `model` of a run of the 3dgs stage on a scene, every 8th photo from `fold` held out.

    The splat before the finish on all photos lies beside it (`SCORED`).

    `options` are further ones of the stage's, as its environment names them.
    """
    model = root / "model"
    if not (model / "result.json").is_file():
        for name in ("input/data", "model", "checkpoints", "output"):
            (root / name).mkdir(parents=True, exist_ok=True)
        channel = root / "input" / "data" / "scene"
        channel.unlink(missing_ok=True)
        channel.symlink_to(scene.resolve())
        command = ["-m", "benchmarks.train_fold", str(fold)]
        _run(command, root, "3dgs", {"QUALITY": quality} | (options or {}))
    return model


def result_of(folder: Path) -> dict[str, Any]:
    """The stage's manifest in `folder`."""
    found: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return found


def _run(command: list[str], root: Path, stage: str, options: dict[str, str]) -> None:
    print(f"running {stage} in {root}", file=sys.stderr, flush=True)
    path = [ROOT / "containers", ROOT / "containers" / stage, ROOT]
    environment = os.environ | options | {"ML_ROOT": str(root), "PYTHONPATH": os.pathsep.join(map(str, path))}
    with (root / f"{stage}.log").open("wb") as log:
        done = subprocess.run(
            [sys.executable, *command], cwd=root, env=environment, stdout=log, stderr=log, check=False
        )
    if done.returncode:
        tail = (root / f"{stage}.log").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{stage} ended with {done.returncode} in {root}\n{tail}")
