"""The check that runs on a GPU machine, run on the CPU: its whole plan on one small scene, with gsplat's kernels
replaced."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from torch.profiler import DeviceType

from tests.support.gsplat_on_cpu import drive_on_cpu
from tests.unit.trainer.synthetic import make_scene

ROOT = Path(__file__).parents[3]
PLAN = ["--device", "cpu", "--plan", "12:120:32", "--parity", "60"]


@pytest.fixture(autouse=True)
def _gsplat(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    drive_on_cpu(monkeypatch)
    yield
    torch.set_num_threads(threads)


def test_the_whole_check_runs_and_a_second_call_does_nothing_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks.gpu import __main__ as check
    from benchmarks.gpu import runs

    make_scene(tmp_path / "tiny")
    words = [str(tmp_path / "tiny"), "--out", str(tmp_path / "out"), *PLAN]
    assert check.main(words) == 0
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert line["parity_passes"]
    assert line["parity"]["picture"] < 1e-3
    for who in check.WHO:
        found = line[f"tiny/12/{who}"]
        assert found["steps"] == 12
        assert found["psnr"] > 5
        assert 0 < found["gaussians"] <= 300
    assert line["breakdown"]["ms_a_step"] > 0
    assert set(line["breakdown"]) >= {"step_ms", "pixel_ns", "gaussian_ns", "gpu_busy"}

    monkeypatch.setattr(runs, "ours", None)
    monkeypatch.setattr(runs, "baseline", None)
    assert check.main(words) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == line


def test_no_run_begins_when_time_is_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks.gpu import __main__ as check

    make_scene(tmp_path / "tiny")
    assert check.main([str(tmp_path / "tiny"), "--out", str(tmp_path / "out"), "--seconds", "0", *PLAN]) == 0
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(line) == {"parity_passes", "parity", "device"}


def test_pictures_that_differ_end_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks.gpu import __main__ as check
    from benchmarks.gpu import parity

    wrong = parity.Parity(0.0, {"means": 2 * parity.GRADIENT})
    monkeypatch.setattr(parity, "measure", lambda _device, _count: wrong)
    assert check.main([str(tmp_path / "none"), "--out", str(tmp_path / "out"), *PLAN]) == 1
    assert not json.loads(capsys.readouterr().out.splitlines()[-1])["parity_passes"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA GPU")
def test_a_machine_without_a_gpu_is_told_so() -> None:
    done = subprocess.run([ROOT / "scripts" / "gpu_check.sh"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no CUDA GPU" in done.stderr or "torch" in done.stderr


def test_the_bundle_holds_photos_no_larger_than_they_are_trained(tmp_path: Path) -> None:
    from benchmarks import gpu_bundle

    make_scene(tmp_path / "scene", photos=2)
    Image.new("RGB", (3200, 2400)).save(tmp_path / "scene" / "images" / "large.jpg")
    gpu_bundle.pack(tmp_path / "scene", tmp_path / "packed")
    assert (tmp_path / "packed" / "sparse" / "0" / "points3D.bin").is_file()
    assert Image.open(tmp_path / "packed" / "images" / "large.jpg").size == (1600, 1200)


def test_the_bundles_packages_are_locked_to_their_files() -> None:
    from benchmarks.gpu_bundle import wanted_packages

    wanted = wanted_packages()
    assert set(wanted) >= {"gsplat", "packaging", "rich", "jaxtyping", "ninja", "plyfile"}
    for package, lines in wanted.items():
        first, *others = lines.splitlines()
        assert first.startswith(f"{package}==")
        assert others
        assert all(line.strip().startswith("--hash=sha256:") for line in others)


MACHINE = {"torch", "numpy", "numba", "scipy", "pillow"}  # the machine's packages; those that they need are added
_REFUSING = """
import sys
refused = set(sys.argv[1].split())
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name in refused:
            raise ModuleNotFoundError(f"the machine has no {name}", name=name)
