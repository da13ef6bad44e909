"""Cameras and views.json."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splat.camera import View, look_at, orbit, read_views, write_views
from splat.errors import InvalidSceneError
from tests.unit.splat.scenes import make_camera

coordinate = st.floats(-50, 50)
point = st.tuples(coordinate, coordinate, coordinate)


@given(eye=point, target=point)
def test_look_at_sees_the_target_in_the_middle(eye: tuple[float, ...], target: tuple[float, ...]) -> None:
    distance = float(np.linalg.norm(np.subtract(eye, target)))
    if distance < 1e-3:
        return
    camera = look_at(eye, target, width=80, height=60)
    pixels, depths = camera.project([target])
    np.testing.assert_allclose(pixels[0], (40, 30), atol=1e-4)
    np.testing.assert_allclose(depths, distance, rtol=1e-6)
    np.testing.assert_allclose(camera.position, eye, atol=1e-6)
    np.testing.assert_allclose(camera.rotation @ camera.rotation.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(camera.rotation) == pytest.approx(1)


def test_up_is_up_in_the_picture() -> None:
    camera = look_at((10, 0, 5), (0, 0, 0), width=80, height=60)
    pixels, _ = camera.project([(0, 0, 1)])
    assert pixels[0, 1] < 30
    with pytest.raises(ValueError, match="same point"):
        look_at((1, 2, 3), (1, 2, 3), width=8, height=6)


def test_field_of_view_spans_the_longer_side() -> None:
    camera = look_at((0, 0, 1), (0, 0, 0), width=60, height=90, field_of_view=90)
    assert camera.fy == pytest.approx(45)


def test_orbit_keeps_its_distance_and_height() -> None:
    cameras = orbit((1, 2, 3), 10, 30, 8, width=64, height=48)
    assert len(cameras) == 8
    positions = np.array([camera.position for camera in cameras])
    np.testing.assert_allclose(np.linalg.norm(positions - (1, 2, 3), axis=1), 10)
    np.testing.assert_allclose(positions[:, 2], 3 + 5)
    np.testing.assert_allclose(positions[0] + positions[4], (2, 4, 16), atol=1e-9)


@given(places=st.lists(point, min_size=1, max_size=30))
def test_a_picture_contains_what_lies_in_its_cone(places: list[tuple[float, ...]]) -> None:
    camera = make_camera()
    found = camera.contains(*camera.project(places))
    for place, inside in zip(places, found, strict=True):
        x, y, z = camera.rotation @ place + camera.translation
        column, row = (camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy) if z > 0 else (-1.0, -1.0)
        assert inside == (0 <= column < camera.width and 0 <= row < camera.height)


def test_the_rim_of_a_picture_belongs_to_it_on_two_sides() -> None:
    camera = make_camera()
    pixels = np.array([[0, 0], [camera.width, 0], [0, camera.height], [camera.width - 0.01, camera.height - 0.01]])
    assert camera.contains(pixels, np.ones(4)).tolist() == [True, False, False, True]
    assert not camera.contains(pixels, np.zeros(4)).any()


@given(offset=point, place=point)
def test_a_camera_about_an_offset_sees_the_moved_places_where_it_saw_them(
    offset: tuple[float, ...], place: tuple[float, ...]
) -> None:
    camera = make_camera()
    before, depth = camera.project([place])
    after, same = camera.about(offset).project([np.subtract(place, offset)])
    np.testing.assert_allclose(same, depth, atol=1e-9)
    if depth[0] > 1e-3:
        np.testing.assert_allclose(after, before, rtol=1e-6, atol=1e-3)


@given(factor=st.floats(0.05, 3))
def test_scaling_keeps_every_direction_in_its_place(factor: float) -> None:
    camera = make_camera()
    small = camera.scaled(factor)
    points = np.random.default_rng(0).normal(size=(10, 3))
    size, small_size = (np.array([c.width, c.height]) for c in (camera, small))
    np.testing.assert_allclose(small.project(points)[0] / small_size, camera.project(points)[0] / size, atol=1e-6)


def test_views_are_read_back_as_written(tmp_path: Path) -> None:
    views = [View("a.jpg", "train", make_camera()), View("b/c.jpg", "test", make_camera().scaled(2), "views/c.png")]
    write_views(tmp_path / "views.json", views)
    found = read_views(tmp_path / "views.json")
    assert [(v.name, v.split, v.image, v.camera.width) for v in found] == [
        ("a.jpg", "train", None, 37), ("b/c.jpg", "test", "views/c.png", 74),
    ]  # fmt: skip
    np.testing.assert_array_equal(found[0].camera.world_to_camera, make_camera().world_to_camera)
    document = json.loads((tmp_path / "views.json").read_text())
    assert set(document["views"][0]) == {
        "name", "split", "width", "height", "fx", "fy", "cx", "cy", "world_to_camera", "image",
    }  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [{"split": "both"}, {"width": 0}, {"fx": -1}, {"world_to_camera": [[1, 0], [0, 1]]}, {"cx": None},
     {"cy": float("nan")}, {"width": 10**400}, {"fx": 10**400}, {"name": "../a.jpg"}, {"name": 3},
     {"image": "/etc/passwd"}, {"image": "views/../../a.png"}],
)  # fmt: skip
def test_views_that_are_none_are_refused(tmp_path: Path, change: dict[str, object]) -> None:
    write_views(tmp_path / "views.json", [View("a.jpg", "train", make_camera())])
    document = json.loads((tmp_path / "views.json").read_text())
    document["views"][0] |= change
    (tmp_path / "views.json").write_text(json.dumps(document))
    with pytest.raises(InvalidSceneError, match=r"views\.json"):
        read_views(tmp_path / "views.json")


@pytest.mark.parametrize("text", ["", "[]", '{"version": 2, "views": []}', '{"version": 1}'])
def test_files_that_hold_no_views_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "views.json").write_text(text)
    with pytest.raises(InvalidSceneError, match=r"views\.json"):
        read_views(tmp_path / "views.json")
