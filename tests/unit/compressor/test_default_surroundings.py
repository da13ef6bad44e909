"""A splat without surroundings from training gets some in its own colours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compressor.deliver.surroundings import default_surroundings
from splat.camera import look_at
from splat.gaussians import Gaussians
from splat.harmonics import SH_C0
from tests.support.splats import village

UP = np.array([0.0, 0.0, 1.0])


def rings(inner: tuple[float, float, float], outer: tuple[float, float, float]) -> Gaussians:
    """The village's floor in two colours: one within 1 unit of its middle, one beyond."""
    splat = village(UP)
    floor = splat.select(np.abs(splat.means[:, 2]) < 0.01)
    far = np.linalg.norm(floor.means[:, :2], axis=1) > 1
    colours = np.where(far[:, None], outer, inner).astype(np.float32)
    return replace(floor, sh0=(colours - np.float32(0.5)) / np.float32(SH_C0))


def test_the_ground_has_the_rims_colour_and_height() -> None:
    found = default_surroundings(rings((0.9, 0.1, 0.1), (0.3, 0.4, 0.2)), [], UP)
    assert found.ground_colour == pytest.approx((0.3, 0.4, 0.2), abs=0.01)
    assert found.ground == pytest.approx(0, abs=0.01)
    assert not found.sky_photographed
    assert found.horizon.min() > 0.6


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_few_gaussians_suffice(count: int) -> None:
    splat = rings((0.3, 0.4, 0.2), (0.3, 0.4, 0.2)).select(np.arange(count))
    brighter = replace(splat, sh0=splat.sh0 + np.linspace(0, 1, count, dtype=np.float32)[:, None])
    found = default_surroundings(brighter, [], UP)
    assert (found.ground_colour >= brighter.sh0.min(axis=0) * SH_C0 + 0.5 - 1e-6).all()
    assert (found.ground_colour <= brighter.sh0.max(axis=0) * SH_C0 + 0.5 + 1e-6).all()


def test_what_is_hardly_there_has_no_say() -> None:
    splat = rings((0.3, 0.4, 0.2), (0.3, 0.4, 0.2))
    faint = replace(splat, sh0=np.full_like(splat.sh0, 3), opacities=np.full_like(splat.opacities, -4))
    both = Gaussians(**{name: np.concatenate([value, vars(faint)[name]]) for name, value in vars(splat).items()})
    assert default_surroundings(both, [], UP).ground_colour == pytest.approx((0.3, 0.4, 0.2), abs=0.01)


def test_the_footprint_is_what_the_cameras_saw() -> None:
    splat = village(UP)
    cameras = [look_at((x, 0, 4), (x, 0, 0), (0, 1, 0), width=64, height=64, field_of_view=30) for x in (0, 0.1, 0.2)]
    seen = default_surroundings(splat, cameras, UP)
    assert seen.radius < 0.75 * default_surroundings(splat, [], UP).radius
    assert seen.supports([(0.1, 0, 0.0)]).all()
    assert not seen.supports([(1.9, 1.9, 0.0)]).any()
