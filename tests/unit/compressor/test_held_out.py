"""Held-out photos are compared with the splat over the background that was used in training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compressor.deliver.comparison import compare
from compressor.encode.quality import held_out_photos
from splat.camera import View, look_at
from splat.gaussians import Gaussians
from splat.surroundings import Surroundings, background
from tests.support.gaussians import gaussians_of

SURROUNDINGS = Surroundings(
    up=np.array([0.0, 0.0, 1.0]), ground=0.0, ceiling=1.0, haze=20.0,
    footprint=np.array([[-2, -2, 0], [2, -2, 0], [2, 2, 0], [-2, 2, 0]]),
    ground_colour=np.array([0.3, 0.4, 0.2]), horizon=np.array([0.8, 0.8, 0.85]), zenith=np.array([0.4, 0.6, 0.9]),
    sky_photographed=True,
)  # fmt: skip


def nothing() -> Gaussians:
    return gaussians_of(
        means=np.zeros((1, 3)), quats=np.array([[1.0, 0, 0, 0]]), scales=np.full((1, 3), -5.0),
        opacities=np.array([-12.0]), sh0=np.zeros((1, 3)), shN=np.zeros((1, 0, 3)),
    )  # fmt: skip


def test_the_drawn_sky_counts_and_without_surroundings_it_is_black(tmp_path: Path) -> None:
    camera = look_at((0, -3, 2), (0, 3, 2.2), (0, 0, 1), width=96, height=64)
    Image.fromarray(np.rint(255 * background(SURROUNDINGS, camera)).astype(np.uint8)).save(tmp_path / "sky.png")
    views = [View("sky.jpg", "test", camera, "sky.png")]
    over_sky, over_black = (held_out_photos(views, tmp_path, behind) for behind in (SURROUNDINGS, None))
    assert over_sky is not None
    assert over_black is not None
    assert over_sky.psnr(nothing(), lambda: None) > 50
    assert over_black.psnr(nothing(), lambda: None) < 6
    (found,) = compare(over_sky, nothing(), nothing(), tmp_path, lambda _share: None)
    assert found.psnr_before == found.psnr_after > 50
    shown = np.asarray(Image.open(tmp_path / found.picture), np.float64)[:, -96:] / 255
    assert shown == pytest.approx(background(SURROUNDINGS, camera), abs=0.1)
