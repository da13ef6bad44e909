"""Kernels compiled ahead are all that a job of the compressor needs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import compressor
from splat.gaussians import Gaussians
from tests.support.compressing import write_scene

CONTAINERS = Path(compressor.__file__).parents[2]
# the viewer's bundle may not be built, and another one does
RUN = """
import sys
from pathlib import Path
import compressor.stage
compressor.stage.BUNDLE = Path(sys.argv[2])
if sys.argv[1] == "warm":
    from compressor.warm import compile_kernels
    sys.exit(compile_kernels())
from stage.contract import run_stage
sys.exit(run_stage("compressor", compressor.stage.result_folder, compressor.stage.work, {"ML_ROOT": sys.argv[3]}))
"""


def test_a_job_after_it_compiles_nothing(
    make_splat: Callable[..., Gaussians], model: Path, bundle: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "numba"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (CONTAINERS, CONTAINERS / "compressor"))),
        "NUMBA_CACHE_DIR": str(cache),
    }

    def compiled_by(*arguments: str | Path) -> set[Path]:
        done = subprocess.run(
            [sys.executable, "-c", RUN, *map(str, arguments)], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return set(cache.rglob("*.nbc"))

    warm = compiled_by("warm", bundle)
    assert warm
    write_scene(model, make_splat(400, degree=3))
    assert compiled_by("job", bundle, tmp_path / "ml") == warm
