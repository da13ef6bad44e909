"""The device to train on: the one that the image was built for, or a coded failure. Training the CPU's preset on a GPU
machine would cost a GPU's price for a much smaller scene.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from dataclasses import dataclass

import torch

from contract.codes import ErrorCode
from stage.environment import ExpectedAccelerator
from stage.errors import StageError
from trainer.rasterize import rasterize_gsplat


@dataclass(frozen=True)
class Found:
    """What the machine and the image offer, None where there is none. `driver`: version of NVIDIA's driver; `toolkit`:
    of the CUDA that torch was built with; `capability`: of the first GPU; `fault`: why it, or gsplat on it, fails.
    """

    driver: str | None = None
    toolkit: str | None = None
    name: str | None = None
    capability: tuple[int, int] | None = None
    fault: str | None = None


def find() -> Found:
    """Ask the driver, torch and gsplat."""
    driver = _driver()
    if not torch.cuda.is_available():
        return Found(driver=driver, toolkit=torch.version.cuda)
    try:
        name, capability = torch.cuda.get_device_name(0), torch.cuda.get_device_capability(0)
    except RuntimeError as error:  # a GPU that is listed but cannot be opened
        return Found(driver=driver, toolkit=torch.version.cuda, fault=str(error))
    return Found(driver, torch.version.cuda, name, capability, fault_of_kernels(torch.device("cuda")))


def device_for(expected: ExpectedAccelerator, found: Found) -> torch.device:
    """The device that the image was built for; outside an image, a GPU if there is one.

    Raises StageError(GPU_UNAVAILABLE) with driver, toolkit and architectures.
    """
    if expected.kind == "cpu" or (expected.kind is None and found.capability is None):
        return torch.device("cpu")
    machine = f"driver {found.driver or 'none'}, CUDA of torch {found.toolkit or 'none'}"
    if found.capability is None:
        why = f": {found.fault}" if found.fault else ""
        raise StageError(ErrorCode.GPU_UNAVAILABLE, f"no GPU that CUDA can use{why}; {machine}")
    if expected.architectures and not runs_on(expected.architectures, found.capability):
        number = ".".join(map(str, found.capability))
        facts = f"{found.name} is of architecture {number}, the kernels are of {expected.architectures}; {machine}"
        raise StageError(ErrorCode.GPU_UNAVAILABLE, facts)
    if found.fault is not None:
        raise StageError(ErrorCode.GPU_UNAVAILABLE, f"gsplat's kernels do not work: {found.fault}; {machine}")
    return torch.device("cuda")


def runs_on(architectures: str, capability: tuple[int, int]) -> bool:
    """Whether code compiled for `architectures` (TORCH_CUDA_ARCH_LIST) runs on a GPU of `capability`: binaries on later
    minor versions of their major version, PTX on everything later.

    https://docs.nvidia.com/cuda/cuda-c-programming-guide/#application-compatibility
    """
    for text in architectures.replace(";", " ").split():
        number, _, ptx = text.partition("+")
        major, minor = (int(part) for part in number.split("."))
        if capability[0] == major and capability[1] >= minor:
            return True
        if ptx and capability >= (major, minor):
            return True
    return False


def log(found: Found) -> None:
    """One line at the start of the job's log."""
    line = f"GPU: {found.name or 'none'}, driver {found.driver or 'none'}, CUDA of torch {found.toolkit or 'none'}"
    print(line, file=sys.stderr, flush=True)


def _driver() -> str | None:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return next(iter(answer.stdout.split()), None)


def fault_of_kernels(device: torch.device) -> str | None:
    """Why gsplat cannot draw a picture of one Gaussian and differentiate it on `device`; None if it can.

    This is the first computation on the device, so a GPU that is in use, or that the driver cannot serve, fails here.
    """
    try:
        # checked first, because without it gsplat would start a compiler
        importlib.import_module("gsplat.csrc")
        _draw_one(device)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def _draw_one(device: torch.device) -> None:
    shapes = ((1, 3), (1, 4), (1, 3), (1,), (1, 3), (1, 0, 3))
    means, quats, scales, opacities, sh0, shN = (torch.ones(n, device=device, requires_grad=True) for n in shapes)
    view, intrinsics = torch.eye(4, device=device), torch.eye(3, device=device)
    image, _, _ = rasterize_gsplat(means, quats, scales, opacities, sh0, shN, view, intrinsics, 16, 16, 0)
    image.sum().backward()  # type: ignore[no-untyped-call]
    float(image.detach().sum())  # waits for the device, which reports its errors late
