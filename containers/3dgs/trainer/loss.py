"""The photometric loss as torch sees it: one fused numba pass on the CPU, convolutions elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d

from splat.loss import SSIM_WEIGHT, Buffers, Target, photometric_loss


class Photometric:
    """Compares pictures with photos, of whatever sizes, in one scratch memory."""

    def __init__(self) -> None:
        self._buffers = Buffers()

    def __call__(self, image: Tensor, target: Target) -> Tensor:
        """(1 - λ)·L1 + λ·(1 - SSIM) of `image` (height, width, 3) as a differentiable scalar."""
        if image.is_cuda:
            return _torch_loss(image, torch.from_numpy(target.planes).to(image.device))
        loss: Tensor = _FusedLoss.apply(image, target, self._buffers)  # type: ignore[no-untyped-call]
        return loss


def seen_only(image: Tensor, target: Target, mask: NDArray[np.bool_]) -> Tensor:
    """`image` (height, width, 3) with the photo's own pixels where `mask` (height, width) is False, so that nothing is
    learnt from those.
    """
    photo = torch.from_numpy(target.planes).permute(1, 2, 0).to(image.device)
    return torch.where(torch.from_numpy(mask).to(image.device)[..., None], image, photo)


class _FusedLoss(torch.autograd.Function):
    """Loss and gradient come from one pass; the backward pass only hands the gradient on."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, target: Target, buffers: Buffers) -> Tensor:
        result = photometric_loss(image.detach().contiguous().numpy(), target, buffers)
        ctx.gradient = torch.from_numpy(result.gradient)
        return torch.tensor(result.value)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return ctx.gradient.mul_(gradients[0]), None, None


def _torch_loss(image: Tensor, planes: Tensor) -> Tensor:
    x, y = image.permute(2, 0, 1)[None], planes[None]
    l1 = (x - y).abs().mean()
    return (1 - SSIM_WEIGHT) * l1 + SSIM_WEIGHT * (1 - torch_ssim(x, y))


def torch_ssim(x: Tensor, y: Tensor) -> Tensor:
    """Mean SSIM of two (1, 3, height, width) pictures, as `splat.loss` defines it."""
    window = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    row = torch.tensor(window / window.sum(), dtype=x.dtype, device=x.device)
    kernel = (row[:, None] * row[None, :]).expand(3, 1, 11, 11)

    def mean(values: Tensor) -> Tensor:
        return conv2d(values, kernel, padding=5, groups=3)

    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    return ((2 * mx * my + c1) * (2 * cov + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))).mean()
