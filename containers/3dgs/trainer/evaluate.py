"""How well renders match photos: PSNR and SSIM, the render clamped to what a picture can hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from splat.loss import Buffers, photometric_loss
from trainer.dataset import Frame, Photo, PhotoStore
from trainer.loss import seen_only
from trainer.optimise import Splats
from trainer.train import draw


@dataclass(frozen=True)
class Score:
    """PSNR in dB and SSIM of one view."""

    name: str
    psnr: float
    ssim: float


def render_photo(splats: Splats, frame: Frame, photo: Photo, degree: int) -> NDArray[np.float32]:
    """The view of `photo`, (height, width, 3), 0..1."""
    with torch.no_grad():
        image, _ = draw(splats, frame.camera(photo.camera), degree)
    return image.cpu().numpy().clip(0, 1)


def score(splats: Splats, frame: Frame, photo: Photo, store: PhotoStore, degree: int) -> Score:
    """Compare the render of `photo`'s view with the photo, without any compensation, where its mask lets through."""
    image = render_photo(splats, frame, photo, degree)
    target, mask = store.target(photo, photo.camera), store.mask(photo, photo.camera)
    share = 1.0
    if mask is not None:
        image, share = seen_only(torch.from_numpy(image), target, mask).numpy(), max(float(mask.mean()), 1e-6)
    compared = photometric_loss(image, target, Buffers(*image.shape[:2]))
    psnr = -10 * math.log10(max(compared.mse / share, 1e-10))
    return Score(photo.name, psnr, 1 - (1 - compared.ssim) / share)


def score_all(
    splats: Splats,
    frame: Frame,
    photos: Sequence[Photo],
    store: PhotoStore,
    degree: int,
    after_each: Callable[[int], None] = lambda _done: None,
) -> list[Score]:
    """Scores of `photos` in their order; `after_each` gets the number done."""
    scores = []
    for index, photo in enumerate(photos):
        scores.append(score(splats, frame, photo, store, degree))
        after_each(index + 1)
    return scores


def mean_psnr(scores: Sequence[Score]) -> float | None:
    """Mean PSNR, None without scores."""
    return sum(score.psnr for score in scores) / len(scores) if scores else None


def mean_ssim(scores: Sequence[Score]) -> float | None:
    """Mean SSIM, None without scores."""
    return sum(score.ssim for score in scores) / len(scores) if scores else None
