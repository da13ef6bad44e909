"""Adam only on Gaussians that were seen: compared with torch's own in float64, and nothing else moves."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from splat.adam import COLUMNS, MOMENT_COLUMNS, adam_rows
from splat.camera import look_at
from splat.gaussians import HIGHER_COEFFICIENTS
from splat.loss import Target
from tests.support.gaussians import gaussians_of
from tests.support.tensors import gradient
from trainer.gpu.optimise import adam_rows_torch
from trainer.loss import Photometric
from trainer.optimise import LEARNING_RATES, Seen, Splats
from trainer.rasterize import rasterize
from trainer.train import draw

CPU = torch.device("cpu")


def make_splats(count: int, seed: int = 0, degree: int = 3, means: np.ndarray | None = None) -> Splats:
    rng = np.random.default_rng(seed)
    gaussians = gaussians_of(
        means=rng.normal(size=(count, 3)) if means is None else means,
        quats=rng.normal(size=(count, 4)),
        scales=rng.normal(-3, 0.3, (count, 3)),
        opacities=rng.normal(size=count),
        sh0=rng.normal(size=(count, 3)),
        shN=rng.normal(size=(count, HIGHER_COEFFICIENTS[degree], 3)),
    )
    return Splats.of(gaussians, CPU)


def rows_of(splats: Splats, rows: torch.Tensor, degree: int, generator: torch.Generator) -> Seen:
    tensors = {name: tensor[rows].clone() for name, tensor in splats.tensors.items()}
    tensors["shN"] = tensors["shN"][:, : HIGHER_COEFFICIENTS[degree]].clone()
    for tensor in tensors.values():
        tensor.grad = torch.randn(tensor.shape, generator=generator)
    return Seen(rows, tensors)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 30), steps=st.integers(1, 6), degree=st.integers(0, 3))
def test_each_gaussian_moves_as_torchs_adam_moves_it_alone(seed: int, count: int, steps: int, degree: int) -> None:
    """The twin: one float64 optimiser per Gaussian, stepped when that Gaussian is seen."""
    splats = make_splats(count, seed)
    generator = torch.Generator().manual_seed(seed)
    twins = []
    for i in range(count):
        leaves = {name: tensor[i].double().requires_grad_() for name, tensor in splats.tensors.items()}
        groups = [{"params": [leaves[name]], "lr": rate} for name, rate in LEARNING_RATES.items()]
        twins.append((leaves, torch.optim.Adam(groups, eps=1e-15)))
    active = HIGHER_COEFFICIENTS[degree]
    for _ in range(steps):
        rows = torch.nonzero(torch.rand(count, generator=generator) < 0.5)[:, 0]
        seen = rows_of(splats, rows, degree, generator)
        splats.step(seen, 0.5)
        for place, i in enumerate(rows.tolist()):
            leaves, adam = twins[i]
            for name, leaf in leaves.items():
                given = gradient(seen[name])[place].double()
                if name == "shN":
                    given = torch.cat([given, torch.zeros_like(leaf[active:])])
                leaf.grad = given
            adam.param_groups[0]["lr"] = 0.5 * LEARNING_RATES["means"]
            adam.step()
    for name in LEARNING_RATES:
        expected = torch.stack([leaves[name].detach() for leaves, _ in twins])
        torch.testing.assert_close(splats[name].double(), expected, rtol=1e-6, atol=1e-6)
    untouched = make_splats(count, seed)["shN"][:, active:]
    assert torch.equal(splats["shN"][:, active:], untouched)


def test_what_was_not_seen_stays_to_the_last_bit() -> None:
    splats = make_splats(50)
    generator = torch.Generator().manual_seed(0)
    splats.step(rows_of(splats, torch.arange(50), 3, generator), 1.0)
    before = {
        name: tensor.clone() for name, tensor in [*splats.tensors.items(), ("moments", splats.state()["moments"])]
    }
    splats.step(rows_of(splats, torch.tensor([3, 17, 18, 40]), 3, generator), 1.0)
    still = torch.ones(50, dtype=torch.bool)
    still[[3, 17, 18, 40]] = False
    for name, tensor in [*splats.tensors.items(), ("moments", splats.state()["moments"])]:
        assert torch.equal(tensor[still], before[name][still]), name
        assert not torch.equal(tensor[~still], before[name][~still]), name


@pytest.mark.parametrize("degree", range(4))
def test_the_torch_path_moves_them_alike(degree: int) -> None:
    generator = torch.Generator().manual_seed(1)
    splats, rows = make_splats(300), torch.arange(0, 300, 3)
    results = []
    for torch_path in (False, True):
        parameters = {name: tensor.clone() for name, tensor in splats.tensors.items()}
        moments = torch.rand(300, 2, MOMENT_COLUMNS, generator=generator.manual_seed(2))
        gradients = {
            name: gradient(tensor) for name, tensor in rows_of(splats, rows, degree, generator).tensors.items()
        }
        rates, corrections = torch.rand(MOMENT_COLUMNS, generator=generator), torch.rand(100, generator=generator)
        if torch_path:
            adam_rows_torch(parameters, gradients, moments, rows, rates, corrections)
        else:
            moved, by = ({name: t.numpy() for name, t in tensors.items()} for tensors in (parameters, gradients))
            adam_rows(moved, by, moments.numpy(), rows.numpy(), rates.numpy(), corrections.numpy())
        results.append(parameters)
    for name in COLUMNS:
        torch.testing.assert_close(results[0][name], results[1][name], rtol=1e-5, atol=1e-6)


def test_a_picture_of_what_is_seen_is_the_picture_of_all() -> None:
    rng = np.random.default_rng(3)
    splats = make_splats(3000, means=rng.normal(0, 3, (3000, 3)))
    camera = look_at((0, 0, 4), (0.5, 0, 0), width=70, height=50)
    matrices = torch.from_numpy(camera.world_to_camera), torch.from_numpy(camera.intrinsics)
    means, quats, scales, opacities, sh0, shN = splats.tensors.values()
    whole, _, info = rasterize(means, quats, scales, opacities, sh0, shN, *matrices, 70, 50, 2)
    seen = splats.seen_by(camera, 2)
    part, of_part = draw(seen, camera, 2)
    assert torch.equal(whole, part)
    assert torch.equal(torch.nonzero(info.visible)[:, 0], seen.rows[of_part.visible])
    assert 0 < len(seen) < 2500


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("looking_away", [False, True])
def test_none_one_and_none_in_view_train(count: int, looking_away: bool) -> None:
    splats = make_splats(count, means=np.zeros((count, 3)))
    before = splats["means"].clone()
    camera = look_at((0, 0, 2), (0, 0, 4 if looking_away else 0), width=20, height=16)
    seen = splats.seen_by(camera, 1)
    image, info = draw(seen, camera, 1)
    Photometric()(image, Target.of(np.random.default_rng(0).random((16, 20, 3)).astype(np.float32))).backward()
    splats.step(seen, 1.0)
    visible = count == 1 and not looking_away
    assert info.centre_gradients.shape == (len(seen), 2)
    assert len(seen) == int(visible)
    assert torch.equal(splats["means"], before) != visible or count == 0


def test_a_restored_one_goes_on_as_if_nothing_had_happened() -> None:
    first, generator = make_splats(20), torch.Generator().manual_seed(4)
    first.step(rows_of(first, torch.arange(0, 20, 2), 3, generator), 1.0)
    second = Splats.restored(copy.deepcopy(first.state()), CPU)
    for splats in (first, second):
        splats.step(rows_of(splats, torch.arange(20), 3, torch.Generator().manual_seed(5)), 1.0)
    for name in LEARNING_RATES:
        assert torch.equal(first[name], second[name])
