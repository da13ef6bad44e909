"""Growing and pruning, with the optimiser's state in step."""

from __future__ import annotations

import numpy as np
import torch

from tests.support.gaussians import gaussians_of
from trainer.densify import SPLIT_SCALE, Pull, refine, rotate
from trainer.optimise import Splats

CPU = torch.device("cpu")


def make_splats(count: int, scale: float = SPLIT_SCALE / 2) -> Splats:
    rng = np.random.default_rng(0)
    gaussians = gaussians_of(
        means=rng.normal(size=(count, 3)),
        quats=rng.normal(size=(count, 4)),
        scales=np.full((count, 3), np.log(scale)),
        opacities=np.zeros(count),
        sh0=rng.normal(size=(count, 3)),
        shN=rng.normal(size=(count, 15, 3)),
    )
    splats = Splats.of(gaussians, CPU)
    for tensor in splats.tensors.values():
        tensor.grad = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(1))
    splats.step(1.0, harmonics=True)
    return splats


def pulled(values: list[float]) -> Pull:
    pull = Pull(len(values), CPU)
    pull.total = torch.tensor(values)
    pull.views = torch.ones(len(values))
    return pull


def test_the_most_pulled_are_cloned_up_to_what_is_allowed() -> None:
    splats = make_splats(5)
    before = splats["means"].detach().clone()
    refine(splats, pulled([0.1, 0.5, 0.2, 0.4, 0.3]), 7, torch.Generator().manual_seed(0))
    assert len(splats) == 7
    torch.testing.assert_close(splats["means"].detach()[:5], before)
    torch.testing.assert_close(splats["means"].detach()[5:], before[[1, 3]])


def test_the_large_are_split_in_two_smaller_ones_nearby() -> None:
    splats = make_splats(4, scale=0.1)
    before = {name: tensor.detach().clone() for name, tensor in splats.tensors.items()}
    refine(splats, pulled([0, 0, 1.0, 0]), 5, torch.Generator().manual_seed(0))
    assert len(splats) == 5
    torch.testing.assert_close(splats["means"].detach()[:3], before["means"][[0, 1, 3]])
    halves = splats["means"].detach()[3:]
    assert (halves - before["means"][2]).norm(dim=1).max() < 0.6
    assert not torch.equal(halves[0], halves[1])
    assert (splats["scales"].detach()[3:] < before["scales"][2]).all()
    torch.testing.assert_close(splats["shN"].detach()[3], before["shN"][2])


def test_the_transparent_and_the_huge_are_pruned() -> None:
    splats = make_splats(4)
    with torch.no_grad():
        splats["opacities"][1] = -7
        splats["scales"][2, 0] = 1
    refine(splats, pulled([0.0, 9.0, 9.0, 0.0]), 4, torch.Generator().manual_seed(0))
    assert len(splats) == 2


def test_a_scene_over_the_cap_does_not_grow() -> None:
    splats = make_splats(6)
    refine(splats, pulled([1.0] * 6), 3, torch.Generator().manual_seed(0))
    assert len(splats) == 6


def test_adam_goes_on_for_those_that_stay() -> None:
    """Two steps with a refinement between equal two steps without, for Gaussians that stay."""
    plain, refined = make_splats(4), make_splats(4)
    refine(refined, pulled([0, 0, 0, 1.0]), 5, torch.Generator().manual_seed(0))
    for splats in (plain, refined):
        for tensor in splats.tensors.values():
            tensor.grad = torch.full_like(tensor, 0.3)
        splats.step(1.0, harmonics=True)
    for name in plain.tensors:
        torch.testing.assert_close(refined[name].detach()[:4], plain[name].detach())


def test_pull_is_a_mean_over_views_that_saw() -> None:
    pull = Pull(2, CPU)
    pull.add(torch.tensor([[3.0, 0.0], [0.0, 0.0]]), torch.tensor([True, False]), 20, 10)
    pull.add(torch.tensor([[0.0, 2.0], [0.0, 1.0]]), torch.tensor([True, True]), 20, 10)
    assert pull.mean().tolist() == [20.0, 5.0]


def test_rotation_is_that_of_the_quaternion() -> None:
    from trainer.colmap import rotation_matrix

    quats = torch.randn(5, 4, dtype=torch.float64)
    vectors = torch.randn(5, 3, dtype=torch.float64)
    expected = np.stack([rotation_matrix(q.numpy()) @ v.numpy() for q, v in zip(quats, vectors, strict=True)])
    np.testing.assert_allclose(rotate(quats, vectors), expected, atol=1e-12)
