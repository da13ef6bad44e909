"""Moments of blending against the twin: the Gauss-Newton matrix of every Gaussian's outline, by forward derivatives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from splat.blending import blend
from splat.moments import blend_moments, outline_gradients
from splat.projection import Projected
from splat.tiles import tile_lists
from tests.unit.splat import twin
from tests.unit.splat.scenes import HEIGHT, WIDTH, kinds_of_gaussians, seeds
from tests.unit.splat.test_blending import BACKGROUND, flatten, twin_inputs


def matrices(flat: Projected) -> tuple[np.ndarray, np.ndarray]:
    """H (N, 6, 6) of centre, conic and opacity, and the weights squared (N,)."""
    lists = tile_lists(flat.footprints, flat.depths, WIDTH, HEIGHT)
    picture, _ = blend(flat, lists, BACKGROUND, WIDTH, HEIGHT)
    moments, weights = blend_moments(flat, lists, picture)
    found = np.zeros((len(moments), 6, 6))
    for g in outline_gradients(flat, moments):
        column = np.concatenate([g.centres, g.conics, g.opacities[:, None]], axis=1).astype(np.float64)
        found += column[:, :, None] * column[:, None, :]
    return found, weights


def twin_jacobian(flat: Projected) -> np.ndarray:
    """The Jacobian of the picture (H·W·3) by each Gaussian's centre, conic, opacity and one channel's colour: (N, 7,
    H·W·3)."""
    inputs = [leaf.detach() for leaf in twin_inputs(flat)]
    depths, background = torch.tensor(flat.depths), torch.tensor(BACKGROUND, dtype=torch.float64)

    def picture(
        centres: torch.Tensor, conics: torch.Tensor, colours: torch.Tensor, alphas: torch.Tensor
    ) -> torch.Tensor:
        return twin.blend(centres, conics, depths, colours, alphas, background, WIDTH, HEIGHT)[0]

    out = np.zeros((len(flat.depths), 7, WIDTH * HEIGHT * 3))
    places = [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (3, None), (2, 0)]
    for i in np.flatnonzero(flat.depths > 0):
        for k, (which, column) in enumerate(places):
            tangents = [torch.zeros_like(value) for value in inputs]
            tangents[which][(i,) if column is None else (i, column)] = 1
            derivative = torch.func.jvp(picture, tuple(inputs), tuple(tangents))[1]
            out[i, k] = derivative.numpy().ravel()
    return out


@settings(max_examples=12, deadline=None)
@given(kinds=kinds_of_gaussians, seed=seeds)
def test_matrices_agree_with_the_twins_jacobian(kinds: list[str], seed: int) -> None:
    flat = flatten(kinds[:6], seed)
    found, weights = matrices(flat)
    jacobian = twin_jacobian(flat)
    wanted = np.einsum("nip,njp->nij", jacobian[:, :6], jacobian[:, :6])
    for i in range(len(found)):
        scale = np.sqrt(np.outer(np.diag(wanted[i]), np.diag(wanted[i]))) + 1e-6
        # a pixel exactly at the threshold of alpha may be on either side of it in float32
        assert np.abs(found[i] - wanted[i]).max() <= 0.02 * np.abs(wanted[i]).max() + 1e-4, kinds[i]
        assert np.abs((found[i] - wanted[i]) / scale).max() <= 0.05, kinds[i]
        assert weights[i] == pytest.approx(np.square(jacobian[i, 6]).sum(), rel=0.02, abs=1e-4)


def test_what_no_pixel_shows_has_no_moments() -> None:
    flat = flatten(["behind", "faint"], 1)
    found, weights = matrices(flat)
    assert not found.any()
    assert not weights.any()
