"""Exposure compensation finds what was done to the photos, and leaves the mean to the splat."""

from __future__ import annotations

import copy

import torch

from trainer.exposure import Exposures


def fitted(steps: int, device: torch.device) -> tuple[Exposures, torch.Tensor, list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(6, 5, 3, generator=generator)
    photos = [image * 1.1 + 0.02, image / 1.1 - 0.02]
    exposures = Exposures(2, device)
    for step in range(steps):
        photo = step % 2
        (exposures.applied(image, photo) - photos[photo]).abs().mean().backward()
        exposures.step(1.0)
    return exposures, image, photos


def test_gains_and_offsets_are_found() -> None:
    exposures, image, photos = fitted(400, torch.device("cpu"))
    for photo, wanted in enumerate(photos):
        before = (image - wanted).abs().mean()
        assert (exposures.applied(image, photo) - wanted).abs().mean() < 0.2 * before


def test_their_mean_stays_nothing() -> None:
    exposures, _, _ = fitted(31, torch.device("cpu"))
    assert exposures.values.detach().mean(dim=0).abs().max() < 1e-6


def test_the_picture_gets_its_gradient() -> None:
    exposures = Exposures(1, torch.device("cpu"))
    image = torch.full((2, 2, 3), 0.5, requires_grad=True)
    exposures.applied(image, 0).sum().backward()
    torch.testing.assert_close(image.grad, torch.ones(2, 2, 3))


def test_what_was_saved_goes_on_alike() -> None:
    one, image, photos = fitted(20, torch.device("cpu"))
    other = Exposures(2, torch.device("cpu"))
    other.restore(copy.deepcopy(one.state()))
    for exposures in (one, other):
        (exposures.applied(image, 0) - photos[0]).abs().mean().backward()
        exposures.step(0.5)
    torch.testing.assert_close(one.values, other.values, rtol=0, atol=0)
