"""Blending against the twin: values and gradients, given the same 2D Gaussians."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from splat.blending import blend, blend_backward
from splat.projection import HALF_A, HALF_C, B, Projected, X, Y, packed, project
from splat.tiles import tile_lists
from tests.unit.splat import twin
from tests.unit.splat.scenes import HEIGHT, WIDTH, kinds_of_gaussians, make_camera, make_gaussians, seeds

BACKGROUND = np.array([0.2, 0.5, 0.9], np.float32)


def flatten(kinds: list[str], seed: int) -> Projected:
    g = make_gaussians(kinds, seed)
    arrays = (g.means, g.quats, g.scales, g.opacities, g.sh0, g.shN)
    return project(*arrays, packed(make_camera()), WIDTH, HEIGHT, 3)


def twin_inputs(flat: Projected) -> list[torch.Tensor]:
    """Leaves centres, conics (A, B, C), colours, opacities in float64."""
    f = flat.footprints
    arrays = (f[:, [X, Y]], f[:, [HALF_A, B, HALF_C]] * np.array([2, 1, 2], np.float32), flat.colours, flat.opacities)
    return [torch.tensor(array, dtype=torch.float64, requires_grad=True) for array in arrays]


def run_twin(flat: Projected) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
    leaves = twin_inputs(flat)
    centres, conics, colours, opacities = leaves
    depths = torch.tensor(flat.depths)
    background = torch.tensor(BACKGROUND, dtype=torch.float64)
    image, alpha = twin.blend(centres, conics, depths, colours, opacities, background, WIDTH, HEIGHT)
    return leaves, image, alpha


@settings(max_examples=40, deadline=None)
@given(kinds=kinds_of_gaussians, seed=seeds)
def test_values_agree_with_the_twin(kinds: list[str], seed: int) -> None:
    flat = flatten(kinds, seed)
    lists = tile_lists(flat.footprints, flat.depths, WIDTH, HEIGHT)
    image, transmittance = blend(flat, lists, BACKGROUND, WIDTH, HEIGHT)
    _, expected, alpha = run_twin(flat)
    # a pixel exactly at the threshold of alpha may be on either side of it in float32
    off = np.abs(image - expected.detach().numpy()).max(axis=2) > 1e-5
    assert off.mean() < 2e-3
    np.testing.assert_allclose(image, expected.detach(), atol=0.01)
    np.testing.assert_allclose(1 - transmittance, alpha.detach(), atol=0.01)


@settings(max_examples=40, deadline=None)
@given(kinds=kinds_of_gaussians, seed=seeds, with_alpha=st.booleans())
def test_gradients_agree_with_the_twin(kinds: list[str], seed: int, with_alpha: bool) -> None:
    flat = flatten(kinds, seed)
    lists = tile_lists(flat.footprints, flat.depths, WIDTH, HEIGHT)
    image, transmittance = blend(flat, lists, BACKGROUND, WIDTH, HEIGHT)
    leaves, expected, alpha = run_twin(flat)
    rng = np.random.default_rng(seed)
    g_image = rng.normal(size=image.shape).astype(np.float32)
    g_alpha = rng.normal(size=transmittance.shape).astype(np.float32) * np.float32(with_alpha)
    # leaves out pixels where the two are on different sides of a threshold, at which the function itself jumps
    same = np.abs(image - expected.detach().numpy()).max(axis=2) < 1e-5
    g_image *= same[..., None]
    g_alpha *= same
    total = (expected * torch.tensor(g_image)).sum() + (alpha * torch.tensor(g_alpha)).sum()
    total = total + 0 * sum(leaf.sum() for leaf in leaves)  # so that a scene without a visible Gaussian has a gradient
    wanted = torch.autograd.grad(total, leaves, materialize_grads=True)

    found = blend_backward(flat, lists, image, transmittance, g_image, g_alpha)
    parts = (found.centres, found.conics, found.colours, found.opacities)
    for name, value, reference in zip(("centres", "conics", "colours", "opacities"), parts, wanted, strict=True):
        expected_gradient = reference.numpy()
        largest = np.abs(expected_gradient).max(initial=0)
        # float32: an opacity near 0.999 divides the back-propagated transmittance by 0.001
        assert np.abs(value - expected_gradient).max(initial=0) <= 3e-5 * (largest + 1), name


def test_nothing_shows_the_background() -> None:
    flat = flatten(["behind"], 0)
    lists = tile_lists(flat.footprints, flat.depths, WIDTH, HEIGHT)
    image, transmittance = blend(flat, lists, BACKGROUND, WIDTH, HEIGHT)
    np.testing.assert_array_equal(image, np.broadcast_to(BACKGROUND, image.shape))
    assert (transmittance == 1).all()


def test_thousands_deep_agree_with_the_twin() -> None:
    flat = flatten(["plain"] * 1500, 4)
    flat.opacities[:] *= np.float32(0.1)
    flat.footprints[:, 7] = np.log(np.maximum(flat.opacities * 255, 1))
    flat.depths[flat.opacities < 1 / 255] = -1
    lists = tile_lists(flat.footprints, flat.depths, WIDTH, HEIGHT)
    image, _ = blend(flat, lists, BACKGROUND, WIDTH, HEIGHT)
    _, expected, _ = run_twin(flat)
    difference = np.abs(image - expected.detach().numpy()).max(axis=2)
    assert np.quantile(difference, 0.95) < 2e-5
    assert difference.max() < 0.02


def test_two_runs_are_equal_to_the_last_bit() -> None:
    flat = flatten(["plain", "huge", "opaque"] * 30, 6)

    def run() -> list[np.ndarray]:
        lists = tile_lists(flat.footprints, flat.depths, WIDTH, HEIGHT)
        image, transmittance = blend(flat, lists, BACKGROUND, WIDTH, HEIGHT)
        found = blend_backward(flat, lists, image, transmittance, image, transmittance)
        return [image, found.centres, found.conics, found.colours, found.opacities]

    for first, second in zip(run(), run(), strict=True):
        np.testing.assert_array_equal(first, second)
