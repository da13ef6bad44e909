"""Kernels compiled ahead are all that a job needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from numba.core.dispatcher import Dispatcher

import trainer
from splat import blending, harmonics, loss, projection, tiles

CONTAINERS = Path(trainer.__file__).parents[2]


def test_every_kernel_is_in_the_cache_afterwards(tmp_path: Path) -> None:
    path = os.pathsep.join(str(folder) for folder in (CONTAINERS, CONTAINERS / "3dgs"))
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": path}
    subprocess.run([sys.executable, "-m", "trainer.warm"], env=environment, check=True, timeout=300)
    cached = {file.name.split("-")[0] for file in tmp_path.rglob("*.nbi")}
    parallel = {
        f"{module.__name__.split('.')[-1]}.{name}"
        for module in (projection, tiles, blending, loss, harmonics)
        for name, value in vars(module).items()
        if isinstance(value, Dispatcher) and value.targetoptions.get("parallel") and value.__module__ == module.__name__
    }
    assert len(parallel) >= 7
    assert parallel <= cached
