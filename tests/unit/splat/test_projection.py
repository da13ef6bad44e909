"""Projection and colour against the twin: values and gradients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from splat.camera import Camera
from splat.gaussians import Gaussians
from splat.projection import (
    HALF_A,
    HALF_C,
    REACH_X,
    REACH_Y,
    SIGMA_LIMIT,
    B,
    Projected,
    ProjectedGradients,
    X,
    Y,
    packed,
    project,
    project_backward,
)  # fmt: skip
from tests.support.tensors import NAMES, leaves_of
from tests.unit.splat import twin
from tests.unit.splat.scenes import HEIGHT, WIDTH, kinds_of_gaussians, make_camera, make_gaussians, seeds


def run_kernel(gaussians: Gaussians, camera: Camera, degree: int, *, antialiased: bool = False) -> Projected:
    g = gaussians
    arrays = (g.means, g.quats, g.scales, g.opacities, g.sh0, g.shN)
    return project(*arrays, packed(camera), camera.width, camera.height, degree, antialiased=antialiased)


def run_twin(
    gaussians: Gaussians, camera: Camera, degree: int, *, antialiased: bool = False
) -> tuple[dict[str, torch.Tensor], twin.Flat]:
    leaves = leaves_of(gaussians, torch.float64)
    matrix, k = torch.tensor(camera.world_to_camera), torch.tensor(camera.intrinsics)
    flat = twin.project(*leaves, matrix, k, camera.width, camera.height, degree, antialiased=antialiased)
    return dict(zip(NAMES, leaves, strict=True)), flat


@settings(max_examples=60, deadline=None)
@given(kinds=kinds_of_gaussians, seed=seeds, degree=st.integers(0, 3), antialiased=st.booleans())
def test_values_agree_with_the_twin(kinds: list[str], seed: int, degree: int, antialiased: bool) -> None:
    gaussians, camera = make_gaussians(kinds, seed), make_camera()
    kernel = run_kernel(gaussians, camera, degree, antialiased=antialiased)
    _, flat = run_twin(gaussians, camera, degree, antialiased=antialiased)
    seen = kernel.depths > 0
    f = kernel.footprints[seen]
    flat = twin.Flat(*(value.detach()[torch.from_numpy(seen)] for value in vars(flat).values()))
    conics = twin.inverse(flat.covariances).numpy()

    np.testing.assert_allclose(kernel.depths[seen], flat.depths, rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose(f[:, [X, Y]], flat.centres, rtol=1e-4, atol=1e-3)
    size = np.abs(conics).max(axis=1, keepdims=True)
    np.testing.assert_allclose(f[:, [HALF_A, B, HALF_C]] * (2, 1, 2) / size, conics / size, atol=1e-4)
    np.testing.assert_allclose(kernel.colours[seen], flat.colours, atol=2e-6)
    np.testing.assert_allclose(kernel.opacities[seen], flat.opacities, rtol=1e-5)
    limit = np.log(255 * flat.opacities.numpy())
    np.testing.assert_allclose(f[:, SIGMA_LIMIT], limit, atol=1e-5)
    variances = np.stack([flat.covariances[:, 0, 0], flat.covariances[:, 1, 1]], axis=1)
    np.testing.assert_allclose(f[:, [REACH_X, REACH_Y]], np.sqrt(2 * limit[:, None] * variances), rtol=1e-3, atol=1e-3)


@settings(max_examples=60, deadline=None)
@given(kinds=kinds_of_gaussians, seed=seeds, antialiased=st.booleans())
def test_what_can_touch_the_picture_is_kept(kinds: list[str], seed: int, antialiased: bool) -> None:
    gaussians, camera = make_gaussians(kinds, seed), make_camera()
    kernel = run_kernel(gaussians, camera, 0, antialiased=antialiased)
    _, flat = run_twin(gaussians, camera, 0, antialiased=antialiased)
    opacity = flat.opacities.detach().numpy()
    limit = np.log(np.maximum(255 * opacity, 1.0))
    reach = np.sqrt(2 * limit[:, None] * torch.diagonal(flat.covariances.detach(), dim1=1, dim2=2).numpy())
    low, high = flat.centres.detach().numpy() - reach, flat.centres.detach().numpy() + reach
    inside = (high > 0.1).all(axis=1) & (low < np.array([WIDTH, HEIGHT]) - 0.1).all(axis=1)
    expected = (flat.depths.detach().numpy() > 0.01001) & (opacity > 1.001 / 255) & inside
    assert not (expected & (kernel.depths <= 0)).any()
    assert (kernel.depths[flat.depths.detach().numpy() < 0.00999] == -1).all()


@settings(max_examples=60, deadline=None)
@given(kinds=kinds_of_gaussians, seed=seeds, degree=st.integers(0, 3), antialiased=st.booleans())
def test_gradients_agree_with_the_twin(kinds: list[str], seed: int, degree: int, antialiased: bool) -> None:
    gaussians, camera = make_gaussians(kinds, seed), make_camera()
    kernel = run_kernel(gaussians, camera, degree, antialiased=antialiased)
    leaves, flat = run_twin(gaussians, camera, degree, antialiased=antialiased)
    rng = np.random.default_rng(seed)
    seen = torch.from_numpy(kernel.depths > 0)
    # gradients as blending would give them: large where a Gaussian covers much, so scaled by the covariance's size
    size = torch.sqrt(torch.diagonal(flat.covariances.detach(), dim1=1, dim2=2).amax(dim=1))
    weights = [rng.normal(size=(len(kinds), n)).astype(np.float32) for n in (2, 3, 3, 1)]
    weights[1] *= (size.numpy()[:, None] ** 2).astype(np.float32)
    conics = twin.inverse(flat.covariances)
    parts = (flat.centres, conics, flat.colours, flat.opacities[:, None])
    total = torch.stack(
        [(part * torch.tensor(w, dtype=torch.float64))[seen].sum() for part, w in zip(parts, weights, strict=True)]
    ).sum()
    wanted = torch.autograd.grad(total, list(leaves.values()), allow_unused=True, materialize_grads=True)

    gradients = ProjectedGradients(weights[0], weights[1], weights[2], weights[3][:, 0])
    found = project_backward(
        gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.shN, packed(camera),
        WIDTH, HEIGHT, degree, kernel, gradients, antialiased=antialiased,
    )  # fmt: skip
    for name, expected in zip(NAMES, wanted, strict=True):
        reference = expected.numpy().reshape(len(kinds), -1)
        scale = np.abs(reference).max(axis=1, keepdims=True) + 1e-3
        error = np.abs(getattr(found, name).reshape(len(kinds), -1) - reference) / scale
        assert error.max(initial=0) < 1e-5, name


def test_no_gradient_for_what_is_not_seen() -> None:
    gaussians, camera = make_gaussians(["behind", "plain"], 1), make_camera()
    kernel = run_kernel(gaussians, camera, 3)
    pairs, triples = np.ones((2, 2), np.float32), np.ones((2, 3), np.float32)
    ones = ProjectedGradients(pairs, triples, triples, np.ones(2, np.float32))
    found = project_backward(
        gaussians.means,
        gaussians.quats,
        gaussians.scales,
        gaussians.opacities,
        gaussians.shN,
        packed(camera),
        WIDTH,
        HEIGHT,
        3,
        kernel,
        ones,
    )
    for name in NAMES:
        assert not getattr(found, name)[0].any()
        assert getattr(found, name)[1].any()


@pytest.mark.parametrize("scale", [45.0, 200.0, float("inf")])
def test_what_float32_cannot_hold_is_left_out(scale: float) -> None:
    gaussians = make_gaussians(["plain"], 2)
    gaussians = replace(gaussians, scales=np.full((1, 3), scale, np.float32))
    assert run_kernel(gaussians, make_camera(), 3).depths[0] == -1


def test_the_colour_depends_on_the_direction_of_sight() -> None:
    gaussians = make_gaussians(["plain"], 3)
    camera = make_camera()
    moved = replace(camera, world_to_camera=camera.world_to_camera.copy())
    moved.world_to_camera[0, 3] += 0.2
    first, second = (run_kernel(gaussians, c, 3).colours[0] for c in (camera, moved))
    assert not np.allclose(first, second, atol=1e-3)
    assert np.allclose(run_kernel(gaussians, camera, 0).colours[0], run_kernel(gaussians, moved, 0).colours[0])
