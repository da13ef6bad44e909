"""The kernels compiled in advance are all that a job needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import trainer

CONTAINERS = Path(trainer.__file__).parents[2]
# in a separate process, because other tests have compiled them in this one
LIST_KERNELS = """
from numba.core.dispatcher import Dispatcher
from splat import adam, blending, culling, harmonics, loss, projection, tiles
from trainer.stereo import kernels, warping
from trainer.warm import PARTS, compile_kernels
for part in PARTS:
    compile_kernels(part)
for module in (adam, culling, projection, tiles, blending, loss, kernels, warping):
    for name, value in vars(module).items():
        if isinstance(value, Dispatcher) and value.targetoptions.get("parallel"):
            print(name, len(value.signatures))
"""


def test_every_parallel_kernel_is_compiled() -> None:
    path = os.pathsep.join(str(folder) for folder in (CONTAINERS, CONTAINERS / "3dgs"))
    done = subprocess.run(
        [sys.executable, "-c", LIST_KERNELS],
        env={**os.environ, "PYTHONPATH": path},
        check=True,
        timeout=900,
        capture_output=True,
        text=True,
    )
    compiled = dict(line.split() for line in done.stdout.splitlines())
    assert {
        "_project",
        "_project_backward",
        "_bin",
        "_blend",
        "_blend_backward",
        "_gather",
        "_loss",
        "_in_view",
        "_adam",
        "compare",
        "close_gaps",
        "blend",
        "uncover",
    } <= set(compiled)
    assert set(compiled.values()) == {"1"}
