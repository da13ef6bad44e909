"""The trained parameters and their Adam state, which must grow and shrink together.

The cost of a step depends only on what its photo shows: the Gaussians that a camera may see are copied into separate
leaf tensors, and the picture, the terms of the loss, the gradients and Adam work only on those rows. The other
Gaussians' parameters and moments stay unchanged (as in Taming 3DGS, Mallick et al. 2024, and gsplat's SelectiveAdam).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from splat.adam import BETA1, BETA2, COLUMNS, MOMENT_COLUMNS, adam_rows
from splat.camera import Camera
from splat.culling import in_view
from splat.gaussians import HIGHER_COEFFICIENTS, Gaussians
from splat.projection import packed
from trainer.dataset import Frame

# Learning rates for lengths in units of the viewing distance: several times those of the reference implementation,
# whose Adam keeps moving a Gaussian for some ten steps after a photo saw it; ours moves it only when it is seen. With a
# quarter of these rates, two drone sets lose 1.2 and 0.6 dB after 500 steps. Those of harmonics are only about twice
# the reference's: with higher rates they learn the noise of single photos, which costs quality in all other views and,
# at 45 of a Gaussian's 59 numbers, much of the delivered file's size.
LEARNING_RATES = {"means": 2.4e-3, "quats": 1.2e-2, "scales": 6e-2, "opacities": 0.3, "sh0": 3e-2, "shN": 3e-4}


@dataclass(frozen=True)
class Seen:
    """Copies of the Gaussians that one picture may show, by name as in `Splats`, of shN the coefficients in use.

    Leaves of autograd, V rows; `rows` (V,) are their indices among the N, ascending.
    """

    rows: Tensor
    tensors: dict[str, Tensor]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]


class Splats:
    """Tensors by name (means, quats, scales, opacities, sh0, shN), N rows each, and Adam's moments of them.

    They need no gradient: train on `seen_by` a camera, and give that to `step`.
    """

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.tensors = {name: tensors[name].detach().clone() for name in LEARNING_RATES}
        count, device = len(self), self.tensors["means"].device
        self._moments = torch.zeros(count, 2, MOMENT_COLUMNS, device=device)  # columns as in splat.adam
        self._steps = torch.zeros(count, dtype=torch.int32, device=device)  # that moved each Gaussian
        self._rates = _rates_by_column().to(device)

    @classmethod
    def of(cls, gaussians: Gaussians, device: torch.device) -> Self:
        return cls({name: torch.from_numpy(getattr(gaussians, name)).to(device) for name in LEARNING_RATES})

    def __len__(self) -> int:
        return int(self.tensors["means"].shape[0])

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    def seen_by(self, camera: Camera, degree: int) -> Seen:
        """The Gaussians that `camera`, in their frame, may show, with harmonics up to `degree`."""
        means, scales = self.tensors["means"].numpy(), self.tensors["scales"].numpy()
        return self.take(torch.from_numpy(in_view(means, scales, packed(camera), camera.width, camera.height)), degree)

    def take(self, rows: Tensor, degree: int) -> Seen:
        """Copies of the Gaussians `rows` (V,), ascending, with harmonics up to `degree`."""
        tensors = dict(self.tensors)
        tensors["shN"] = tensors["shN"][:, : HIGHER_COEFFICIENTS[degree]]
        return Seen(rows, {name: tensor.index_select(0, rows).requires_grad_() for name, tensor in tensors.items()})

    def gaussians(self, frame: Frame) -> Gaussians:
        """The Gaussians in the world."""
        arrays = {name: tensor.cpu().numpy() for name, tensor in self.tensors.items()}
        arrays["means"] = (arrays["means"].astype(np.float64) * frame.scale + frame.centre).astype(np.float32)
        arrays["scales"] = arrays["scales"] + np.float32(np.log(frame.scale))
        return Gaussians(**arrays)

    def step(self, seen: Seen, means_decay: float, share: float = 1.0) -> None:
        """One Adam step of what was seen, by the gradients on its tensors; every learning rate times `share`, the
        means' decayed besides.

        The moments' bias is corrected by each Gaussian's own number of steps: by the number of all steps, one that few
        photos see, or that was added late, would move at up to six times its learning rate. A flight whose photos see
        9 % of the Gaussians, 600 steps at these rates: 21.9 dB held out, 19.9 by the number of all steps.
        """
        steps = self._steps[seen.rows] + 1
        self._steps[seen.rows] = steps
        # in float64: 1 - β2 of the first step has four digits in float32
        corrections = torch.sqrt(-torch.expm1(steps.double() * np.log(float(BETA2))))
        corrections /= -torch.expm1(steps.double() * np.log(float(BETA1)))
        rates = self._rates * share
        rates[: COLUMNS["quats"]].mul_(means_decay)
        gradients = {
            name: torch.zeros_like(tensor) if tensor.grad is None else tensor.grad.contiguous()
            for name, tensor in seen.tensors.items()
        }
        self._move(self.tensors, gradients, self._moments, seen.rows, rates, corrections.float())

    def limit_sizes(self, rows: Tensor, limits: Tensor) -> None:
        """Cut standard deviations of the Gaussians `rows` (V,) to their `limits` (N,), both natural logarithms."""
        scales = self.tensors["scales"]
        scales[rows] = torch.minimum(scales[rows], limits[rows][:, None])

    def replace(self, keep: Tensor, added: dict[str, Tensor]) -> None:
        """Keep the Gaussians at the indices `keep` with their Adam state, and append `added` without one."""
        count = len(added["means"])
        for name, old in self.tensors.items():
            self.tensors[name] = torch.cat([old[keep], added[name]]).contiguous()
        for name in ("_moments", "_steps"):
            old = getattr(self, name)
            setattr(self, name, torch.cat([old[keep], old.new_zeros(count, *old.shape[1:])]))

    def forget(self, rows: Tensor) -> None:
        """Drop the Adam state of the Gaussians `rows`."""
        self._moments[rows], self._steps[rows] = 0, 0

    def finite(self) -> bool:
        """Whether every parameter is a finite number."""
        return all(bool(torch.isfinite(tensor).all()) for tensor in self.tensors.values())

    def state(self) -> dict[str, Any]:
        """The complete state, for a checkpoint."""
        return {"tensors": dict(self.tensors), "moments": self._moments, "steps": self._steps}

    @classmethod
    def restored(cls, state: dict[str, Any], device: torch.device) -> Self:
        splats = cls({name: tensor.to(device) for name, tensor in state["tensors"].items()})
        splats._moments, splats._steps = state["moments"].to(device), state["steps"].to(device)
        return splats

    @staticmethod
    def _move(
        parameters: dict[str, Tensor], gradients: dict[str, Tensor], moments: Tensor, rows: Tensor, rates: Tensor,
        corrections: Tensor,
    ) -> None:  # fmt: skip
        tables = [{name: tensor.numpy() for name, tensor in tensors.items()} for tensors in (parameters, gradients)]
        adam_rows(tables[0], tables[1], moments.numpy(), rows.numpy(), rates.numpy(), corrections.numpy())


def _rates_by_column() -> Tensor:
    """(MOMENT_COLUMNS,) learning rates in the order of a row of moments."""
    rates = torch.zeros(MOMENT_COLUMNS)
    columns = [*COLUMNS.values(), MOMENT_COLUMNS]
    for first, end, name in zip(columns[:-1], columns[1:], COLUMNS, strict=True):
        rates[first:end] = LEARNING_RATES[name]
    return rates


def width(tensor: Tensor) -> int:
    """Numbers in a row."""
    return math.prod(tensor.shape[1:])
