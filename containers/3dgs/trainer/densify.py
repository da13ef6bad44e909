"""Adaptive density control with a hard cap: splits the Gaussians whose centres have the largest gradients.

After Kerbl et al. 2023, with three differences that suit short runs from dense seeds. Each refinement takes as many
Gaussians as a growth curve allows, those with the largest gradients first, instead of all above a threshold. Opacities
are never reset. Nothing is cloned, because a clone doubles a Gaussian's alpha in its place (Rota Bulò et al. 2024).
A split at random positions would turn needles into more needles, so each Gaussian is split in two along its longest
axis, after Deng et al. 2025.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.optimise import Splats


@dataclass(frozen=True)
class Densification:
    """The parameters of refinement.

    prune_opacity: below it a Gaussian is removed, 0..1; default 0.005, a little above what is drawn at all (1/255).
    min_pull: mean gradient with respect to the centre, in units of half the picture's sides, below which another
        Gaussian gains nothing; default 2e-5, a tenth of the reference implementation's: the growth curve decides.
    half_offset: distance of each half's centre from the old one, in standard deviations along the longest axis;
        default 0.6.
    half_shrink: what the longest axis is divided by; default 1.7. With an offset of 0.6 the alpha of two halves
        stays within a quarter of the whole's, and has no dent in the middle.
    """

    prune_opacity: float = 0.005
    min_pull: float = 2e-5
    half_offset: float = 0.6
    half_shrink: float = 1.7


class Pull:
    """How strongly the photos pulled at each Gaussian's centre since the last refinement."""

    def __init__(self, count: int, device: torch.device) -> None:
        self.total = torch.zeros(count, device=device)
        self.views = torch.zeros(count, device=device)

    def add(
        self, gradients: Tensor, visible: Tensor, width: int, height: int, rows: Tensor | slice = slice(None)
    ) -> None:
        """Add a step's gradients (V, 2) with respect to the centres, in pixels, of the Gaussians `rows`; they are
        converted to units of half the picture's sides.
        """
        across, down = gradients.unbind(dim=1)
        self.total[rows] += torch.hypot(across * (width / 2), down * (height / 2))
        self.views[rows] += visible

    def keep(self, which: Tensor) -> None:
        """Forget the pull at all but the Gaussians `which` (N,)."""
        self.total *= which

    def mean(self) -> Tensor:
        """(N,) mean over the views that saw the Gaussian."""
        return self.total / self.views.clamp_min(1)


def refine(splats: Splats, pull: Pull, allowed: int, rules: Densification) -> None:
    """Prune the transparent, then split the most pulled at until there are `allowed` Gaussians."""
    with torch.no_grad():
        alive = torch.sigmoid(splats["opacities"]) > rules.prune_opacity
        score = torch.where(alive & torch.isfinite(pull.mean()), pull.mean(), torch.zeros_like(pull.total))
        room = max(0, allowed - int(alive.sum()))
        candidates = torch.argsort(score, descending=True, stable=True)[:room]
        candidates = candidates[score[candidates] > rules.min_pull]
        alive[candidates] = False
        splats.replace(torch.nonzero(alive)[:, 0], _halves(splats, candidates, rules))


def _halves(splats: Splats, which: Tensor, rules: Densification) -> dict[str, Tensor]:
    """Two Gaussians for each of `which`, side by side along its longest axis."""
    parts = {name: splats[name].detach()[which] for name in splats.tensors}
    rows, axis = torch.arange(len(which), device=which.device), parts["scales"].argmax(dim=1)
    along = torch.zeros_like(parts["scales"])
    along[rows, axis] = rules.half_offset * parts["scales"][rows, axis].exp()
    offsets = rotate(parts["quats"], along)
    parts["scales"][rows, axis] -= math.log(rules.half_shrink)
    halves = {name: torch.cat([values, values]) for name, values in parts.items()}
    halves["means"] = torch.cat([parts["means"] + offsets, parts["means"] - offsets])
    return halves


def rotate(quats: Tensor, vectors: Tensor) -> Tensor:
    """Turn `vectors` (N, 3) by `quats` (N, 4) wxyz of any length."""
    unit = torch.nn.functional.normalize(quats, dim=1)
    w, xyz = unit[:, :1], unit[:, 1:]
    cross = 2 * torch.linalg.cross(xyz, vectors)
    turned: Tensor = vectors + w * cross + torch.linalg.cross(xyz, cross)
    return turned