sys.meta_path.insert(0, Refuse())
import benchmarks.gpu.__main__, trainer.warm, trainer.accelerator
"""


def with_needs(names: set[str]) -> set[str]:
    """Distributions by normalised name, with all that they need."""
    found: set[str] = set()
    waiting = {re.sub(r"[-_.]+", "-", name).lower() for name in names}
    while waiting:
        name = waiting.pop()
        try:
            needs = requires(name) or []
        except PackageNotFoundError:
            continue
        found.add(name)
        plain = [re.split(r"[^\w.-]", need)[0] for need in needs if "extra ==" not in need]
        waiting |= {re.sub(r"[-_.]+", "-", need).lower() for need in plain} - found
    return found


def test_the_check_imports_nothing_but_the_machines_packages_the_bundles_and_our_own() -> None:
    from benchmarks.gpu_bundle import wanted_packages

    there = with_needs(MACHINE) | set(wanted_packages())
    refused = [
        module
        for module, owners in packages_distributions().items()
        if not {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners} & there
    ]
    assert {"boto3", "pytest", "pydantic"} <= set(refused)
    paths = os.pathsep.join(str(ROOT / folder) for folder in ("containers", "containers/3dgs", "."))
    command = [sys.executable, "-c", _REFUSING, " ".join(refused)]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_all_that_gsplat_imports_is_in_the_images_lists() -> None:
    """What gsplat imports to load its kernels is imported only in the first step of a job, on the paid machine."""
    spec = find_spec("gsplat")
    if spec is None or spec.origin is None:
        pytest.skip("gsplat is not installed")
    imported: set[str] = set()
    for path in Path(spec.origin).parent.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported.add((node.module or "").partition(".")[0])
    assert "packaging" in imported
    lists = [ROOT / "containers" / "3dgs" / name for name in ("requirements.txt", "requirements-cuda.txt")]
    locked = {name.replace("-", "_") for file in lists for name in re.findall(r"(?m)^([\w.-]+)==", file.read_text())}
    assert imported - set(sys.stdlib_module_names) <= locked | {"torch"}


def test_a_run_that_fails_costs_the_others_nothing_and_is_tried_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks.gpu import __main__ as check
    from benchmarks.gpu import runs

    make_scene(tmp_path / "tiny")
    words = [str(tmp_path / "tiny"), "--out", str(tmp_path / "out"), *PLAN]
    figures = {"steps": 12, "psnr": 20.0}

    def fails(*_arguments: object) -> dict[str, object]:
        raise RuntimeError("an illegal memory access was encountered")

    monkeypatch.setattr(runs, "breakdown", lambda *_: {"ms_a_step": 1.0})
    monkeypatch.setattr(runs, "ours", lambda *_: figures)
    monkeypatch.setattr(runs, "baseline", fails)
    assert check.main(words) == 1
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert line["tiny/12/default"] == {"error": "RuntimeError: an illegal memory access was encountered"}
    assert line["tiny/12/ours-mcmc"] == figures

    monkeypatch.setattr(runs, "ours", fails)  # must not be called again
    monkeypatch.setattr(runs, "baseline", lambda *_: figures)
    assert check.main(words) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["tiny/12/default"] == figures


def test_the_deadline_holds_while_photos_are_matched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks.gpu import __main__ as check
    from benchmarks.gpu import runs

    make_scene(tmp_path / "tiny")
    now = [0.0]

    def matches(*arguments: object) -> None:
        now[0] = 1000.0
        arguments[-1](1)  # type: ignore[operator]
        raise AssertionError("unreachable")

    monkeypatch.setattr(runs, "begin", matches)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    assert check.main([str(tmp_path / "tiny"), "--out", str(tmp_path / "out"), "--seconds", "100", *PLAN]) == 0
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(line) == {"parity_passes", "parity", "device"}


def test_time_in_kernels_is_counted_once() -> None:
    """A profile's row of an operator includes the time of kernels that have their own rows."""
    from benchmarks.gpu.runs import kernel_seconds

    rows = [
        SimpleNamespace(device_type=kind, is_user_annotation=annotation, self_device_time_total=micros)
        for kind, annotation, micros in [
            (DeviceType.CPU, False, 700_000.0),
            (DeviceType.CUDA, False, 500_000.0),
            (DeviceType.CUDA, False, 200_000.0),
            (DeviceType.CUDA, True, 700_000.0),
        ]
    ]
    assert kernel_seconds(rows) == pytest.approx(0.7)


PYTHON = """#!/bin/sh
# answers as a Python with CUDA would, and keeps what it was asked
echo "$@" >> "$CALLS"
case "$*" in
  *"%d.%d"*) echo 9.0 ;;
  *get_device_name*) echo 3.12.0 2.11.0 H200 ;;
  *setup.py*) echo "compiling with $MAX_JOBS for $TORCH_CUDA_ARCH_LIST"; exit ${BUILD:-0} ;;
  *benchmarks.gpu*) echo '{}' > "$(echo "$*" | sed 's/.*--out //')/gpu.json"; echo '{"parity_passes": true}' ;;
esac
"""


def checkout(folder: Path) -> dict[str, str]:
    """The script, a bundle and a stand-in for Python below `folder`; returns the environment to run it in."""
    (folder / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "gpu_check.sh", folder / "scripts")
    (folder / ".gpu" / "scenes" / "rings").mkdir(parents=True)
    (folder / ".gpu" / "plyfile.whl").touch()
    (folder / "gsplat-1.5.3").mkdir()
    (folder / "gsplat-1.5.3" / "setup.py").touch()
    subprocess.run(["tar", "czf", ".gpu/gsplat-1.5.3.tar.gz", "gsplat-1.5.3"], cwd=folder, check=True)
    (folder / "python").write_text(PYTHON)
    (folder / "python").chmod(0o755)
    return os.environ | {
        "PYTHON": str(folder / "python"), "CALLS": str(folder / "calls"), "OUT": str(folder / "results")
    }  # fmt: skip


def test_the_script_builds_once_gives_what_time_is_left_and_leaves_its_results(tmp_path: Path) -> None:
    environment = checkout(tmp_path)
    for builds in (1, 1):
        done = subprocess.run(
            ["scripts/gpu_check.sh", "300"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.splitlines()[-1]) == {"parity_passes": True}
        calls = (tmp_path / "calls").read_text().splitlines()
        assert sum("setup.py" in call for call in calls) == builds
        seconds = re.search(r"--seconds (\d+)", calls[-1])
        assert seconds is not None
        assert 0 < int(seconds[1]) <= 290
    assert {path.name for path in (tmp_path / "results").iterdir()} >= {"gpu.json", "last-line.json", "build.log"}
    assert "for 9.0" in (tmp_path / "results" / "build.log").read_text()


def test_a_build_that_fails_is_shown_and_ends_the_check(tmp_path: Path) -> None:
    environment = checkout(tmp_path) | {"BUILD": "1"}
    done = subprocess.run(
        ["scripts/gpu_check.sh"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "for 9.0" in done.stderr
    assert "gsplat does not build" in done.stderr
    assert "benchmarks.gpu" not in (tmp_path / "calls").read_text()
    assert (tmp_path / "results" / "build.log").is_file()
