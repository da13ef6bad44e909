"""Compare the pictures and gradients of gsplat on this machine with those of our CPU rasteriser."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from splat.camera import look_at
from trainer.rasterize import rasterize, rasterize_gsplat

PICTURE, GRADIENT = 1e-3, 1e-2  # allowed: of a picture 0..1, and relative to a gradient's own length
_WIDTH, _HEIGHT = 160, 120
_NAMES = ("means", "quats", "scales", "opacities", "sh0", "shN")


@dataclass(frozen=True)
class Parity:
    """`picture`: the error that 99.9 % of the pixels do not exceed; the rest is at the threshold of alpha. `gradients`:
    the length of the error of each parameter's gradient, relative to the gradient's length.
    """

    picture: float
    gradients: dict[str, float]

    @property
    def passes(self) -> bool:
        return self.picture <= PICTURE and max(self.gradients.values()) <= GRADIENT


def measure(device: torch.device, count: int, seed: int = 0) -> Parity:
    """Of `count` Gaussians at random before one camera."""
    rng = np.random.default_rng(seed)
    values = {
        "means": rng.uniform(-1, 1, (count, 3)),
        "quats": rng.normal(size=(count, 4)),
        "scales": np.log(rng.uniform(0.005, 0.1, (count, 3))),
        "opacities": rng.normal(0, 1.5, count),
        "sh0": rng.normal(0, 0.8, (count, 3)),
        "shN": rng.normal(0, 0.15, (count, 15, 3)),
    }
    camera = look_at((1.5, -2, 1.2), (0, 0, 0), width=_WIDTH, height=_HEIGHT)
    weights = torch.from_numpy(rng.normal(size=(_HEIGHT, _WIDTH, 3)).astype(np.float32))
    found: list[dict[str, Tensor]] = []
    for on, draw in ((torch.device("cpu"), rasterize), (device, rasterize_gsplat)):
        leaves = [torch.from_numpy(values[name].astype(np.float32)).to(on).requires_grad_() for name in _NAMES]
        means, quats, scales, opacities, sh0, shN = leaves
        view, K = (
            torch.from_numpy(matrix.astype(np.float32)).to(on) for matrix in (camera.world_to_camera, camera.intrinsics)
        )
        image, _, _ = draw(means, quats, scales, opacities, sh0, shN, view, K, _WIDTH, _HEIGHT, 3)
        (image * weights.to(on)).sum().backward()  # type: ignore[no-untyped-call]
        gradients = {name: leaf.grad.cpu() for name, leaf in zip(_NAMES, leaves, strict=True) if leaf.grad is not None}
        found.append({"picture": image.detach().cpu(), **gradients})
    ours, theirs = found
    error = (ours["picture"] - theirs["picture"]).abs().amax(dim=2).flatten()
    lengths = {name: float((ours[name] - theirs[name]).norm() / ours[name].norm()) for name in _NAMES}
    return Parity(float(error.quantile(0.999)), lengths)
