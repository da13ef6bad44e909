"""The photometric loss as a torch function: one fused numba pass on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from splat.loss import Buffers, Target, photometric_loss


class Photometric:
    """Compares pictures with photos, of whatever sizes, in one scratch memory."""

    def __init__(self) -> None:
        self._buffers = Buffers()

    def __call__(self, image: Tensor, target: Target) -> Tensor:
        """(1 - λ)·L1 + λ·(1 - SSIM) of `image` (height, width, 3) as a differentiable scalar."""
        loss: Tensor = _FusedLoss.apply(image, target, self._buffers)  # type: ignore[no-untyped-call]
        return loss


def seen_only(image: Tensor, target: Target, mask: NDArray[np.bool_]) -> Tensor:
    """`image` (height, width, 3) with the photo's own pixels where `mask` (height, width) is False, so that nothing is
    learnt from those.
    """
    photo = torch.from_numpy(target.planes).permute(1, 2, 0)
    return torch.where(torch.from_numpy(mask)[..., None], image, photo)


class _FusedLoss(torch.autograd.Function):
    """Computes loss and gradient in one pass; the backward pass only returns the gradient."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, target: Target, buffers: Buffers) -> Tensor:
        result = photometric_loss(image.detach().contiguous().numpy(), target, buffers)
        ctx.gradient = torch.from_numpy(result.gradient)
        return torch.tensor(result.value)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return ctx.gradient.mul_(gradients[0]), None, None
