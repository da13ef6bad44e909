"""The differentiable rasteriser from raw parameters to picture, compared with the float64 twin."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings

from tests.support.tensors import NAMES, gradient, leaves_of
from tests.unit.splat import twin
from tests.unit.splat.scenes import HEIGHT, WIDTH, kinds_of_gaussians, make_camera, make_gaussians, seeds
from trainer.rasterize import rasterize

# at the near plane, float32 world coordinates do not determine a pixel's position; the projection's tests cover that
kinds_off_the_lens = kinds_of_gaussians.map(lambda kinds: ["plain" if kind == "at_near" else kind for kind in kinds])


def view() -> tuple[torch.Tensor, torch.Tensor]:
    camera = make_camera()
    return torch.tensor(camera.world_to_camera), torch.tensor(camera.intrinsics)


@settings(max_examples=30, deadline=None)
@given(kinds=kinds_off_the_lens, seed=seeds)
def test_picture_and_gradients_agree_with_the_twin(kinds: list[str], seed: int) -> None:
    matrix, k = view()
    ours = leaves_of(make_gaussians(kinds, seed), torch.float32)
    image, alpha, info = rasterize(*ours, matrix, k, WIDTH, HEIGHT, 3)
    theirs = leaves_of(make_gaussians(kinds, seed), torch.float64)
    flat = twin.project(*theirs, matrix, k, WIDTH, HEIGHT, 3)
    flat.centres.retain_grad()
    depths = torch.where(info.visible, flat.depths, -torch.ones_like(flat.depths))
    conics = twin.inverse(flat.covariances)
    black = torch.zeros(3, dtype=torch.float64)
    expected, cover = twin.blend(flat.centres, conics, depths, flat.colours, flat.opacities, black, WIDTH, HEIGHT)

    same = (image.detach() - expected.detach()).abs().amax(dim=2) < 1e-4
    assert same.double().mean() > 0.99  # the rest are exactly at the threshold of alpha
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(HEIGHT, WIDTH, 3, generator=generator) * same[..., None]
    cover_weight = torch.randn(HEIGHT, WIDTH, generator=generator) * same
    ((image * weight).sum() + (alpha * cover_weight).sum()).backward()
    (
        (expected * weight).sum() + (cover * cover_weight).sum() + 0 * sum(t.sum() for t in [*theirs, flat.centres])
    ).backward()
    gradients = {name: (gradient(f), gradient(t)) for name, f, t in zip(NAMES, ours, theirs, strict=True)}
    gradients["centres"] = (info.centre_gradients, gradient(flat.centres))
    for name, (found, wanted) in gradients.items():
        error, largest = (found - wanted).abs(), float(wanted.abs().max())
        assert float(error.max()) <= 2e-3 * largest + 1e-3, name
        assert float(error.median()) <= 1e-5 * largest + 1e-5, name


def test_what_is_behind_the_camera_is_not_visible() -> None:
    matrix, k = view()
    _, _, info = rasterize(
        *leaves_of(make_gaussians(["behind", "plain"], 1), torch.float32), matrix, k, WIDTH, HEIGHT, 1
    )
    assert info.visible.tolist() == [False, True]
    with pytest.raises(ValueError, match="no backward pass"):
        _ = info.centre_gradients
