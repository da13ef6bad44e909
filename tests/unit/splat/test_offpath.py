"""A splat compared with the surfaces on which photos agree, from where no photo was taken."""

from __future__ import annotations

import numpy as np
import pytest

from splat.camera import look_at
from splat.gaussians import Gaussians
from splat.harmonics import SH_C0
from splat.offpath import Surfaces, look_around, match_off_path

UP = np.array([0.0, 0.0, 1.0])


def squares(height: float, step: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Points of level ground, 12 by 12, in large squares of two colours."""
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(-6, 6, step), np.arange(-6, 6, step)))
    light = (np.floor(x / 2) + np.floor(y / 2)) % 2
    colours = np.where(light[:, None] > 0, [0.8, 0.7, 0.6], [0.2, 0.4, 0.3])
    return np.stack([x, y, np.full_like(x, height)], axis=1), colours


def splat(points: np.ndarray, colours: np.ndarray, opacity: float, width: float = 0.07) -> Gaussians:
    count = len(points)
    return Gaussians(
        means=points.astype(np.float32),
        quats=np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1)),
        scales=np.log(np.tile(np.array([width, width, 0.01], np.float32), (count, 1))),
        opacities=np.full(count, np.log(opacity / (1 - opacity)), np.float32),
        sh0=((colours - 0.5) / SH_C0).astype(np.float32),
        shN=np.zeros((count, 0, 3), np.float32),
    )


def together(*splats: Gaussians) -> Gaussians:
    names = ("means", "quats", "scales", "opacities", "sh0", "shN")
    return Gaussians(**{name: np.concatenate([getattr(splat, name) for splat in splats]) for name in names})


def ground() -> tuple[Gaussians, Surfaces]:
    points, colours = squares(0.0)
    return splat(points, colours, 0.97), Surfaces(points, np.tile(UP, (len(points), 1)), colours)


def test_fog_and_holes_and_wrong_colours_lower_the_match() -> None:
    solid, surfaces = ground()
    cameras = look_around(surfaces.points, 9.0, UP)
    good = match_off_path(solid, surfaces, cameras)
    assert good is not None
    assert good.psnr > 30
    high, _ = squares(1.5, 0.5)
    before = good
    for opacity in (0.05, 0.2, 0.6):  # a grey veil of increasing density
        veiled = together(solid, splat(high, np.full((len(high), 3), 0.5), opacity, 0.5))
        found = match_off_path(veiled, surfaces, cameras)
        assert found is not None
        assert found.psnr < before.psnr - 1
        assert found.contrast_to_error < before.contrast_to_error - 1
        before = found
    holed = match_off_path(solid.select(solid.means[:, 0] < 0), surfaces, cameras)
    assert holed is not None
    assert holed.psnr < 15


def test_what_lies_behind_a_surface_or_looks_away_is_not_asked() -> None:
    solid, surfaces = ground()
    cellar, wrong = squares(-1.0)
    below = Surfaces(
        np.concatenate([surfaces.points, cellar]),
        np.concatenate([surfaces.normals, surfaces.normals]),
        np.concatenate([surfaces.colours, 1 - wrong]),
    )
    inner = look_around(surfaces.points, 3.0, UP)
    alone, with_cellar = (match_off_path(solid, kept, inner) for kept in (surfaces, below))
    assert alone is not None
    assert with_cellar is not None
    assert with_cellar.psnr == pytest.approx(alone.psnr, abs=1.0)
    turned = Surfaces(surfaces.points, -surfaces.normals, surfaces.colours)
    assert match_off_path(solid, turned, inner) is None


def test_without_surfaces_in_view_there_is_no_figure() -> None:
    solid, surfaces = ground()
    away = look_at([0, 0, 5], [0, 0, 50], up=(0, 1, 0), width=400, height=300)
    assert match_off_path(solid, surfaces, [away]) is None
    empty = Surfaces(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros((0, 3)))
    assert match_off_path(solid, empty, [away]) is None


def test_contrast_to_error_is_the_same_of_a_pale_scene_whose_errors_are_as_pale() -> None:
    points, colours = squares(0.0)
    normals = np.tile(UP, (len(points), 1))
    cameras = look_around(points, 9.0, UP)
    found = []
    for share in (1.0, 0.5):  # share of the contrast that is left
        given = 0.5 + share * (colours - 0.5)
        match = match_off_path(
            splat(points, 0.5 + 0.6 * (given - 0.5), 0.97), Surfaces(points, normals, given), cameras
        )
        assert match is not None
        found.append(match)
    assert found[1].psnr > found[0].psnr + 4
    assert found[1].contrast_to_error == pytest.approx(found[0].contrast_to_error, abs=0.5)


def test_a_picture_of_one_colour_has_no_contrast_above_its_error_and_a_bare_field_is_not_held_to_any() -> None:
    points, colours = squares(0.0)
    normals = np.tile(UP, (len(points), 1))
    cameras = look_around(points, 9.0, UP)
    mean = np.broadcast_to(colours.mean(axis=0), colours.shape)
    plain = match_off_path(splat(points, mean, 0.97), Surfaces(points, normals, colours), cameras)
    assert plain is not None
    assert plain.contrast_to_error == pytest.approx(0, abs=1.0)
    field = np.full(colours.shape, 0.4)
    bare = match_off_path(splat(points, field + 0.02, 0.97), Surfaces(points, normals, field), cameras)
    assert bare is not None
    assert bare.contrast_to_error > 10
