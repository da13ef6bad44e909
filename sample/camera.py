"""An exact pinhole camera. Axes are OpenCV's: x right, y down, z forward. Pixel (0, 0) has its centre at (0.5, 0.5)."""

from dataclasses import dataclass

import numpy as np

from sample.solids import Floats


@dataclass(frozen=True)
class Camera:
    """Picture size and intrinsics in pixels, and the rigid transform (4, 4) from ENU metres to camera metres."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    world_to_camera: Floats

    @property
    def centre(self) -> Floats:
        """Where the camera stands (3,), ENU metres."""
        centre: Floats = -self.world_to_camera[:3, :3].T @ self.world_to_camera[:3, 3]
        return centre

    def project(self, points: Floats) -> tuple[Floats, Floats]:
        """Pixels (N, 2) and depths (N,) of points (N, 3); pixels mean nothing where the depth is not positive."""
        local = points @ self.world_to_camera[:3, :3].T + self.world_to_camera[:3, 3]
        depth = local[:, 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            x = self.fx * local[:, 0] / depth + self.cx
            y = self.fy * local[:, 1] / depth + self.cy
        return np.stack([x, y], 1), depth


def world_to_camera(centre: Floats, forward: Floats, up: Floats) -> Floats:
    """The transform (4, 4) of a camera at `centre` that looks along `forward`, its picture's top towards `up`."""
    z = forward / np.linalg.norm(forward)
    x = np.cross(z, up)
    x /= np.linalg.norm(x)
    rotation = np.stack([x, np.cross(z, x), z])
    transform = np.eye(4)
    transform[:3, :3] = rotation
    transform[:3, 3] = -rotation @ centre
    return transform
