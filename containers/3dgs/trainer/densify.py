"""Adaptive density control with a hard cap: Gaussians whose centres the photos pull at are cloned or split.

After Kerbl et al. 2023, with two differences that short runs want: at each refinement the strongest pulled Gaussians
are taken, as many as a growth curve allows, instead of all beyond a threshold; and opacities are never reset.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainer.optimise import Splats

PRUNE_OPACITY = 0.005
PRUNE_SCALE = 1.0  # standard deviation in units of the viewing distance
SPLIT_SCALE = 0.01  # what is larger is split, what is smaller cloned
MIN_PULL = 2e-5  # mean gradient by half pictures below which nothing is gained by another Gaussian
_SPLIT_SHRINK = 1.6


class Pull:
    """How strongly the photos pulled at each Gaussian's centre since the last refinement."""

    def __init__(self, count: int, device: torch.device) -> None:
        self.total = torch.zeros(count, device=device)
        self.views = torch.zeros(count, device=device)

    def add(
        self, gradients: Tensor, visible: Tensor, width: int, height: int, rows: Tensor | slice = slice(None)
    ) -> None:
        """Add a step's gradients (V, 2) by the centres in pixels of the Gaussians `rows`; they count as by half the
        picture's sides.
        """
        size = torch.tensor([width / 2, height / 2], dtype=gradients.dtype, device=gradients.device)
        self.total[rows] += (gradients * size).norm(dim=1)
        self.views[rows] += visible

    def mean(self) -> Tensor:
        """(N,) mean over the views that saw the Gaussian."""
        return self.total / self.views.clamp_min(1)


def refine(splats: Splats, pull: Pull, allowed: int, generator: torch.Generator) -> None:
    """Prune the transparent and the huge, then grow the most pulled at until there are `allowed` Gaussians.

    `generator` lives on the CPU and places the halves of what is split.
    """
    with torch.no_grad():
        largest = splats["scales"].max(dim=1).values
        alive = (torch.sigmoid(splats["opacities"]) > PRUNE_OPACITY) & (largest.exp() < PRUNE_SCALE)
        score = torch.where(alive & torch.isfinite(pull.mean()), pull.mean(), torch.zeros_like(pull.total))
        room = max(0, allowed - int(alive.sum()))
        candidates = torch.argsort(score, descending=True, stable=True)[:room]
        candidates = candidates[score[candidates] > MIN_PULL]
        large = largest[candidates].exp() > SPLIT_SCALE
        split, clone = candidates[large], candidates[~large]
        alive[split] = False
        halves = _halves(splats, split, generator)
        added = {name: torch.cat([splats[name].detach()[clone], halves[name]]) for name in splats.tensors}
        splats.replace(torch.nonzero(alive)[:, 0], added)


def _halves(splats: Splats, which: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
    """Two Gaussians for each of `which`, drawn from it and smaller."""
    twice = torch.cat([which, which])
    parts = {name: splats[name].detach()[twice] for name in splats.tensors}
    offsets = torch.randn(len(twice), 3, generator=generator).to(twice.device) * parts["scales"].exp()
    parts["means"] = parts["means"] + rotate(parts["quats"], offsets)
    parts["scales"] = parts["scales"] - torch.log(torch.tensor(_SPLIT_SHRINK))
    return parts


def rotate(quats: Tensor, vectors: Tensor) -> Tensor:
    """Turn `vectors` (N, 3) by `quats` (N, 4) wxyz of any length."""
    unit = torch.nn.functional.normalize(quats, dim=1)
    w, xyz = unit[:, :1], unit[:, 1:]
    cross = 2 * torch.linalg.cross(xyz, vectors)
    turned: Tensor = vectors + w * cross + torch.linalg.cross(xyz, cross)
    return turned
