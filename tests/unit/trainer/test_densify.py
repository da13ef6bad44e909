"""Growing and pruning, with the optimiser's state kept consistent."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from tests.support.gaussians import gaussians_of
from trainer.densify import Densification, Pull, refine, rotate
from trainer.optimise import Seen, Splats

CPU = torch.device("cpu")


RULES = Densification()


def make_splats(count: int, scale: float = 0.005) -> Splats:
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
    generator = torch.Generator().manual_seed(1)
    move(splats, lambda tensor: torch.randn(tensor.shape, generator=generator))
    return splats


def move(splats: Splats, gradient: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """A step of all Gaussians."""
    seen = Seen(torch.arange(len(splats)), {name: tensor.clone() for name, tensor in splats.tensors.items()})
    for tensor in seen.tensors.values():
        tensor.grad = gradient(tensor)
    splats.step(seen, 1.0)


def pulled(values: list[float]) -> Pull:
    pull = Pull(len(values), CPU)
    pull.total = torch.tensor(values)
    pull.views = torch.ones(len(values))
    return pull


def test_the_most_pulled_are_split_up_to_what_is_allowed() -> None:
    splats = make_splats(5)
    before = splats["means"].detach().clone()
    refine(splats, pulled([0.1, 0.5, 0.2, 0.4, 0.3]), 7, RULES)
    assert len(splats) == 7
    torch.testing.assert_close(splats["means"].detach()[:3], before[[0, 2, 4]])
    middles = (splats["means"].detach()[3:5] + splats["means"].detach()[5:7]) / 2
    torch.testing.assert_close(middles, before[[1, 3]])


def test_a_split_is_along_the_longest_axis_and_shortens_it_alone() -> None:
    splats = make_splats(4)
    with torch.no_grad():
        splats["scales"][2] = torch.log(torch.tensor([0.01, 0.2, 0.03]))
    before = {name: tensor.detach().clone() for name, tensor in splats.tensors.items()}
    refine(splats, pulled([0, 0, 1.0, 0]), 5, RULES)
    assert len(splats) == 5
    torch.testing.assert_close(splats["means"].detach()[:3], before["means"][[0, 1, 3]])
    halves = splats["means"].detach()[3:] - before["means"][2]
    axis = rotate(before["quats"][2:3], torch.tensor([[0.0, 1.0, 0.0]]))[0]
    torch.testing.assert_close(halves, torch.stack([axis, -axis]) * 0.2 * RULES.half_offset)
    expected = before["scales"][2] - torch.tensor([0.0, float(np.log(RULES.half_shrink)), 0.0])
    torch.testing.assert_close(splats["scales"].detach()[3:], torch.stack([expected, expected]))
    torch.testing.assert_close(splats["shN"].detach()[3], before["shN"][2])


def test_two_halves_look_like_the_whole() -> None:
    """Along the axis, the alpha of both halves of an opaque Gaussian is within a quarter of the whole's."""
    x = np.linspace(-3, 3, 601)
    halves = [np.exp(-0.5 * ((x - side * RULES.half_offset) * RULES.half_shrink) ** 2) for side in (-1, 1)]
    together = 1 - (1 - halves[0]) * (1 - halves[1])
    assert np.abs(together - np.exp(-0.5 * x**2)).max() < 1 / 4
    assert together[300] > 0.8


def test_the_transparent_are_pruned() -> None:
    splats = make_splats(4)
    with torch.no_grad():
        splats["opacities"][1] = -7
    refine(splats, pulled([0.0, 9.0, 0.0, 0.0]), 4, RULES)
    assert len(splats) == 3


def test_a_scene_over_the_cap_does_not_grow() -> None:
    splats = make_splats(6)
    refine(splats, pulled([1.0] * 6), 3, RULES)
    assert len(splats) == 6


def test_adam_goes_on_for_those_that_stay() -> None:
    """For Gaussians that stay, two steps with a refinement in between equal two steps without."""
    plain, refined = make_splats(4), make_splats(4)
    refine(refined, pulled([0, 0, 0, 1.0]), 5, RULES)
    for splats in (plain, refined):
        move(splats, lambda tensor: torch.full_like(tensor, 0.3))
    for name in plain.tensors:
        torch.testing.assert_close(refined[name].detach()[:3], plain[name].detach()[:3])


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
