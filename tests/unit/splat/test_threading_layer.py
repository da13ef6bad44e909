"""The threading layer of the kernels does not depend on what else is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = """
import numba, numpy
{module}

@numba.njit(parallel=True)
def fill(out):
    for i in numba.prange(out.size):
        out[i] = i

fill(numpy.zeros(4))
print(numba.threading_layer())
"""


@pytest.mark.parametrize("module", ["import splat.kernels", "import sample.jit"])
def test_kernels_do_not_run_on_tbb_also_where_it_is_installed(module: str) -> None:
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'containers'}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(module=module)], env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() in ("omp", "workqueue"), done.stderr
