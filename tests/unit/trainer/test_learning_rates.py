"""Effects for which learning rates must be slow enough."""

from __future__ import annotations

import torch

from tests.support.gaussians import gaussians_of
from trainer.optimise import Seen, Splats


def test_noise_of_photos_hardly_becomes_colour_by_direction() -> None:
    """Gradients without a common direction change the colour from any direction by less than two grey levels."""
    count, steps = 100, 300
    ones = torch.ones(count, 1).numpy()
    start = gaussians_of(
        means=0 * ones.repeat(3, 1), quats=ones.repeat(4, 1), scales=0 * ones.repeat(3, 1), opacities=0 * ones[:, 0],
        sh0=0 * ones.repeat(3, 1), shN=0 * ones.repeat(45, 1).reshape(count, 15, 3),
    )  # fmt: skip
    splats = Splats.of(start, torch.device("cpu"))
    chance = torch.Generator().manual_seed(0)
    rows = torch.arange(count)
    for _ in range(steps):
        tensors = {name: tensor.clone() for name, tensor in splats.tensors.items()}
        for tensor in tensors.values():
            tensor.grad = torch.randn(tensor.shape, generator=chance)
        splats.step(Seen(rows, tensors), means_decay=1.0)
    mean_square = splats["shN"].square().sum(dim=1).mean() / (4 * torch.pi)  # over all directions: Parseval
    assert 0 < 255 * float(mean_square.sqrt()) < 2
