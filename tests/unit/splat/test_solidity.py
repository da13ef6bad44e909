"""How a splat of fog is told from one of surfaces."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splat.camera import Camera, look_at
from splat.gaussians import Gaussians
from splat.solidity import depth_spread, mean_depth_spread

CAMERA = look_at([0, 0, 10], [0, 0, 0], up=(0, 1, 0), width=64, height=48)


def sheet(depth: float, opacity: float, seed: int = 0) -> Gaussians:
    """Flat Gaussians, close together, `depth` before the camera."""
    x, y = np.meshgrid(np.arange(-8, 8, 0.25), np.arange(-8, 8, 0.25))
    count = x.size
    random = np.random.default_rng(seed)
    return Gaussians(
        means=np.stack([x.ravel(), y.ravel(), np.full(count, 10 - depth)], axis=1).astype(np.float32),
        quats=np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1)),
        scales=np.log(np.tile(np.array([0.25, 0.25, 0.01], np.float32), (count, 1))),
        opacities=np.full(count, np.log(opacity / (1 - opacity)), np.float32),
        sh0=random.normal(size=(count, 3)).astype(np.float32),
        shN=random.normal(size=(count, 3, 3)).astype(np.float32),
    )


def together(*splats: Gaussians) -> Gaussians:
    names = ("means", "quats", "scales", "opacities", "sh0", "shN")
    return Gaussians(**{name: np.concatenate([getattr(splat, name) for splat in splats]) for name in names})


def test_a_wall_is_solid() -> None:
    spread = depth_spread(sheet(10.0, 0.95), CAMERA)
    assert spread is not None
    assert spread < 0.005


@settings(max_examples=15, deadline=None)
@given(near=st.floats(4.0, 9.0), opacity=st.floats(0.05, 0.3))
def test_a_veil_before_a_wall_spreads_by_how_far_and_how_dense_it_is(near: float, opacity: float) -> None:
    """Two depths a pixel with weights w and 1 - w have the deviation sqrt(w (1 - w)) times their distance."""
    veil, wall = sheet(near, opacity), sheet(10.0, 0.98)
    spread = depth_spread(together(veil, wall), CAMERA)
    only = depth_spread(together(veil, sheet(10.0, 0.98, seed=1)), CAMERA)
    assert spread is not None
    assert spread == only  # colours do not count
    farther = depth_spread(together(sheet(near - 1.0, opacity), wall), CAMERA)
    assert farther is not None
    assert 0.01 < spread < farther


def test_a_thin_veil_spreads_as_reckoned() -> None:
    one = together(sheet(5.0, 0.02), sheet(10.0, 0.98))
    spread = depth_spread(one, CAMERA)
    # 0.25 m between Gaussians of 0.25 m: some twelve of them add up to an alpha of about 1 - 0.98^(2 pi)
    share = 1 - 0.98 ** (2 * np.pi)
    expected = np.sqrt(share * (1 - share)) * 5 / (5 * share + 10 * (1 - share))
    assert spread == pytest.approx(expected, rel=0.1)


def test_the_units_of_the_world_do_not_count() -> None:
    splat = together(sheet(6.0, 0.1), sheet(10.0, 0.98))
    scale = 37.0
    larger = Gaussians(
        splat.means * np.float32(scale), splat.quats, splat.scales + np.float32(np.log(scale)), splat.opacities,
        splat.sh0, splat.shN,
    )  # fmt: skip
    camera = look_at([0, 0, 10 * scale], [0, 0, 0], up=(0, 1, 0), width=64, height=48)
    assert depth_spread(larger, camera) == pytest.approx(depth_spread(splat, CAMERA), rel=1e-3)


def test_where_nothing_is_nothing_is_told() -> None:
    away = look_at([0, 0, 10], [0, 0, 20], up=(0, 1, 0), width=64, height=48)
    wall = sheet(10.0, 0.95)
    assert depth_spread(wall, away) is None
    assert mean_depth_spread(wall, [away]) is None
    cameras: list[Camera] = [away, CAMERA]
    assert mean_depth_spread(wall, cameras) == depth_spread(wall, CAMERA)
