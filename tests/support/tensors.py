"""The parameters of Gaussians as torch leaf tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from splat.gaussians import Gaussians

NAMES = ("means", "quats", "scales", "opacities", "sh0", "shN")
Leaves = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def leaves_of(gaussians: Gaussians, dtype: torch.dtype, device: str = "cpu", *, requires_grad: bool = True) -> Leaves:
    """The six parameter tensors in the order of NAMES."""
    means, quats, scales, opacities, sh0, shN = (
        torch.tensor(getattr(gaussians, name), dtype=dtype, device=device, requires_grad=requires_grad)
        for name in NAMES
    )
    return means, quats, scales, opacities, sh0, shN


def gradient(leaf: Tensor) -> Tensor:
    """The gradient of a tensor after a backward pass."""
    assert leaf.grad is not None
    return leaf.grad
