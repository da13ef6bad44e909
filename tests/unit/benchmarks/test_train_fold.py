"""The 3dgs stage with other photos held out runs as a stage, whatever the benchmark's own command line contains."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_number_of_a_fold_is_no_argument_of_the_stage(tmp_path: Path) -> None:
    path = os.pathsep.join(str(ROOT / folder) for folder in ("containers", "containers/3dgs", ""))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.train_fold", "3"],
        env=os.environ | {"ML_ROOT": str(tmp_path), "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert (tmp_path / "output" / "failure").read_text().startswith("INVALID_SCENE")
