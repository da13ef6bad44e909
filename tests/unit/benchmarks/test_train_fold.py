"""The training run of the benchmarks: the stage with other photos held out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_fold_reaches_the_stage_and_not_its_command_line(tmp_path: Path) -> None:
    for name in ("input/data/scene", "model", "checkpoints", "output"):
        (tmp_path / name).mkdir(parents=True)
    path = os.pathsep.join(str(ROOT / part) for part in ("containers", "containers/3dgs", "."))
    environment = os.environ | {"ML_ROOT": str(tmp_path), "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.train_fold", "3"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr.decode()
    assert (tmp_path / "output" / "failure").read_text().startswith("INVALID_SCENE")
