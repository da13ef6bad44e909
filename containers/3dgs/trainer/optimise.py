"""The trained parameters and their Adam state, which must grow and shrink together.

A step costs what its photo shows: the Gaussians that a camera may see are copied into leaves of their own, and the
picture, whatever terms a loss adds, the gradients and Adam work on those rows alone. The others' parameters and moments
stay as they are (as in Taming 3DGS, Mallick et al. 2024, and gsplat's SelectiveAdam).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splat.adam import BETA1, BETA2, COLUMNS, EPSILON, MOMENT_COLUMNS, adam_rows
from splat.camera import Camera
from splat.culling import frustum, in_view
from splat.gaussians import HIGHER_COEFFICIENTS, Gaussians
from splat.projection import NEAR, packed
from trainer.dataset import Frame

# Learning rates for lengths in units of the viewing distance: several times those of the reference implementation,
# whose Adam moves a Gaussian on for some ten steps after a photo saw it, where ours moves it when it is seen. With a
# quarter of these, two drone sets lose 1.2 and 0.6 dB after 500 steps.
LEARNING_RATES = {"means": 2.4e-3, "quats": 1.2e-2, "scales": 6e-2, "opacities": 0.3, "sh0": 3e-2, "shN": 1.5e-3}


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

    @classmethod
    def of(cls, gaussians: Gaussians, device: torch.device) -> Splats:
        return cls({name: torch.from_numpy(getattr(gaussians, name)).to(device) for name in LEARNING_RATES})

    def __len__(self) -> int:
        return int(self.tensors["means"].shape[0])

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    def seen_by(self, camera: Camera, degree: int) -> Seen:
        """The Gaussians that `camera`, in their frame, may show, with harmonics up to `degree`."""
        means, scales, view = self.tensors["means"], self.tensors["scales"], packed(camera)
        if means.is_cuda:
            rows = in_view_torch(means, scales, view, camera.width, camera.height)
        else:
            rows = torch.from_numpy(in_view(means.numpy(), scales.numpy(), view, camera.width, camera.height))
        tensors = dict(self.tensors)
        tensors["shN"] = tensors["shN"][:, : HIGHER_COEFFICIENTS[degree]]
        return Seen(rows, {name: tensor.index_select(0, rows).requires_grad_() for name, tensor in tensors.items()})

    def gaussians(self, frame: Frame) -> Gaussians:
        """The Gaussians in the world."""
        arrays = {name: tensor.cpu().numpy() for name, tensor in self.tensors.items()}
        arrays["means"] = (arrays["means"].astype(np.float64) * frame.scale + frame.centre).astype(np.float32)
        arrays["scales"] = arrays["scales"] + np.float32(np.log(frame.scale))
        return Gaussians(**arrays)

    def step(self, seen: Seen, means_decay: float) -> None:
        """One Adam step of what was seen, by the gradients on its tensors; the means' rate decayed.

        The moments' bias is corrected by each Gaussian's own number of steps: by the number of all steps, one that few
        photos see, or that was added late, would move at up to six times its learning rate. A flight whose photos see
        9 % of the Gaussians, 600 steps at these rates: 21.9 dB held out, 19.9 by the number of all steps.
        """
        steps = self._steps[seen.rows] + 1
        self._steps[seen.rows] = steps
        # in float64: 1 - β2 of the first step has four digits in float32
        corrections = torch.sqrt(-torch.expm1(steps.double() * np.log(float(BETA2))))
        corrections /= -torch.expm1(steps.double() * np.log(float(BETA1)))
        rates = torch.zeros(MOMENT_COLUMNS, device=steps.device)
        for name, rate in LEARNING_RATES.items():
            first = COLUMNS[name]
            rates[first : first + _width(self.tensors[name])] = rate * (means_decay if name == "means" else 1.0)
        gradients = {
            name: torch.zeros_like(tensor) if tensor.grad is None else tensor.grad.contiguous()
            for name, tensor in seen.tensors.items()
        }
        move = adam_rows_torch if rates.is_cuda else _adam_rows
        move(self.tensors, gradients, self._moments, seen.rows, rates, corrections.float())

    def limit_sizes(self, rows: Tensor, limits: Tensor) -> None:
        """Cut standard deviations of the Gaussians `rows` (V,) to their `limits` (N,), both natural logarithms."""
        scales = self.tensors["scales"]
        scales[rows] = torch.minimum(scales[rows], limits[rows][:, None])

    def replace(self, keep: Tensor, added: dict[str, Tensor]) -> None:
        """Keep the Gaussians at the indices `keep` with their Adam state, and append `added` with none."""
        count = len(added["means"])
        for name, old in self.tensors.items():
            self.tensors[name] = torch.cat([old[keep], added[name]]).contiguous()
        for name in ("_moments", "_steps"):
            old = getattr(self, name)
            setattr(self, name, torch.cat([old[keep], old.new_zeros(count, *old.shape[1:])]))

    def finite(self) -> bool:
        """Whether every parameter is a finite number."""
        return all(bool(torch.isfinite(tensor).all()) for tensor in self.tensors.values())

    def state(self) -> dict[str, Any]:
        """All there is to save."""
        return {"tensors": dict(self.tensors), "moments": self._moments, "steps": self._steps}

    @classmethod
    def restored(cls, state: dict[str, Any], device: torch.device) -> Splats:
        splats = cls({name: tensor.to(device) for name, tensor in state["tensors"].items()})
        splats._moments, splats._steps = state["moments"].to(device), state["steps"].to(device)
        return splats


def _adam_rows(
    parameters: dict[str, Tensor], gradients: dict[str, Tensor], moments: Tensor, rows: Tensor, rates: Tensor,
    corrections: Tensor,
) -> None:  # fmt: skip
    tables = [{name: tensor.numpy() for name, tensor in tensors.items()} for tensors in (parameters, gradients)]
    adam_rows(tables[0], tables[1], moments.numpy(), rows.numpy(), rates.numpy(), corrections.numpy())


def adam_rows_torch(
    parameters: dict[str, Tensor], gradients: dict[str, Tensor], moments: Tensor, rows: Tensor, rates: Tensor,
    corrections: Tensor,
) -> None:  # fmt: skip
    """`splat.adam.adam_rows` on any device."""
    gradient = torch.cat([gradients[name].reshape(len(rows), _width(gradients[name])) for name in COLUMNS], dim=1)
    active = gradient.shape[1]
    first, second = moments[rows, 0, :active], moments[rows, 1, :active]
    first = first * float(BETA1) + gradient * (1 - float(BETA1))
    second = second * float(BETA2) + gradient.square() * (1 - float(BETA2))
    moments[rows, 0, :active], moments[rows, 1, :active] = first, second
    moves = corrections[:, None] * rates[:active] * first / (second.sqrt() + float(EPSILON))
    for name, column in COLUMNS.items():
        move = moves[:, column : column + _width(gradients[name])].reshape(gradients[name].shape)
        if name == "shN":
            parameters[name][rows, : move.shape[1]] -= move
        else:
            parameters[name][rows] -= move


def _width(tensor: Tensor) -> int:
    """Numbers in a row."""
    return math.prod(tensor.shape[1:])


def in_view_torch(means: Tensor, scales: Tensor, view: np.ndarray, width: int, height: int) -> Tensor:
    """`splat.culling.in_view` on any device."""
    rotation, translation = (torch.from_numpy(part).to(means) for part in (view[:9].reshape(3, 3), view[9:12]))
    x, y, z = (means @ rotation.T + translation).unbind(1)
    deviation = scales.amax(dim=1).exp()
    inside = z >= float(NEAR)
    limits = frustum(view, width, height).tolist()
    for lengths, (a, b, c) in ((view[12] * x, limits[:3]), (view[13] * y, limits[3:])):
        inside &= (lengths > -(a * deviation + b * z)) & (lengths < a * deviation + c * z)
    return torch.nonzero(inside)[:, 0]
