"""Pictures of whole splats."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from splat.camera import look_at
from splat.render import render, render_with_alpha
from tests.support.gaussians import gaussians_of
from tests.support.tensors import leaves_of
from tests.unit.splat import twin
from tests.unit.splat.scenes import HEIGHT, WIDTH, make_camera, make_gaussians


@pytest.mark.parametrize("antialiased", [False, True])
def test_a_picture_agrees_with_the_twin_from_end_to_end(antialiased: bool) -> None:
    gaussians, camera = make_gaussians(["plain", "huge", "flat", "behind", "opaque", "faint"] * 6, 11), make_camera()
    tensors = leaves_of(gaussians, torch.float64, requires_grad=False)
    matrices = torch.tensor(camera.world_to_camera), torch.tensor(camera.intrinsics)
    flat = twin.project(*tensors, *matrices, WIDTH, HEIGHT, 3, antialiased=antialiased)
    conics = twin.inverse(flat.covariances)
    expected, _ = twin.blend(
        flat.centres, conics, flat.depths, flat.colours, flat.opacities, torch.tensor([0.1, 0.2, 0.3]), WIDTH, HEIGHT
    )
    difference = np.abs(render(gaussians, camera, (0.1, 0.2, 0.3), antialiased=antialiased) - expected.numpy())
    assert np.quantile(difference, 0.99) < 1e-4
    assert difference.max() < 0.02


def test_the_nearer_gaussian_covers_the_farther() -> None:
    opaque = np.full(2, 9.0)
    red_then_green = (np.array([[1.0, 0, 0], [0, 1.0, 0]]) - 0.5) / 0.28209479
    gaussians = gaussians_of(
        means=np.array([[0, 0, 1.0], [0, 0, -1.0]]),
        quats=np.array([[1.0, 0, 0, 0]] * 2),
        scales=np.full((2, 3), -0.5),
        opacities=opaque,
        sh0=red_then_green,
        shN=np.zeros((2, 0, 3)),
    )
    above = render(gaussians, look_at((0, 0, 8), (0, 0, 0), width=21, height=21))
    below = render(gaussians, look_at((0, 0, -8), (0, 0, 0), width=21, height=21))
    np.testing.assert_allclose(above[10, 10], (1, 0, 0), atol=0.01)
    np.testing.assert_allclose(below[10, 10], (0, 1, 0), atol=0.01)
    assert not above[0, 0].any()


def test_blur_keeps_the_mass_of_a_thin_antialiased_gaussian() -> None:
    camera = look_at((0, 0, 10), (0, 0, 0), (0, 1, 0), width=65, height=65)
    deviation = 0.3  # pixels
    thin = gaussians_of(
        means=np.zeros((1, 3)), quats=np.array([[1.0, 0, 0, 0]]), scales=np.full((1, 3), np.log(3 / camera.fx)),
        opacities=np.array([6.0]), sh0=np.zeros((1, 3)), shN=np.zeros((1, 0, 3)),
    )  # fmt: skip
    _, plain = render_with_alpha(thin, camera)
    _, kept = render_with_alpha(thin, camera, antialiased=True)
    share = deviation**2 / (deviation**2 + 0.3)  # of one axis: the square root of its variances' ratio, for two axes
    assert kept.max() == pytest.approx(share * plain.max(), rel=1e-3)
