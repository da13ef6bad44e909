"""The kernels compiled in advance are all that a job of the compressor needs, including its survey products."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import compressor
from compressor import warm
from compressor.encode.pace import seconds_for
from compressor.encode.presets import OF_QUALITY
from compressor.source import read_source
from contract.options import DEFAULT_QUALITY
from splat.gaussians import Gaussians
from tests.support.compressing import write_scene
from tests.unit.products import scenes

CONTAINERS = Path(compressor.__file__).parents[2]
# The runs are separate processes, because other tests have compiled kernels in this one. When a process ends, that of
# the products included, it records every kernel that it called, with the argument types. The viewer's bundle may not
# have been built, and a placeholder does as well.
SITE = """
import atexit, os, sys

def write_kernels():
    if "numba" not in sys.modules:
        return
    from numba.core.dispatcher import Dispatcher
    names = set()
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ("splat", "compressor", "products"):
            for value in vars(module).values():
                if isinstance(value, Dispatcher):
                    function = value.py_func
                    names |= {f"{function.__module__}.{function.__name__}{types}" for types in value.signatures}
    with open(os.environ["KERNELS"], "a") as file:
        file.write("".join(f"{name}\\n" for name in sorted(names)))

atexit.register(write_kernels)
"""
RUN = """
import sys
from pathlib import Path
import compressor.stage
compressor.stage.BUNDLE = Path(sys.argv[1])
if len(sys.argv) == 2:
    from compressor.warm import compile_kernels
    sys.exit(compile_kernels())
from stage.contract import run_stage
sys.exit(run_stage("compressor", compressor.stage.result_folder, compressor.stage.work, {"ML_ROOT": sys.argv[2]}))
"""


class Kernels:
    """Kernels that processes compile or find compiled."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "site").mkdir()
        (folder / "site" / "sitecustomize.py").write_text(SITE)

    def of(self, *arguments: Path) -> set[str]:
        """The kernels that a run calls."""
        listed = self._folder / "kernels.txt"
        listed.unlink(missing_ok=True)
        path = [self._folder / "site", CONTAINERS.parent, CONTAINERS, CONTAINERS / "compressor"]
        done = subprocess.run(
            [sys.executable, "-c", RUN, *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "KERNELS": str(listed)},
            check=False,
            timeout=1800,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return set(listed.read_text().splitlines())


def test_a_job_after_it_compiles_nothing(
    make_splat: Callable[..., Gaussians], model: Path, bundle: Path, tmp_path: Path
) -> None:
    kernels = Kernels(tmp_path)
    compiled = kernels.of(bundle)
    assert {name.partition(".")[0] for name in compiled} == {"splat", "compressor", "products"}
    write_scene(model, make_splat(400, degree=3))
    assert kernels.of(bundle, tmp_path / "ml") - compiled == set()
    surveyed = tmp_path / "surveyed/ml"
    trained, cameras = scenes.write_scene(tmp_path / "scene")
    inputs = surveyed / "processing/input"
    inputs.mkdir(parents=True)
    trained.rename(inputs / "model")
    cameras.rename(inputs / "cameras")
    found = kernels.of(bundle, surveyed)
    assert any(name.startswith("products.") for name in found)
    assert found - compiled == set()
    lone = tmp_path / "lone/ml"
    (lone / "processing/input/model").mkdir(parents=True)
    (model / "scene.ply").rename(lone / "processing/input/model/splat.ply")
    assert kernels.of(bundle, lone) - compiled == set()


def test_compiling_does_not_use_up_the_time_to_search(tmp_path: Path) -> None:
    warm.write_scene(tmp_path / "model", tmp_path / "photos")
    training = read_source(tmp_path / "model", tmp_path).training_seconds
    assert seconds_for(OF_QUALITY[DEFAULT_QUALITY], warm.COUNT, training) > 3600
