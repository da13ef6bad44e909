"""How many photos see each place of a picture: the same whether or not cameras that cannot see it are left out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splat.camera import look_at
from trainer import coverage
from trainer.coverage import views_of_pixels

Place = tuple[float, float, float]
PLACES = st.tuples(*3 * [st.floats(-4, 4)])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(PLACES, PLACES), min_size=1, max_size=12), st.integers(0, 99))
def test_no_camera_that_sees_a_place_is_left_out(poses: list[tuple[Place, Place]], seed: int) -> None:
    poses = [pose for pose in poses if np.linalg.norm(np.subtract(*pose)[:2]) > 0.1]
    cameras = [look_at(eye, target, width=40, height=30, field_of_view=50) for eye, target in poses]
    points = np.random.default_rng(seed).normal(0, 0.5, (60, 3))
    camera = look_at((0.1, -3, 1), (0, 0, 0), width=40, height=30)
    found = views_of_pixels(camera, cameras, points)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coverage, "_may_see", lambda cameras, _places: np.ones(len(cameras), np.bool_))
        np.testing.assert_array_equal(found, views_of_pixels(camera, cameras, points))


def test_cameras_far_away_are_not_asked() -> None:
    cameras = [look_at((x, 0, 3), (x, 0.1, 0), width=40, height=30) for x in range(100)]
    places = np.array([[0.0, 0, 0], [1, 1, 0]])
    assert np.flatnonzero(coverage._may_see(cameras, places)).max() < 8
