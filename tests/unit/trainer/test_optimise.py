"""Adam on what was seen: against torch's own in float64, and nothing else moves."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from splat.adam import COLUMNS, MOMENT_COLUMNS, adam_rows
from splat.camera import look_at
from splat.gaussians import HIGHER_COEFFICIENTS, Gaussians
from splat.loss import Target
from trainer.loss import Photometric
from trainer.optimise import LEARNING_RATES, Seen, Splats, adam_rows_torch
from trainer.rasterize import rasterize
from trainer.train import draw

CPU = torch.device("cpu")


def make_splats(count: int, seed: int = 0, degree: int = 3, means: np.ndarray | None = None) -> Splats:
    rng = np.random.default_rng(seed)
    gaussians = Gaussians(
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


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 100), steps=st.integers(1, 6), degree=st.integers(0, 3))
def test_rows_move_as_the_twin_moves_them(seed: int, count: int, steps: int, degree: int) -> None:
    splats = make_splats(count, seed)
    generator = torch.Generator().manual_seed(seed)
    twin = {name: tensor.double() for name, tensor in splats.tensors.items()}
    first = {name: torch.zeros_like(tensor) for name, tensor in twin.items()}
    second = {name: torch.zeros_like(tensor) for name, tensor in twin.items()}
    for step in range(1, steps + 1):
        rows = torch.nonzero(torch.rand(count, generator=generator) < 0.5)[:, 0]
        seen = rows_of(splats, rows, degree, generator)
        splats.step(seen, 0.5)
        for name, rate in LEARNING_RATES.items():
            g, part = seen[name].grad.double(), rows
            if name == "shN":
                part = (rows[:, None], torch.arange(g.shape[1]))
            first[name][part] = 0.9 * first[name][part] + 0.1 * g
            second[name][part] = 0.999 * second[name][part] + 0.001 * g * g
            root = torch.sqrt(second[name][part] / (1 - 0.999**step))
            decayed = 0.5 * rate if name == "means" else rate
            twin[name][part] -= decayed * first[name][part] / (1 - 0.9**step) / (root + 1e-15)
    for name in LEARNING_RATES:
        torch.testing.assert_close(splats[name].double(), twin[name], rtol=1e-6, atol=1e-6)


def test_where_all_are_seen_it_is_torchs_adam() -> None:
    splats, generator = make_splats(40), torch.Generator().manual_seed(0)
    leaves = {name: tensor.double().requires_grad_() for name, tensor in splats.tensors.items()}
    groups = [{"params": [leaves[name]], "lr": rate} for name, rate in LEARNING_RATES.items()]
    adam = torch.optim.Adam(groups, eps=1e-15)
    for _ in range(5):
        seen = rows_of(splats, torch.arange(40), 3, generator)
        for name, leaf in leaves.items():
            leaf.grad = seen[name].grad.double()
        splats.step(seen, 1.0)
        adam.step()
    for name, leaf in leaves.items():
        torch.testing.assert_close(splats[name].double(), leaf.detach(), rtol=1e-6, atol=1e-6)


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
        gradients = {name: tensor.grad for name, tensor in rows_of(splats, rows, degree, generator).tensors.items()}
        rates = torch.rand(MOMENT_COLUMNS, generator=generator)
        if torch_path:
            adam_rows_torch(parameters, gradients, moments, rows, rates)
        else:
            arrays = ({name: t.numpy() for name, t in tensors.items()} for tensors in (parameters, gradients))
            adam_rows(*arrays, moments.numpy(), rows.numpy(), rates.numpy())
        results.append(parameters)
    for name in COLUMNS:
        torch.testing.assert_close(results[0][name], results[1][name], rtol=1e-5, atol=1e-6)


def test_a_picture_of_what_is_seen_is_the_picture_of_all() -> None:
    rng = np.random.default_rng(3)
    splats = make_splats(3000, means=rng.normal(0, 3, (3000, 3)))
    camera = look_at((0, 0, 4), (0.5, 0, 0), width=70, height=50)
    matrices = torch.from_numpy(camera.world_to_camera), torch.from_numpy(camera.intrinsics)
    whole, _, info = rasterize(*splats.tensors.values(), *matrices, 70, 50, 2)
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
