"""How well renders match photos: PSNR, SSIM and GMSD, the render clamped to what a picture can hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import prewitt

from splat.loss import Buffers, photometric_loss
from trainer.dataset import Frame, Photo, PhotoStore
from trainer.loss import seen_only
from trainer.optimise import Splats
from trainer.train import draw

_GMSD_C = 170.0  # the paper's, for luminance up to 255
_LUMINANCE = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Score:
    """PSNR in dB, SSIM and GMSD (0: the same edges; more is worse) of one view."""

    name: str
    psnr: float
    ssim: float
    gmsd: float


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
    compared = photometric_loss(image, target, Buffers())
    psnr = -10 * math.log10(max(compared.mse / share, 1e-10))
    return Score(photo.name, psnr, 1 - (1 - compared.ssim) / share, gmsd(image, target.planes.transpose(1, 2, 0), mask))


def gmsd(image: NDArray[np.float32], photo: NDArray[np.float32], mask: NDArray[np.bool_] | None = None) -> float:
    """Gradient magnitude similarity deviation of two pictures (height, width, 3), 0..1, over the pixels where `mask`
    (height, width) is True.

    Xue et al. 2014: of luminance at half the size, how unevenly edges are lost; it follows what people say of blur and
    noise about as well as learned measures do, without weights to download.
    """
    edges, true_edges = _edges(image), _edges(photo)
    similarity = (2 * edges * true_edges + _GMSD_C) / (edges**2 + true_edges**2 + _GMSD_C)
    if mask is not None:
        height, width = similarity.shape
        shown = mask[: 2 * height, : 2 * width].reshape(height, 2, width, 2).all(axis=(1, 3))
        similarity = similarity[shown]
    return float(similarity.std()) if similarity.size else 0.0


def _edges(picture: NDArray[np.float32]) -> NDArray[np.float64]:
    """Prewitt's gradient magnitude of the luminance, 0..255, of the picture at half its size."""
    luminance = 255 * picture.astype(np.float64) @ _LUMINANCE
    height, width = luminance.shape[0] // 2, luminance.shape[1] // 2
    half = luminance[: 2 * height, : 2 * width].reshape(height, 2, width, 2).mean(axis=(1, 3))
    return np.asarray(np.hypot(prewitt(half, axis=0) / 3, prewitt(half, axis=1) / 3))


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


def mean(values: Iterable[float]) -> float | None:
    """Mean of `values`, None of none."""
    found = list(values)
    return sum(found) / len(found) if found else None
