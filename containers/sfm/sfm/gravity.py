"""Estimate the vertical direction of a model from gimbal angles, else from the poses of the cameras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfm.gimbal import Gimbal

Vector = NDArray[np.float64]

MIN_GIMBALS = 3
# gimbal angles that contradict each other by more are not used (vehicles, manual roll, edited metadata)
GIMBAL_SCATTER_DEGREES = 5.0
GIMBAL_TILT_DEGREES, CAMERAS_TILT_DEGREES = 3.0, 8.0
# the third only decides what the other two leave open
PLANE_WEIGHT, UPRIGHT_WEIGHT = 0.3, 0.001


@dataclass(frozen=True)
class Up:
    """A unit vector in model coordinates, where it comes from, and its own uncertainty (one sigma)."""

    direction: Vector
    source: str
    sigma_degrees: float


def estimate_up(rotations: Vector, centres: Vector, gimbals: Sequence[Gimbal | None]) -> Up:
    """Up from `rotations` (N, 3, 3) camera-from-model, `centres` (N, 3) and the gimbals of the same photos."""
    return _from_gimbals(rotations, gimbals) or _from_cameras(rotations, centres)


def up_in_camera(gimbal: Gimbal) -> Vector:
    """The unit vector up in camera axes (x right, y down, z forward)."""
    pitch, roll = np.deg2rad(gimbal.pitch), np.deg2rad(gimbal.roll)
    return np.array([-np.sin(roll) * np.cos(pitch), -np.cos(roll) * np.cos(pitch), np.sin(pitch)])


def rotation_to_z(direction: Vector) -> Vector:
    """(3, 3), a rotation that takes a unit vector to +z: the smallest for the upper half of directions (Rodrigues)."""
    if direction[2] < 0:  # by way of half a turn, for Rodrigues' formula has a pole at −z
        half_turn = np.diag([1.0, -1.0, -1.0])
        return rotation_to_z(half_turn @ direction) @ half_turn
    x, y, z = direction
    cross = np.array([[0, 0, -x], [0, 0, -y], [x, y, 0]])
    return np.asarray(np.eye(3) + cross + cross @ cross / (1 + z), dtype=np.float64)


def _from_gimbals(rotations: Vector, gimbals: Sequence[Gimbal | None]) -> Up | None:
    ups = np.array([R.T @ up_in_camera(g) for R, g in zip(rotations, gimbals, strict=True) if g is not None])
    if len(ups) < MIN_GIMBALS:
        return None
    mean = _unit(ups.mean(axis=0))
    for _ in range(10):  # geometric median on the sphere (Weiszfeld)
        weights = 1 / np.maximum(np.linalg.norm(ups - mean, axis=1), 1e-3)
        mean = _unit(weights @ ups)
    angles = np.rad2deg(np.arccos(np.clip(ups @ mean, -1, 1)))
    if float(np.median(angles)) > GIMBAL_SCATTER_DEGREES:
        return None
    return Up(mean, "gimbal", GIMBAL_TILT_DEGREES)


def _from_cameras(rotations: Vector, centres: Vector) -> Up:
    """Up is across the cameras' x axes (drones and people hold the horizon level) and across the plane they fly in.

    The sign, and what a single straight line of flight leaves open, come from cameras looking down and being upright.
    """
    right, down, forward = rotations[:, 0], rotations[:, 1], rotations[:, 2]
    upright = _unit(-(forward.mean(axis=0) + down.mean(axis=0)))
    spread = centres - centres.mean(axis=0)
    evidence = right.T @ right / len(right) - UPRIGHT_WEIGHT * np.outer(upright, upright)
    variance = float((spread**2).sum())
    if variance > 0:
        evidence += PLANE_WEIGHT * spread.T @ spread / variance
    direction = np.linalg.eigh(evidence)[1][:, 0]
    if direction @ upright < 0:
        direction = -direction
    return Up(direction, "cameras", CAMERAS_TILT_DEGREES)


def _unit(vector: Vector) -> Vector:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 1e-12 else np.array([0.0, 0.0, 1.0])
