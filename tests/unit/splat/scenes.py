"""Small scenes for hypothesis, including Gaussians of every awkward kind."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from splat.camera import Camera
from splat.gaussians import HIGHER_COEFFICIENTS, Gaussians

WIDTH, HEIGHT = 37, 29  # no multiples of the tile
KINDS = ("plain", "plain", "plain", "behind", "at_near", "tiny", "huge", "flat", "faint", "opaque", "edge", "outside")


def make_gaussians(kinds: list[str], seed: int, degree: int = 3) -> Gaussians:
    """One Gaussian of each kind before `make_camera`."""
    rng = np.random.default_rng(seed)
    count = len(kinds)
    depth = rng.uniform(1.0, 6.0, count)
    pixels = rng.uniform((0, 0), (WIDTH, HEIGHT), (count, 2))
    scales = np.log(rng.uniform(0.5, 4.0, (count, 3)) * depth[:, None] / 40)
    opacities = rng.normal(0, 1.5, count)
    for i, kind in enumerate(kinds):
        if kind == "behind":
            depth[i] = -depth[i]
        elif kind == "at_near":
            depth[i] = 0.0101
            scales[i] -= 6
        elif kind == "tiny":
            scales[i] = -12
        elif kind == "huge":
            scales[i] += 3
        elif kind == "flat":
            scales[i, rng.integers(3)] -= 6
        elif kind == "faint":
            opacities[i] = rng.uniform(-8, -5.4)
        elif kind == "opaque":
            opacities[i] = rng.uniform(5, 9)
        elif kind == "edge":
            pixels[i, 0] = -0.5
        elif kind == "outside":
            pixels[i] = WIDTH * 1.5, HEIGHT * 0.5
            scales[i] += 1.5
    camera = make_camera()
    local = np.stack([*((pixels - (camera.cx, camera.cy)) / (camera.fx, camera.fy)).T * depth, depth], axis=1)
    means = (local - camera.translation) @ camera.rotation
    return Gaussians(
        means=means.astype(np.float32),
        quats=(rng.normal(size=(count, 4)) * rng.uniform(0.1, 3)).astype(np.float32),
        scales=scales.astype(np.float32),
        opacities=opacities.astype(np.float32),
        sh0=rng.normal(0, 0.8, (count, 3)).astype(np.float32),
        shN=rng.normal(0, 0.15, (count, HIGHER_COEFFICIENTS[degree], 3)).astype(np.float32),
    )


def make_camera() -> Camera:
    """Off-centre principal point, unequal focal lengths, rotated and away from the origin."""
    a, b = 0.4, -0.7
    rotation = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]]) @ np.array(
        [[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = 0.3, -0.2, 0.5
    return Camera(WIDTH, HEIGHT, 40.0, 43.0, 17.2, 15.9, matrix)


kinds_of_gaussians = st.lists(st.sampled_from(KINDS), min_size=1, max_size=24)
seeds = st.integers(0, 2**32 - 1)
