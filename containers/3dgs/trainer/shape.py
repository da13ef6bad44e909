"""Limits on the shape of Gaussians during training: none is longer than the photos can support, and none is a needle.

A few Gaussians are enough to veil every view that no photo has: on a flight that looks straight down, the 1.3 % longer
than 0.08 viewing distances took 6 dB from the views from the side (benchmarks/README.md). Pruning them after training
would lose the brightness that they carry; if they are limited during training, others grow in their place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

_MEANS_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class Shape:
    """Limits on a Gaussian's standard deviations.

    max_size: longest, in viewing distances; beyond one viewing distance from the nearest camera it grows with the
        square of that distance, for far ground is seen at a slant. Default 0.12. On a nadir flight, views from the side
        match the surfaces that photos agree on at 28.4 dB with 0.04, 28.0 with 0.12 and 20.8 with 0.3 away from the
        dense seeds; held-out views of a flight that sees the horizon have 24.8, 26.0 and 26.2 dB.
    max_aspect: longest over middle beyond which the Gaussian is penalised; default 5.
    aspect_weight: weight of the penalty in the loss, the mean over the visible of the logarithm beyond the limit;
        default 0.1: no needle is left at no measurable cost in PSNR.
    """

    max_size: float = 0.12
    max_aspect: float = 5.0
    aspect_weight: float = 0.1

    def aspect_penalty(self, scales: Tensor, visible: Tensor) -> Tensor:
        """Penalty of the `visible` (V,) among Gaussians with `scales` (V, 3), natural logarithms of standard
        deviations; 0 of none.
        """
        ordered = torch.sort(scales, dim=1).values
        beyond = torch.relu(ordered[:, 2] - ordered[:, 1] - math.log(self.max_aspect))
        return self.aspect_weight * (beyond * visible).sum() / visible.sum().clamp(min=1)

    def limits(self, means: NDArray[np.float32], cameras: NDArray[np.float64]) -> NDArray[np.float32]:
        """(N,) natural logarithm of the longest standard deviation allowed for Gaussians at `means` (N, 3).

        `cameras` (C, 3) are the positions of the training photos' cameras; both in the frame of training, whose unit is
        the viewing distance.
        """
        nearest, _ = cKDTree(cameras).query(means)
        limits: NDArray[np.float32] = np.log(self.max_size * np.maximum(1.0, nearest) ** 2).astype(np.float32)
        return limits

    def limits_on_device(self, means: Tensor, cameras: Tensor) -> Tensor:
        """`limits` of `means` (N, 3) by `cameras` (C, 3) on their device."""
        nearest = torch.cat([torch.cdist(part, cameras).amin(dim=1) for part in torch.split(means, _MEANS_AT_ONCE)])
        return torch.log(self.max_size * nearest.clamp(min=1.0) ** 2)
