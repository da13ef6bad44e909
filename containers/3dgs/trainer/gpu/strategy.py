"""Where Gaussians are added and removed while training on a GPU: one interface, three ways."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor

from splat.camera import Camera
from trainer.densify import Densification, Pull, refine, rotate
from trainer.optimise import Seen, Splats
from trainer.rasterize import RasterInfo


class Strategy(Protocol):
    """What a training loop asks of a way of growing.

    absgrad: whether the rasteriser is to sum the pixels' absolute gradients with respect to the centres.
    """

    @property
    def absgrad(self) -> bool: ...

    def begin(self, splats: Splats) -> None:
        """Start counting anew for `splats`."""

    def penalty(self, seen: Seen, visible: Tensor) -> Tensor | None:
        """Extra loss term of the Gaussians `visible` (V,) among those seen; None if there is none."""

    def observe(self, seen: Seen, info: RasterInfo, camera: Camera) -> None:
        """Look at a step's gradients."""

    def perturb(self, splats: Splats, seen: Seen, means_rate: float, chance: torch.Generator) -> None:
        """Move what was seen after the optimiser's step; `means_rate`: the learning rate of the means."""

    def refine(self, splats: Splats, allowed: int, chance: torch.Generator) -> None:
        """Add and remove Gaussians, up to `allowed` in total."""

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint must keep."""

    def restore(self, state: dict[str, Tensor], device: torch.device) -> None:
        """Continue from where `state` was taken."""


@dataclass
class Splitting:
    """Splits in two the Gaussians with the largest gradients of their centres (`densify.refine`).

    absgrad: count a pull as the sum of its pixels' absolute gradients, which do not cancel where one Gaussian covers
        detail on both of its sides (Ye et al. 2024, AbsGS); default True. The reference implementation's threshold is
        then three to four times as high, and so is ours.
    inside: which of the means (N, 3) may be split; all without one.
    """

    absgrad: bool = True
    rules: Densification = field(default_factory=Densification)
    inside: Callable[[Tensor], Tensor] | None = None
    _pull: Pull = field(init=False, repr=False)

    _ABSGRAD_PULL = 4.0

    def begin(self, splats: Splats) -> None:
        self._pull = Pull(len(splats), splats["means"].device)

    def penalty(self, seen: Seen, visible: Tensor) -> Tensor | None:  # noqa: ARG002
        return None

    def observe(self, seen: Seen, info: RasterInfo, camera: Camera) -> None:
        gradients = info.absolute_centre_gradients if self.absgrad else info.centre_gradients
        self._pull.add(gradients, info.visible, camera.width, camera.height, seen.rows)

    def perturb(self, splats: Splats, seen: Seen, means_rate: float, chance: torch.Generator) -> None:
        pass

    def refine(self, splats: Splats, allowed: int, chance: torch.Generator) -> None:  # noqa: ARG002
        threshold = self.rules.min_pull * (self._ABSGRAD_PULL if self.absgrad else 1)
        if self.inside is not None:
            self._pull.keep(self.inside(splats["means"]))
        refine(splats, self._pull, allowed, Densification(**{**vars(self.rules), "min_pull": threshold}))
        self.begin(splats)

    def state(self) -> dict[str, Tensor]:
        return {"total": self._pull.total, "views": self._pull.views}

    def restore(self, state: dict[str, Tensor], device: torch.device) -> None:
        self._pull = Pull(len(state["total"]), device)
        self._pull.total, self._pull.views = state["total"].to(device), state["views"].to(device)


@dataclass
class Relocation:
    """Gaussians as samples of a distribution (Kheradmand et al. 2024, "3DGS as Markov Chain Monte Carlo").

    The transparent move to where opaque ones are, new ones are drawn likewise, and the moved and the drawn share what
    the one had, so that the picture stays; noise moves those that are hardly opaque; opacities and scales are held
    down, of the visible alone: on a long flight a photo sees a twentieth, and a term on all would weigh twenty times as
    much.

    min_opacity: below it a Gaussian is moved; default 0.005.
    noise: of the means, in learning rates times the covariance; default 5e5.
    opacity_weight, scale_weight: of the means over the visible; default 0.01 each, scales in viewing distances.
    """

    min_opacity: float = 0.005
    noise: float = 5e5
    opacity_weight: float = 0.01
    scale_weight: float = 0.01
    absgrad: bool = field(default=False, init=False)

    def begin(self, splats: Splats) -> None:
        pass

    def penalty(self, seen: Seen, visible: Tensor) -> Tensor | None:
        opacities = torch.sigmoid(seen["opacities"]) * self.opacity_weight
        scales = torch.exp(seen["scales"]).mean(dim=1) * self.scale_weight
        return ((opacities + scales) * visible).sum() / visible.sum().clamp(min=1)

    def observe(self, seen: Seen, info: RasterInfo, camera: Camera) -> None:
        pass

    def perturb(self, splats: Splats, seen: Seen, means_rate: float, chance: torch.Generator) -> None:
        rows = seen.rows
        opacities = torch.sigmoid(splats["opacities"][rows])
        loose = torch.sigmoid(100 * (0.005 - opacities))  # 1 of the transparent, 0 of the opaque
        draw = torch.randn(len(rows), 3, generator=chance, device=rows.device)
        variances = torch.exp(2 * splats["scales"][rows])
        quats = splats["quats"][rows]
        conjugate = torch.cat([quats[:, :1], -quats[:, 1:]], dim=1)
        moved = rotate(quats, variances * rotate(conjugate, draw))  # Σ times the draw
        splats["means"][rows] += moved * (loose * self.noise * means_rate)[:, None]

    def refine(self, splats: Splats, allowed: int, chance: torch.Generator) -> None:
        with torch.no_grad():
            opacities = torch.sigmoid(splats["opacities"])
            alive = torch.nonzero(opacities > self.min_opacity)[:, 0]
            if len(alive) == 0:
                return
            count = max(allowed, len(alive)) - len(alive)
            chosen = alive[self._sample(opacities[alive], count, chance)]
            copies = torch.bincount(chosen, minlength=len(splats))
            new_opacities, shrink = shared(opacities, copies + 1)
            changed = torch.nonzero(copies)[:, 0]
            logits = torch.logit(new_opacities.clamp(self.min_opacity, 1 - 1e-6))
            splats["opacities"][changed] = logits[changed]
            splats["scales"][changed] += shrink[changed, None].log()
            splats.forget(changed)
            added = {name: values[chosen] for name, values in splats.tensors.items()}
            splats.replace(alive, added)

    def _sample(self, weights: Tensor, count: int, chance: torch.Generator) -> Tensor:
        """`count` indices, by weight, with replacement: by the cumulative sum, which torch.multinomial's limit of 2²⁴
        does not bind.
        """
        total = weights.double().cumsum(0)
        draws = torch.rand(count, generator=chance, device=weights.device, dtype=torch.float64) * total[-1]
        return torch.searchsorted(total, draws).clamp(max=len(weights) - 1)

    def state(self) -> dict[str, Tensor]:
        return {}

    def restore(self, state: dict[str, Tensor], device: torch.device) -> None:
        pass


MAX_SHARES = 16  # one Gaussian is shared by at once; more make the alternating sum below lose its digits


def shared(opacities: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Opacities (N,) of `counts` (N,) Gaussians that together show what one of `opacities` showed, and the factor (N,)
    of their standard deviations.

    Equation 9 of the paper; its double sum over binomials is one, for they add up along a diagonal of the triangle.
    """
    counts = counts.clamp(1, MAX_SHARES).long()
    old = opacities.double().clamp(max=1 - 1e-9)
    new = 1 - (1 - old) ** (1 / counts)
    table = _alternating(opacities.device)
    powers = new[:, None] ** torch.arange(1, MAX_SHARES + 1, device=opacities.device)
    spread = (table[counts - 1] * powers).sum(dim=1)
    return new.to(opacities.dtype), (old / spread).to(opacities.dtype)


@cache
def _alternating(device: torch.device) -> Tensor:
    """(n - 1, k): C(n, k + 1)·(-1)^k / √(k + 1)."""
    rows = [
        [math.comb(n, k + 1) * (-1) ** k / math.sqrt(k + 1) for k in range(MAX_SHARES)]
        for n in range(1, MAX_SHARES + 1)
    ]
    return torch.tensor(rows, dtype=torch.float64, device=device)


STRATEGIES: dict[str, Callable[[], Any]] = {
    "default": lambda: Splitting(absgrad=False),
    "absgrad": Splitting,
    "mcmc": Relocation,
}
