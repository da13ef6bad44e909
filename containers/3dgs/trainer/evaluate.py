"""How well renders match photos: PSNR, SSIM and GMSD, with renders clamped to the range of a picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import prewitt

from splat.loss import Buffers, Target, photometric_loss, psnr
from trainer.loss import seen_only

_GMSD_C = 170.0  # the paper's, for luminance up to 255
_LUMINANCE = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Score:
    """How well the render of one view matches its photo.

    psnr: dB, as it is; ssim; gmsd: 0 is best (`gmsd`).
    psnr_fitted: dB after a gain and an offset a channel, so that a photo's own exposure does not count.
    psnr_predicted: dB after the gain that the photos before and after suggest, without a look at this one.
    seen: share of the picture that at least three training photos see, 0..1.
    psnr_seen, psnr_seen_fitted: dB over that share alone, and fitted over it; None where it is nothing.
    """

    name: str
    psnr: float
    ssim: float
    gmsd: float
    psnr_fitted: float
    psnr_predicted: float
    seen: float
    psnr_seen: float | None
    psnr_seen_fitted: float | None


def score(
    name: str,
    image: NDArray[np.float32],
    target: Target,
    mask: NDArray[np.bool_] | None,
    seen: NDArray[np.bool_],
    gain: NDArray[np.float64],
) -> Score:
    """Compare a render `image` (height, width, 3) with the photo `target` where its `mask` (height, width) is True,
    which it must be somewhere.

    `seen` (height, width): True where at least three training photos see the place. `gain` (3,): the exposure predicted
    for the photo, by channel; 1 where nothing is known.
    """
    photo = target.planes.transpose(1, 2, 0)
    shown = np.ones(image.shape[:2], np.bool_) if mask is None else mask
    share = max(float(shown.mean()), 1e-6)
    covered = image if mask is None else seen_only(torch.from_numpy(image), target, mask).numpy()
    compared = photometric_loss(covered, target, Buffers())
    well_seen = shown & seen
    return Score(
        name=name,
        psnr=psnr_over(image, photo, shown),
        ssim=1 - (1 - compared.ssim) / share,
        gmsd=gmsd(image, photo, mask),
        psnr_fitted=psnr_over(fitted(image, photo, shown), photo, shown),
        psnr_predicted=psnr_over((image * gain).clip(0, 1), photo, shown),
        seen=float(well_seen.sum() / max(shown.sum(), 1)),
        psnr_seen=psnr_over(image, photo, well_seen) if well_seen.any() else None,
        psnr_seen_fitted=psnr_over(fitted(image, photo, well_seen), photo, well_seen) if well_seen.any() else None,
    )


def psnr_over(image: NDArray[Any], photo: NDArray[Any], where: NDArray[np.bool_]) -> float:
    """dB of the mean squared error over the pixels `where` (height, width; at least one), of pictures
    (height, width, 3), 0..1."""
    return psnr(float(np.mean((image[where].astype(np.float64) - photo[where]) ** 2)))


def fitted(image: NDArray[np.float32], photo: NDArray[np.float32], where: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The image with the gain and offset of each channel that match the photo best over the pixels `where`, 0..1."""
    out = np.empty(image.shape, np.float64)
    for channel in range(3):
        values = image[..., channel].astype(np.float64)
        rows = np.stack([values[where], np.ones(int(where.sum()))], axis=1)
        (gain, offset), *_ = np.linalg.lstsq(rows, photo[where, channel].astype(np.float64), rcond=None)
        out[..., channel] = values * gain + offset
    return out.clip(0, 1)


def gmsd(image: NDArray[np.float32], photo: NDArray[np.float32], mask: NDArray[np.bool_] | None = None) -> float:
    """Gradient magnitude similarity deviation of two pictures (height, width, 3), 0..1, over the pixels where `mask`
    (height, width) is True.

    Xue et al. 2014: how unevenly edges are lost, in the luminance at half the size. It agrees with people's judgement
    of blur and noise about as well as learned measures do, without weights to download.
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


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of the `values` that are there, None of none."""
    found = [value for value in values if value is not None]
    return sum(found) / len(found) if found else None
