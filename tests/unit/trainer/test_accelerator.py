"""The device of a training job: the one for which its image was built, or GPU_UNAVAILABLE."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch

from contract.codes import ErrorCode
from stage.contract import run_stage
from stage.environment import ExpectedAccelerator, StageEnvironment
from stage.errors import StageError
from tests.support.gsplat_on_cpu import gsplat_on_cpu
from trainer import accelerator
from trainer.accelerator import Found, device_for, fault_of_kernels, find, runs_on
from trainer.stage import result_folder, train_scene

CUDA = ExpectedAccelerator("cuda", "7.5;8.0;8.6;8.9;9.0+PTX")
T4 = Found(driver="580.95", toolkit="13.0", name="Tesla T4", capability=(7, 5))


def test_an_image_for_cuda_trains_on_a_gpu() -> None:
    assert device_for(CUDA, T4) == torch.device("cuda")


def test_an_image_for_the_cpu_trains_there_whatever_the_machine_has() -> None:
    assert device_for(ExpectedAccelerator("cpu"), T4) == torch.device("cpu")


def test_outside_an_image_there_is_what_the_machine_has() -> None:
    assert device_for(ExpectedAccelerator(), T4) == torch.device("cuda")
    assert device_for(ExpectedAccelerator(), Found()) == torch.device("cpu")


@pytest.mark.parametrize(
    ("found", "facts"),
    [
        (Found(), ["driver none", "CUDA of torch none"]),
        (Found(driver="470.256", toolkit="13.0"), ["no GPU", "driver 470.256", "CUDA of torch 13.0"]),
        (Found("580.95", "13.0", fault="CUDA error: busy"), ["no GPU", "CUDA error: busy", "driver 580.95"]),
        (replace(T4, name="Tesla V100", capability=(7, 0)), ["Tesla V100", "architecture 7.0", CUDA.architectures]),
        (replace(T4, fault="ImportError: libcudart"), ["gsplat's kernels", "ImportError: libcudart"]),
    ],
)
def test_an_image_for_cuda_never_trains_without_a_gpu_that_it_can_use(found: Found, facts: list[str]) -> None:
    with pytest.raises(StageError) as caught:
        device_for(CUDA, found)
    assert caught.value.code is ErrorCode.GPU_UNAVAILABLE
    assert all(fact in caught.value.message for fact in facts)


@pytest.mark.parametrize(
    ("architectures", "capability", "runs"),
    [
        ("7.5", (7, 5), True),
        ("8.0", (8, 6), True),
        ("8.6", (8, 0), False),
        ("9.0", (12, 0), False),
        ("9.0+PTX", (12, 0), True),
        ("9.0+PTX", (8, 9), False),
        ("7.5;8.0", (9, 0), False),
    ],
)
def test_binaries_run_within_their_major_version_and_ptx_beyond(
    architectures: str, capability: tuple[int, int], runs: bool
) -> None:
    assert runs_on(architectures, capability) is runs


def test_the_image_says_what_it_was_built_for() -> None:
    assert StageEnvironment.read({"EXPECTED_ACCELERATOR": "cuda", "CUDA_ARCHITECTURES": "7.5"}).accelerator == (
        ExpectedAccelerator("cuda", "7.5")
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_job_without_the_gpu_that_its_image_expects_fails_before_it_reads_anything(tmp_path: Path) -> None:
    environment = {"ML_ROOT": str(tmp_path), "EXPECTED_ACCELERATOR": "cuda"}
    assert run_stage("3dgs", result_folder, train_scene, environment) == 1
    assert (tmp_path / "output" / "failure").read_text().startswith("GPU_UNAVAILABLE: ")


def test_a_gpu_is_tried_by_a_picture_and_its_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gsplat.csrc", ModuleType("gsplat.csrc"))
    with gsplat_on_cpu():
        assert fault_of_kernels(torch.device("cpu")) is None

        def no_image(*_arguments: object, **_named: object) -> None:
            raise RuntimeError("no kernel image is available for execution on the device")

        monkeypatch.setattr(accelerator, "rasterize_gsplat", no_image)
        assert str(fault_of_kernels(torch.device("cpu"))).startswith("RuntimeError: no kernel image")


def test_a_package_that_gsplat_misses_is_a_fault_at_the_start_and_not_at_the_first_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """gsplat imports its kernel loader late, and that imports more than the kernels need."""
    pytest.importorskip("gsplat")
    monkeypatch.setitem(sys.modules, "gsplat.csrc", ModuleType("gsplat.csrc"))
    monkeypatch.setitem(sys.modules, "gsplat.cuda._backend", None)
    assert str(fault_of_kernels(torch.device("cpu"))).startswith("ModuleNotFoundError")


def test_a_gpu_that_is_listed_and_cannot_be_opened_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_arguments: object) -> None:
        raise RuntimeError("CUDA error: all CUDA-capable devices are busy or unavailable")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", busy)
    found = find()
    assert found.capability is None
    assert found.fault == "CUDA error: all CUDA-capable devices are busy or unavailable"
