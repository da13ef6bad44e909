"""Compare held-out photos with the delivered file's renders: pictures side by side, and the loss in PSNR and SSIM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from compressor.encode.quality import HeldOut, Image3
from splat.gaussians import Gaussians
from splat.loss import Buffers, Target, photometric_loss, psnr

_GAP = 6  # pixels between photo and render
_WIDTH = 800  # maximum, of each of the two pictures
_QUALITY = 85


@dataclass(frozen=True)
class Comparison:
    """PSNR (dB) and SSIM of one held-out photo against the splat before and after compression."""

    name: str
    psnr_before: float
    psnr_after: float
    ssim_before: float
    ssim_after: float
    picture: str

    def as_json(self) -> dict[str, str | float]:
        """The entry in result.json; `picture`: the file with the photo on the left and the delivered render on the
        right."""
        return {
            "name": self.name,
            "psnrBefore": round(self.psnr_before, 3),
            "psnrAfter": round(self.psnr_after, 3),
            "ssimBefore": round(self.ssim_before, 4),
            "ssimAfter": round(self.ssim_after, 4),
            "picture": self.picture,
        }


def compare(
    held_out: HeldOut, before: Gaussians, after: Gaussians, output: Path, progress: Callable[[float], None]
) -> list[Comparison]:
    """Score every held-out photo and write `output`/held_out/<number>.jpg; `progress` receives the share done, 0..1."""
    (output / "held_out").mkdir()
    compared = []
    for index, (name, photo) in enumerate(zip(held_out.names, held_out.photos, strict=True)):
        truth = photo.astype(np.float32) / np.float32(255)
        original, delivered = held_out.draw(before, index), held_out.draw(after, index)
        (psnr_before, ssim_before), (psnr_after, ssim_after) = _score(truth, original), _score(truth, delivered)
        picture = f"held_out/{index + 1:06d}.jpg"  # by number: photos in two folders may have the same name
        _side_by_side(truth, delivered).save(output / picture, "JPEG", quality=_QUALITY, optimize=True)
        compared.append(Comparison(name, psnr_before, psnr_after, ssim_before, ssim_after, picture))
        progress((index + 1) / len(held_out.names))
    return compared


def _score(truth: Image3, picture: Image3) -> tuple[float, float]:
    found = photometric_loss(picture, Target.of(truth), Buffers())
    return psnr(found.mse), found.ssim


def _side_by_side(photo: Image3, picture: Image3) -> Image.Image:
    gap = np.ones((photo.shape[0], _GAP, 3), np.float32)
    sheet = Image.fromarray(np.rint(np.hstack([photo, gap, picture]) * 255).astype(np.uint8))
    sheet.thumbnail((2 * _WIDTH + _GAP, 2 * _WIDTH))
    return sheet
