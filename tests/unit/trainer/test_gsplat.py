"""The trainer's call of gsplat, through gsplat's own Python on the CPU, compared with our rasteriser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from tests.support.gsplat_on_cpu import gsplat_on_cpu
from tests.support.tensors import NAMES, leaves_of
from tests.unit.splat.scenes import HEIGHT, WIDTH, make_camera, make_gaussians
from trainer import rasterize as ours

# without faint ones: the reference counts them as visible, the kernels cull them as ours do
KINDS = ["plain", "huge", "flat", "opaque", "behind", "edge"]


@pytest.fixture(scope="module", autouse=True)
def _gsplat() -> Iterator[None]:
    with gsplat_on_cpu():
        yield


def drawn(with_gsplat: bool, kinds: list[str], seed: int, degree: int = 3) -> dict[str, Tensor]:
    """Picture, by-products and all gradients of a weighted sum of the picture and its alpha."""
    camera = make_camera()
    leaves = leaves_of(make_gaussians(kinds, seed), torch.float32)
    draw = ours.rasterize_gsplat if with_gsplat else ours.rasterize
    matrix, k = (torch.tensor(m, dtype=torch.float32) for m in (camera.world_to_camera, camera.intrinsics))
    image, alpha, info = draw(*leaves, matrix, k, WIDTH, HEIGHT, degree)
    chance = torch.Generator().manual_seed(seed)
    weight, cover = torch.randn(HEIGHT, WIDTH, 3, generator=chance), torch.randn(HEIGHT, WIDTH, generator=chance)
    ((image * weight).sum() + (alpha * cover).sum()).backward()
    found = {"image": image, "alpha": alpha, "visible": info.visible.float(), "centres": info.centre_gradients}
    gradients = {
        name: torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        for name, leaf in zip(NAMES, leaves, strict=True)
    }
    return {name: tensor.detach() for name, tensor in {**found, **gradients}.items()}


@pytest.mark.parametrize("seed", range(4))
def test_gsplat_draws_what_our_rasteriser_draws(seed: int) -> None:
    own, theirs = drawn(False, KINDS * 6, seed), drawn(True, KINDS * 6, seed)
    for name, expected in own.items():
        found = theirs[name]
        assert found.shape == expected.shape, name
        error, largest = (found - expected).abs().flatten(), max(1.0, float(expected.abs().max()))
        # a pixel exactly at the threshold of alpha may be on the other side of it
        assert float(error.quantile(0.99)) <= 1e-5 * largest, name
        assert float(error.max()) <= 5e-3 * largest, name


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_gsplat_takes_the_harmonics_of_a_degree_below_the_stored_one(degree: int) -> None:
    own, theirs = drawn(False, ["plain"] * 8, 5, degree), drawn(True, ["plain"] * 8, 5, degree)
    torch.testing.assert_close(theirs["image"], own["image"], atol=1e-5, rtol=0)
    torch.testing.assert_close(theirs["shN"], own["shN"], atol=1e-3, rtol=1e-3)


def test_nothing_in_view_is_a_black_picture_with_gradients() -> None:
    found = drawn(True, ["behind"] * 3, 1)
    assert float(found["image"].abs().max()) == 0
    assert found["visible"].tolist() == [0, 0, 0]
    assert found["centres"].shape == (3, 2)
    assert float(found["means"].abs().max()) == 0


def test_absolute_gradients_are_no_smaller_than_the_others_and_of_the_same_gaussians() -> None:
    camera = make_camera()
    leaves = leaves_of(make_gaussians(KINDS * 3, 2), torch.float32)
    matrix, k = (torch.tensor(m, dtype=torch.float32) for m in (camera.world_to_camera, camera.intrinsics))
    image, _, info = ours.rasterize_gsplat(*leaves, matrix, k, WIDTH, HEIGHT, 3, absgrad=True)
    (image * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))).sum().backward()
    net, absolute = info.centre_gradients.abs(), info.absolute_centre_gradients
    assert absolute.shape == net.shape
    assert (absolute >= net - 1e-4 * net.max()).all()
    assert (absolute[~info.visible] == 0).all()
    assert float(absolute.sum()) > 1.2 * float(net.sum())
