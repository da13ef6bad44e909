"""Round off a model's last digits, in which two runs on the same photos differ.

Threads add up numbers in any order, so the coordinates of two runs differ by some 1e-14 of their size. That is
negligible, but it changes the bytes of everything derived from them. Rounded to far less than a photo can resolve (some
ten-thousandths of a pixel), they are equal.
"""

from __future__ import annotations

import numpy as np
import pycolmap
from numpy.typing import NDArray

_PLACE_BITS = 24  # of the scene's extent: 6 micrometres of 100 metres
_TURN_BITS = 30  # of a unit quaternion's numbers
_CAMERA_BITS = 30  # of a camera's parameters


def round_off(model: pycolmap.Reconstruction) -> None:
    """Round the model's points, poses and cameras in place."""
    points = np.array([point.xyz for point in model.points3D.values()])
    step = _below(float(np.abs(points).max()) if len(points) else 1.0, _PLACE_BITS)
    for point in model.points3D.values():
        point.xyz = _rounded(point.xyz, step)
        point.error = float(_rounded(np.array(point.error), 2.0**-_PLACE_BITS))
    for frame in model.frames.values():
        if frame.has_pose:
            pose = frame.rig_from_world
            turn = pycolmap.Rotation3d(_rounded(pose.rotation.quat, 2.0**-_TURN_BITS))
            frame.rig_from_world = pycolmap.Rigid3d(turn, _rounded(pose.translation, step))
    for camera in model.cameras.values():
        steps = [_below(max(1.0, abs(value)), _CAMERA_BITS) for value in camera.params]
        camera.params = _rounded(camera.params, np.array(steps))


def _below(size: float, bits: int) -> float:
    """The power of two that lies `bits` below that of `size`."""
    return float(2.0 ** (np.floor(np.log2(max(size, 1e-12))) - bits))


def _rounded(values: NDArray[np.float64], step: float | NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.rint(values / step) * step)
