"""The renderer follows the camera model, in hand-made scenes and in a small property."""

import numpy as np
import pytest

from sample.camera import Camera, world_to_camera
from sample.ground import GroundMap
from sample.render import expose, view_of
from sample.scene import Scene
from sample.visibility import Primitives, look

UP = np.array([0.0, 0.0, 1.0])


def camera(centre: tuple[float, float, float], target: tuple[float, float, float], width: int = 160) -> Camera:
    place = np.array(centre)
    transform = world_to_camera(place, np.array(target) - place, UP)
    return Camera(width, width * 3 // 4, 0.7 * width, 0.7 * width, width / 2, width * 3 / 8, transform)


def discs(centres: np.ndarray, along: np.ndarray, across: np.ndarray) -> Primitives:
    return Primitives(np.stack([along, across, centres], 1), 0)


def lone_leaf(centre: np.ndarray, along: np.ndarray, across: np.ndarray) -> Scene:
    texels, levels = np.zeros((4, 3), np.uint8), np.array([[[0, 2, 2]]])
    ground = GroundMap(texels, levels, np.array([[-1.0, -1.0, 1.0]]))
    primitives = discs(centre[None], along[None], across[None])
    return Scene(primitives, 0, np.zeros((0, 3, 2)), np.zeros((2, 2, 3), np.uint8), np.full((1, 3), 90.0), ground)


@pytest.mark.parametrize("seed", range(6))
def test_a_disc_is_drawn_where_its_points_project(seed: int) -> None:
    random = np.random.default_rng(seed)
    eye = camera((random.uniform(-20, 20), random.uniform(-20, 20), 25.0), (0.0, 0.0, 0.0))
    centre = random.uniform(-3, 3, 3)
    along = np.cross(random.normal(size=3), eye.centre - centre)
    along *= 1.6 / np.linalg.norm(along)
    across = np.cross(along, eye.centre - centre)
    across *= 0.9 / np.linalg.norm(across)
    picture = expose(lone_leaf(centre, along, across), eye)
    weight = np.clip(picture[..., 0] - 5.0, 0, None)
    rows, columns = np.mgrid[: eye.height, : eye.width] + 0.5
    drawn = np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
    # The picture's mean over the disc, from the same points projected one by one; brighter towards the tip, as leaves
    # are.
    s, t = np.meshgrid(np.linspace(-1, 1, 201), np.linspace(-1, 1, 201))
    inside = s**2 + t**2 <= 1
    s, t = s[inside], t[inside]
    pixels, depth = eye.project(centre + s[:, None] * along + t[:, None] * across)
    tone = (1 + 0.16 * s - 0.18 * (s**2 + t**2 - 0.5)) / depth**3
    expected = (pixels * tone[:, None]).sum(0) / tone.sum()
    assert drawn == pytest.approx(expected, abs=0.06)


def first_hit(origin: np.ndarray, ray: np.ndarray, triangles: np.ndarray) -> tuple[int, float]:
    """Möller and Trumbore (1997), one triangle at a time: the nearest and its distance in units of the ray."""
    best, nearest = -1, np.inf
    for index, (a, b, c) in enumerate(triangles):
        p = np.cross(ray, c - a)
        determinant = p @ (b - a)
        if abs(determinant) < 1e-12:
            continue
        offset = origin - a
        u = (p @ offset) / determinant
        q = np.cross(offset, b - a)
        v = (q @ ray) / determinant
        distance = (q @ (c - a)) / determinant
        if u >= 0 and v >= 0 and u + v <= 1 and 1e-6 < distance < nearest:
            best, nearest = index, distance
    return best, nearest


@pytest.mark.parametrize("seed", range(4))
def test_visibility_agrees_with_rays_cast_one_by_one(seed: int) -> None:
    random = np.random.default_rng(100 + seed)
    # Large triangles around the camera: some are behind it, some cross its image plane.
    middle = random.uniform(-6, 6, (60, 1, 3))
    triangles = middle + random.normal(0, 3.0, (60, 3, 3))
    eye = camera((0.0, -9.0, 4.0), (0.0, 0.0, 0.0), width=36)
    seen = look(Primitives(triangles, len(triangles)), view_of(eye, 1))
    rotation = eye.world_to_camera[:3, :3]
    checked = 0
    for row in range(0, eye.height, 2):
        for column in range(0, eye.width, 2):
            local = np.array([(column + 0.5 - eye.cx) / eye.fx, (row + 0.5 - eye.cy) / eye.fy, 1.0])
            index, depth = first_hit(eye.centre, rotation.T @ local, triangles)
            if 0.0 < depth < 0.2:
                continue  # nearer than the renderer's near plane
            assert seen.owner[row, column] == index
            if index >= 0:
                assert 1 / seen.nearness[row, column] == pytest.approx(depth, rel=1e-5)
                checked += 1
    assert checked > 30


def test_neighbouring_triangles_leave_no_gap() -> None:
    random = np.random.default_rng(7)
    x, y = np.meshgrid(np.linspace(-30, 30, 40), np.linspace(-30, 30, 40))
    grid = np.stack([x, y, random.normal(0, 0.3, x.shape)], 2)
    a, b, c, d = grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]
    land = np.concatenate([np.stack([a, b, c], 2).reshape(-1, 3, 3), np.stack([a, c, d], 2).reshape(-1, 3, 3)])
    eye = camera((3.0, 2.0, 14.0), (0.0, 0.5, 0.0), width=320)
    assert (look(Primitives(land, len(land)), view_of(eye, 3)).owner >= 0).all()
