"""Parameters and their Adam state on a GPU: rows are moved by torch, and nothing is copied to the host."""

from __future__ import annotations

import torch
from torch import Tensor

from splat.adam import BETA1, BETA2, COLUMNS, EPSILON
from trainer.optimise import Splats, width


class DeviceSplats(Splats):
    """`Splats` updated by torch. Like gsplat's SelectiveAdam, it updates only Gaussians that were seen; it also
    corrects bias by each Gaussian's own step count.
    """

    @staticmethod
    def _move(
        parameters: dict[str, Tensor], gradients: dict[str, Tensor], moments: Tensor, rows: Tensor, rates: Tensor,
        corrections: Tensor,
    ) -> None:  # fmt: skip
        adam_rows_torch(parameters, gradients, moments, rows, rates, corrections)


def adam_rows_torch(
    parameters: dict[str, Tensor], gradients: dict[str, Tensor], moments: Tensor, rows: Tensor, rates: Tensor,
    corrections: Tensor,
) -> None:  # fmt: skip
    """`splat.adam.adam_rows` on any device."""
    gradient = torch.cat([gradients[name].reshape(len(rows), width(gradients[name])) for name in COLUMNS], dim=1)
    active = gradient.shape[1]
    first, second = moments[rows, 0, :active], moments[rows, 1, :active]
    first = first * float(BETA1) + gradient * (1 - float(BETA1))
    second = second * float(BETA2) + gradient.square() * (1 - float(BETA2))
    moments[rows, 0, :active], moments[rows, 1, :active] = first, second
    moves = corrections[:, None] * rates[:active] * first / (second.sqrt() + float(EPSILON))
    for name, column in COLUMNS.items():
        move = moves[:, column : column + width(gradients[name])].reshape(gradients[name].shape)
        if name == "shN":
            parameters[name][rows, : move.shape[1]] -= move
        else:
            parameters[name][rows] -= move
