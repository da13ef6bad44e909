"""The photos' cameras as tensors on the device, and which Gaussians each of the next photos may show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from splat.camera import Camera
from splat.culling import frustum
from splat.projection import NEAR, packed
from trainer.dataset import Frame, Photo
from trainer.gpu.schedule import FACTORS


@dataclass(frozen=True)
class Shot:
    """A photo's camera in the frame of training at one of the pictures' sizes; `view` (4, 4) and `K` (3, 3) are on the
    device, `limits` (6,) are those of `splat.culling.frustum`.
    """

    camera: Camera
    view: Tensor
    K: Tensor
    limits: tuple[float, ...]

    def may_show(self, means: Tensor, deviations: Tensor) -> Tensor:
        """(N,) whether a Gaussian at `means` (N, 3) of longest standard deviation `deviations` (N,) may be drawn."""
        x, y, z = (means @ self.view[:3, :3].T + self.view[:3, 3]).unbind(1)
        a, b, c, d, e, f = self.limits
        across, down = self.camera.fx * x, self.camera.fy * y
        inside = (z >= float(NEAR)) & (across > -(a * deviations + b * z)) & (across < a * deviations + c * z)
        return inside & (down > -(d * deviations + e * z)) & (down < d * deviations + f * z)


class Shots:
    """Every photo's `Shot` at every size of the pictures, copied to the device once."""

    def __init__(self, photos: Sequence[Photo], frame: Frame, device: torch.device) -> None:
        self._shots: dict[tuple[str, float], Shot] = {}
        for factor in FACTORS:
            cameras = [frame.camera(photo.at(factor)) for photo in photos]
            views = _on(np.stack([camera.world_to_camera for camera in cameras]), device)
            intrinsics = _on(np.stack([camera.intrinsics for camera in cameras]), device)
            for photo, camera, view, K in zip(photos, cameras, views, intrinsics, strict=True):
                limits = frustum(packed(camera), camera.width, camera.height).tolist()
                self._shots[photo.name, factor] = Shot(camera, view, K, tuple(limits))

    def of(self, photo: Photo, factor: float) -> Shot:
        return self._shots[photo.name, factor]


def rows_in_view(shots: Sequence[Shot], means: Tensor, scales: Tensor) -> list[Tensor]:
    """For each shot the indices, ascending, of the Gaussians that it may show: one wait for the device, whatever
    their number.
    """
    deviations = scales.amax(dim=1).exp()
    inside = torch.stack([shot.may_show(means, deviations) for shot in shots])
    counts = inside.sum(dim=1).tolist()
    return list(torch.split(torch.nonzero(inside)[:, 1], counts))


def _on(values: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(device)
