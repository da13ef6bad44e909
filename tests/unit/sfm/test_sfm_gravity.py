"""The up direction from gimbal angles and from the cameras' orientations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from sfm.gimbal import Gimbal
from sfm.gravity import estimate_up, rotation_to_z, up_in_camera


def camera(heading: float, pitch: float, roll: float = 0.0) -> np.ndarray:
    """Camera-from-world rotation (ENU) of a camera with this heading, clockwise from north, and pitch, −90 looking
    down; degrees."""
    level = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # looks north, upright
    about_x = Rotation.from_euler("x", -pitch, degrees=True).as_matrix()
    about_z = Rotation.from_euler("z", -roll, degrees=True).as_matrix()
    rotation: np.ndarray = about_z @ about_x @ level @ Rotation.from_euler("z", heading, degrees=True).as_matrix()
    return rotation


def angle(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.rad2deg(np.arccos(np.clip(first @ second, -1, 1))))


UP = np.array([0.0, 0, 1])


@pytest.mark.parametrize(("pitch", "forward"), [(-90, [0, 0, -1]), (0, [0, 1, 0]), (-45, [0, 0.7071, -0.7071])])
def test_the_test_camera_looks_where_it_should(pitch: float, forward: list[float]) -> None:
    np.testing.assert_allclose(camera(0, pitch)[2], forward, atol=1e-4)


@given(st.floats(0, 360), st.floats(-90, 30), st.floats(-40, 40))
def test_up_of_a_gimbal_is_up_in_the_world(heading: float, pitch: float, roll: float) -> None:
    assert angle(camera(heading, pitch, roll).T @ up_in_camera(Gimbal(pitch, roll)), UP) < 1e-4


@given(st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1)).filter(lambda v: np.linalg.norm(v) > 0.1))
def test_rotation_to_z(vector: tuple[float, float, float]) -> None:
    direction = np.array(vector) / np.linalg.norm(vector)
    rotation = rotation_to_z(direction)
    np.testing.assert_allclose(rotation @ direction, UP, atol=1e-7)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-7)
    assert np.linalg.det(rotation) == pytest.approx(1)


def test_gimbals_decide_and_one_liar_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    world = Rotation.random(rng=rng).as_matrix()  # model-from-world
    pitches = [-90, -80, -45, -60, -90, -70]
    rotations = np.array([camera(60 * i, p) @ world.T for i, p in enumerate(pitches)])
    gimbals = [Gimbal(float(p), 0.0) for p in pitches]
    gimbals[2] = Gimbal(30.0, 0.0)
    up = estimate_up(rotations, rng.normal(size=(6, 3)), gimbals)
    assert up.source == "gimbal"
    assert angle(up.direction, world @ UP) < 1.0


def test_gimbals_that_contradict_each_other_are_not_believed() -> None:
    rotations = np.array([camera(40 * i, -90) for i in range(6)])
    gimbals = [Gimbal(-90.0 + 30 * i, 0.0) for i in range(6)]
    centres = np.array([[i % 3, i // 3, 0.0] for i in range(6)])
    up = estimate_up(rotations, centres, gimbals)
    assert up.source == "cameras"
    assert angle(up.direction, UP) < 1.0


@pytest.mark.parametrize(
    "layout", ["grid one heading", "grid two headings", "orbit", "one line oblique", "one line nadir"]
)
def test_up_from_how_cameras_stand(layout: str) -> None:
    rng = np.random.default_rng(2)
    if layout == "orbit":
        turns = range(0, 360, 30)
        rotations = np.array([camera(t + 180, -30) for t in turns])
        centres = np.array([[np.sin(np.deg2rad(t)), np.cos(np.deg2rad(t)), 0.3] for t in turns])
    elif layout.startswith("one line"):
        pitch, heading = (-45, 90) if layout.endswith("oblique") else (-90, 0)
        rotations = np.array([camera(heading, pitch, rng.normal(0, 0.2)) for _ in range(8)])
        centres = np.array([[0.0, i, 0] for i in range(8)])
    else:
        rotations = np.array(
            [camera(180 * (i // 4 % 2) if "two" in layout else 0, -90 + rng.normal(0, 0.5)) for i in range(16)]
        )
        centres = np.array([[i % 4, i // 4, 0.0] for i in range(16)])
    world = Rotation.random(rng=rng).as_matrix()
    up = estimate_up(rotations @ world.T, centres @ world.T * 7 + 3, [None] * len(centres))
    assert angle(up.direction, world @ UP) < 2.0
