"""A splat from straight above compared with a float64 twin, and the depths at which rays meet it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splat.camera import look_at
from splat.depths import depth_map
from splat.gaussians import Gaussians
from splat.orthographic import draw_from_above
from splat.render import render
from tests.unit.splat.twin import harmonics, rotation_matrices

torch = pytest.importorskip("torch")
WIDTH, HEIGHT, CELL, WEST, NORTH = 37, 29, 0.1, -1.9, 1.4


def some(seed: int, count: int = 12, degree: int = 3) -> Gaussians:
    rng = np.random.default_rng(seed)
    return Gaussians(
        means=rng.uniform((-2, -1.5, -1), (2, 1.5, 1), (count, 3)).astype(np.float32),
        quats=rng.normal(size=(count, 4)).astype(np.float32),
        scales=np.log(rng.uniform(0.02, 0.6, (count, 3))),
        opacities=rng.normal(0, 2, count).astype(np.float32),
        sh0=rng.normal(0, 0.5, (count, 3)).astype(np.float32),
        shN=rng.normal(0, 0.1, (count, (degree + 1) ** 2 - 1, 3)).astype(np.float32),
    )


def twin(g: Gaussians) -> tuple[np.ndarray, np.ndarray]:
    """Colour (h, w, 3) and transmittance (h, w), directly by the formulas."""
    rotation = rotation_matrices(torch.tensor(g.quats, dtype=torch.float64)).numpy()
    covariance = np.einsum("nij,nj,nkj->nik", rotation, np.exp(2 * g.scales.astype(np.float64)), rotation)
    basis = harmonics(torch.tensor([[0.0, 0, -1]], dtype=torch.float64)).numpy()[0]
    coefficients = np.concatenate([g.sh0[:, None], g.shN], axis=1).astype(np.float64)
    colours = np.maximum(0.5 + np.einsum("k,nkc->nc", basis[: coefficients.shape[1]], coefficients), 0)
    opacity = 1 / (1 + np.exp(-g.opacities.astype(np.float64)))
    image, light = np.zeros((HEIGHT, WIDTH, 3)), np.ones((HEIGHT, WIDTH))
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    for i in np.argsort(-g.means[:, 2], kind="stable"):
        flat = covariance[i, :2, :2] / CELL**2 * [[1, -1], [-1, 1]] + 0.3 * np.eye(2)
        d = np.stack([x - (g.means[i, 0] - WEST) / CELL, y - (NORTH - g.means[i, 1]) / CELL], axis=-1)
        alpha = opacity[i] * np.exp(-0.5 * np.einsum("hwi,ij,hwj->hw", d, np.linalg.inv(flat), d))
        alpha = np.where(alpha >= 1 / 255, np.minimum(alpha, 0.999), 0)
        going = light * (1 - alpha) > 1e-4
        image += np.where(going, alpha * light, 0)[..., None] * colours[i]
        light = np.where(going, light * (1 - alpha), light)
    return image, light


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), degree=st.integers(0, 3))
def test_a_map_is_what_the_formulas_draw(seed: int, degree: int) -> None:
    splat = some(seed, degree=degree)
    found = draw_from_above(splat, WEST, NORTH, CELL, WIDTH, HEIGHT)
    image, light = twin(splat)
    np.testing.assert_allclose(found.rgb, image, atol=2e-3)
    np.testing.assert_allclose(found.alpha, 1 - light, atol=2e-3)


def test_parts_of_a_map_are_the_map() -> None:
    splat = some(3, 40)
    whole = draw_from_above(splat, WEST, NORTH, CELL, WIDTH, HEIGHT)
    part = draw_from_above(splat, WEST + 16 * CELL, NORTH - 5 * CELL, CELL, 11, 13)
    np.testing.assert_allclose(part.rgb, whole.rgb[5:18, 16:27], atol=1e-4)
    np.testing.assert_allclose(part.heights.median, whole.heights.median[5:18, 16:27], atol=1e-5)


@pytest.mark.parametrize("offset", [(-1.2, 5.0), (12.2, 5.0), (5.0, -1.2), (5.0, 14.2)])
def test_a_small_gaussian_beside_a_part_reaches_into_it_by_its_blur(offset: tuple[float, float]) -> None:
    column, row = 16 + offset[0], 5 + offset[1]
    splat = some(0, 1, degree=0)
    splat.means[0] = (WEST + column * CELL, NORTH - row * CELL, 0.0)
    splat.scales[:], splat.opacities[:] = np.log(0.001), 9.0
    whole = draw_from_above(splat, WEST, NORTH, CELL, WIDTH, HEIGHT)
    part = draw_from_above(splat, WEST + 16 * CELL, NORTH - 5 * CELL, CELL, 11, 13)
    assert part.alpha.max() > 0
    np.testing.assert_allclose(part.alpha, whole.alpha[5:18, 16:27], atol=1e-5)


def test_a_camera_far_above_sees_the_same() -> None:
    splat = some(5, 30, degree=0)
    far = 4000.0
    view = np.degrees(2 * np.arctan(0.5 * WIDTH * CELL / far))
    centre = np.array([WEST + WIDTH * CELL / 2, NORTH - HEIGHT * CELL / 2, 0.0])
    camera = look_at(
        centre + np.array([0, 0, far]), centre, (0, 1, 0), width=WIDTH, height=HEIGHT, field_of_view=float(view)
    )  # fmt: skip
    found = draw_from_above(splat, WEST, NORTH, CELL, WIDTH, HEIGHT)
    assert np.abs(found.rgb - render(splat, camera)).max() < 0.02


def sheet(height: float, opacity: float) -> Gaussians:
    """A level sheet that covers the map."""
    x, y = (part.ravel() for part in np.meshgrid(np.arange(-3, 3, 0.1), np.arange(-3, 3, 0.1)))
    count = len(x)
    return Gaussians(
        means=np.column_stack([x, y, np.full(count, height)]),
        quats=np.tile([1.0, 0, 0, 0], (count, 1)),
        scales=np.log(np.tile([0.1, 0.1, 0.001], (count, 1))),
        opacities=np.full(count, np.log(opacity / (1 - opacity))),
        sh0=np.zeros((count, 3), np.float32),
        shN=np.zeros((count, 0, 3), np.float32),
    )


def both(first: Gaussians, second: Gaussians) -> Gaussians:
    names = ("means", "quats", "scales", "opacities", "sh0", "shN")
    return Gaussians(**{name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in names})


def test_a_thin_veil_moves_no_surface() -> None:
    ground, veil = sheet(2.0, 0.9), sheet(9.0, 0.02)
    found = draw_from_above(both(ground, veil), WEST, NORTH, CELL, WIDTH, HEIGHT)
    np.testing.assert_allclose(found.heights.median, 2.0, atol=1e-5)
    np.testing.assert_allclose(found.heights.spread, 0.0, atol=1e-5)
    camera = look_at((0, 0, 22), (0, 0, 2), (0, 1, 0), width=40, height=30, field_of_view=6)
    np.testing.assert_allclose(depth_map(both(ground, veil), camera).median, 20.0, atol=1e-4)


def test_what_stops_too_little_light_is_no_surface() -> None:
    found = draw_from_above(sheet(1.0, 0.02), WEST, NORTH, CELL, WIDTH, HEIGHT)
    assert np.isnan(found.heights.median).all()
    empty = draw_from_above(sheet(1.0, 0.9), 500.0, 500.0, CELL, WIDTH, HEIGHT)
    assert not empty.alpha.any()
    assert np.isnan(empty.heights.median).all()
