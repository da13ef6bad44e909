"""What SageMaker requires of the three images, read from their Dockerfiles."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from contract.stages import Stage

ROOT = Path(__file__).parents[3]


def final_image(stage: Stage) -> str:
    """The instructions of the last build stage."""
    text = (ROOT / "containers" / stage / "Dockerfile").read_text(encoding="utf-8")
    return re.split(r"^FROM ", text, flags=re.M)[-1]


@pytest.mark.parametrize("stage", Stage)
def test_an_image_runs_as_root_who_alone_may_write_below_opt_ml(stage: Stage) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html"""
    assert not re.search(r"^USER\b", final_image(stage), re.M)


@pytest.mark.parametrize("stage", Stage)
def test_an_image_fixes_no_region(stage: Stage) -> None:
    assert "AWS_" not in final_image(stage)


def test_the_trainers_image_asks_the_nvidia_runtime_for_gpus_and_says_what_it_was_built_for() -> None:
    image = final_image(Stage.TRAINING)
    assert "NVIDIA_VISIBLE_DEVICES=all" in image
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility" in image
    assert re.search(r"^ARG ACCELERATOR=cpu$", image, re.M)
    assert re.search(r"^ARG CUDA_ARCHITECTURES$", image, re.M)
    assert re.search(r"^ENV EXPECTED_ACCELERATOR=\$\{ACCELERATOR\} CUDA_ARCHITECTURES=\$\{CUDA_ARCH", image, re.M)


@pytest.mark.parametrize("stage", Stage)
def test_an_image_with_numba_has_its_threads_and_its_kernels(stage: Stage) -> None:
    """Otherwise, a job on a new machine would compile its kernels again, and use a thread pool that is slower than
    OpenMP's."""
    locked, image = ROOT / "containers" / stage / "requirements.txt", final_image(stage)
    with_numba = locked.is_file() and re.search(r"^numba==", locked.read_text(encoding="utf-8"), re.M) is not None
    assert with_numba == ("libgomp1" in image)
    assert with_numba == (f"RUN python -m {stage.spec.module}.warm\n" in image)
    if with_numba:
        assert (ROOT / "containers" / stage / stage.spec.module / "warm.py").is_file()
        assert image.index("warm\n") > image.index("COPY contract")


def test_what_is_compiled_for_cuda_is_locked_to_its_files() -> None:
    folder = ROOT / "containers" / "3dgs"
    recipe = "".join((folder / name).read_text(encoding="utf-8") for name in ("Dockerfile", "compile-gsplat.sh"))
    recipe = recipe.replace("\\\n", " ")
    for name in ("torch-cuda", "requirements-cuda", "cuda-toolkit"):
        entries = re.findall(r"(?m)^[a-z].*(?:\n +.*)*", (folder / f"{name}.txt").read_text(encoding="utf-8"))
        locked = {entry.split()[0] for entry in entries if "--hash=sha256:" in entry}
        assert len(locked) == len(entries) > 0, name
        pinned = re.findall(r"^[a-z-]+=+[^\s#]+", (folder / f"{name}.in").read_text(encoding="utf-8"), re.M)
        assert {re.sub("=+", "==", line) for line in pinned} <= locked, name
        assert re.search(rf"--require-hashes +--requirement \S+/{name}\.txt", recipe), name
        assert f"containers/3dgs/{name}.txt" in recipe


def pinned_in(name: str) -> dict[str, str]:
    """Versions by package in a list of the trainer's image."""
    text = (ROOT / "containers" / "3dgs" / name).read_text(encoding="utf-8")
    return dict(re.findall(r"(?m)^([A-Za-z0-9_.-]+)==([^\s;]+)", text))


def test_torch_for_cuda_is_the_version_that_is_tested() -> None:
    assert pinned_in("torch-cuda.txt")["torch"] == pinned_in("requirements.in")["torch"]


def test_torch_for_cuda_is_pypis_file_and_no_machines_own() -> None:
    """PyPI has a file for each Python and system; a list with a single hash was made from a wheel that was at hand."""
    text = (ROOT / "containers" / "3dgs" / "torch-cuda.txt").read_text(encoding="utf-8")
    (entry,) = re.findall(r"(?m)^torch==.*(?:\n +.*)*", text)
    assert entry.count("--hash=sha256:") >= 6


def test_the_compiler_is_of_the_release_that_torch_is_built_with() -> None:
    """Its headers and torch's libraries must belong to the same release of CUDA."""
    runtime = pinned_in("torch-cuda.txt")["nvidia-cuda-runtime"].split(".")[:2]
    toolkit = pinned_in("cuda-toolkit.txt")
    assert [toolkit[name].split(".")[:2] for name in toolkit if name.startswith("nvidia-")] == [runtime] * 4


_BUILDER = """#!/bin/sh
echo "$@ for ${TORCH_CUDA_ARCH_LIST:-nothing} with ${CUDA_HOME:-nothing}" >> "$CALLS"
"""
_ENVIRONMENT = """#!/bin/sh
case "$*" in
  *"-m pip"*) echo "No module named pip" >&2; exit 1 ;;
  *"import nvidia"*) echo "$NVIDIA" ;;
esac
"""


def test_kernels_are_compiled_by_the_builders_pip_for_an_environment_that_has_none(tmp_path: Path) -> None:
    """The environment's own Python, which then comes first in PATH, cannot install the compiled package."""
    builder, environment, nvidia = tmp_path / "builder", tmp_path / "environment", tmp_path / "nvidia"
    for program, text in ((builder / "python3", _BUILDER), (environment / "bin" / "python", _ENVIRONMENT)):
        program.parent.mkdir(parents=True)
        program.write_text(text)
        program.chmod(0o755)
    (environment / "bin" / "python3").symlink_to("python")
    (nvidia / "cu13" / "lib").mkdir(parents=True)
    (nvidia / "cu13" / "lib" / "libcudart.so.13").touch()
    calls, lists = tmp_path / "calls", ROOT / "containers" / "3dgs"
    done = subprocess.run(
        [lists / "compile-gsplat.sh", environment, lists],
        env={
            "PATH": f"{builder}:{os.environ['PATH']}", "CALLS": str(calls), "NVIDIA": str(nvidia),
            "CUDA_ARCHITECTURES": "7.5",
        },
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    compiler, gsplat, removed = calls.read_text().splitlines()
    assert "cuda-toolkit.txt for nothing" in compiler
    assert f"requirements-cuda.txt for 7.5 with {nvidia}/cu13" in gsplat
    assert " --no-binary gsplat " in gsplat
    assert all(f" {name}" in removed for name in pinned_in("cuda-toolkit.txt"))
    assert (nvidia / "cu13" / "lib64" / "libcudart.so").resolve().name == "libcudart.so.13"


def test_the_compilers_that_run_at_once_follow_the_builder() -> None:
    assert "MAX_JOBS=$(nproc)" in (ROOT / "containers" / "3dgs" / "compile-gsplat.sh").read_text(encoding="utf-8")
