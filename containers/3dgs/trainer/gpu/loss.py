"""The photometric loss and its gradient in one pass of torch, for a GPU: the arithmetic of `splat.loss`."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d

from splat.loss import SSIM_WEIGHT

_RADIUS = 5
_C1, _C2 = 0.01**2, 0.03**2


def photometric(image: Tensor, planes: Tensor) -> Tensor:
    """(1 - λ)·L1 + λ·(1 - SSIM) of `image` (height, width, 3) and a photo's `planes` (3, height, width), a
    differentiable scalar on their device.
    """
    loss: Tensor = _Photometric.apply(image, planes)  # type: ignore[no-untyped-call]
    return loss


class _Photometric(torch.autograd.Function):
    """The window is symmetric and beyond the picture are zeros, so that blurring is its own adjoint: the gradient is
    three planes blurred again, and nothing is kept for the backward pass but the gradient.
    """

    @staticmethod
    def forward(ctx: Any, image: Tensor, planes: Tensor) -> Tensor:
        x, y = image.permute(2, 0, 1), planes
        mx, my, mxx, myy, mxy = window_means(torch.stack([x, y, x * x, y * y, x * y]))
        a1, a2 = 2 * mx * my + _C1, 2 * (mxy - mx * my) + _C2
        b1, b2 = mx * mx + my * my + _C1, (mxx - mx * mx) + (myy - my * my) + _C2
        scale = 1 / (b1 * b2)
        ssim = a1 * a2 * scale
        by_variance, by_covariance = -ssim * b1 * scale, 2 * a1 * scale
        by_mean = 2 * (my * a2 - mx * ssim * b2) * scale - 2 * mx * by_variance - my * by_covariance
        by_x, by_xx, by_xy = window_means(torch.stack([by_mean, by_variance, by_covariance]))
        by_ssim = by_x + 2 * x * by_xx + y * by_xy
        error = x - y
        gradient = ((1 - SSIM_WEIGHT) * error.sign() - SSIM_WEIGHT * by_ssim) / error.numel()
        ctx.save_for_backward(gradient.permute(1, 2, 0))
        loss: Tensor = (1 - SSIM_WEIGHT) * error.abs().mean() + SSIM_WEIGHT * (1 - ssim.mean())
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * gradients[0], None


def window_means(planes: Tensor) -> Tensor:
    """Means of `planes` (..., height, width) under SSIM's window: rows, then columns, 22 products instead of 121."""
    row = _window(planes.device)
    flat = planes.reshape(-1, 1, *planes.shape[-2:])
    by_row = conv2d(flat, row[None, None, None], padding=(0, _RADIUS))
    means: Tensor = conv2d(by_row, row[None, None, :, None], padding=(_RADIUS, 0)).reshape(planes.shape)
    return means


@cache
def _window(device: torch.device) -> Tensor:
    weights = np.exp(-0.5 * (np.arange(-_RADIUS, _RADIUS + 1) / 1.5) ** 2)
    return torch.tensor(weights / weights.sum(), dtype=torch.float32, device=device)
