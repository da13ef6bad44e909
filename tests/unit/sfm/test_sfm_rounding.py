"""Models of two runs, which differ only in the last digits, become the same bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pycolmap

from sfm.rounding import round_off
from tests.unit.sfm.models import flight, lens

FILES = ("cameras.bin", "images.bin", "points3D.bin")


def shaken(model: pycolmap.Reconstruction, seed: int) -> pycolmap.Reconstruction:
    """The model with other last digits, as another run produces them."""
    random = np.random.default_rng(seed)

    def off(values: np.ndarray) -> np.ndarray:
        return np.asarray(values * (1 + random.uniform(-3e-15, 3e-15, values.shape)))

    found = pycolmap.Reconstruction(model)
    for point in found.points3D.values():
        point.xyz = off(point.xyz)
    for frame in found.frames.values():
        pose = frame.rig_from_world
        turn = pycolmap.Rotation3d(off(pose.rotation.quat))
        frame.rig_from_world = pycolmap.Rigid3d(turn, off(pose.translation))
    for camera in found.cameras.values():
        camera.params = off(np.array(camera.params))
    found.update_point_3d_errors()
    return found


def written(model: pycolmap.Reconstruction, folder: Path) -> list[bytes]:
    folder.mkdir()
    model.write(folder)
    return [(folder / name).read_bytes() for name in FILES]


def test_models_alike_become_the_same_and_photos_do_not_notice(tmp_path: Path) -> None:
    model = flight(lens("SIMPLE_RADIAL", 700.0, -0.05))
    model.update_point_3d_errors()
    error = model.compute_mean_reprojection_error()
    one, other = shaken(model, 1), shaken(model, 2)
    assert written(one, tmp_path / "a") != written(other, tmp_path / "b")
    for found in (one, other):
        round_off(found)
    assert written(one, tmp_path / "c") == written(other, tmp_path / "d")
    one.update_point_3d_errors()
    assert abs(one.compute_mean_reprojection_error() - error) < 1e-5


def test_a_small_scene_keeps_its_shape(tmp_path: Path) -> None:
    """Steps are proportional to the scene's size: models without GPS have an arbitrary unit."""
    model = flight(lens("SIMPLE_RADIAL", 700.0, -0.05))
    model.transform(pycolmap.Sim3d(1e-6, pycolmap.Rotation3d(np.array([0.0, 0, 0, 1])), np.zeros(3)))
    model.update_point_3d_errors()
    error = model.compute_mean_reprojection_error()
    round_off(model)
    model.update_point_3d_errors()
    assert abs(model.compute_mean_reprojection_error() - error) < 1e-5
