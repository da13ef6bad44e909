"""Pinhole cameras (OpenCV axes: x right, y down, z forward; pixel centres at +0.5) and `views.json`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from contract.archive import inner_name
from contract.counts import MAX_PIXELS
from contract.files import write_json
from contract.split import Split
from splat.errors import InvalidSceneError
from splat.files import read_document

VIEWS_VERSION = 1


@dataclass(frozen=True)
class Camera:
    """A pinhole camera; lengths in pixels, `world_to_camera` a rigid (4, 4) float64 matrix."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    world_to_camera: NDArray[np.float64]

    @property
    def rotation(self) -> NDArray[np.float64]:
        """(3, 3) world to camera."""
        return self.world_to_camera[:3, :3]

    @property
    def translation(self) -> NDArray[np.float64]:
        """(3,) world to camera."""
        return self.world_to_camera[:3, 3]

    @property
    def position(self) -> NDArray[np.float64]:
        """(3,) centre of projection in the world."""
        return np.asarray(-self.rotation.T @ self.translation, dtype=np.float64)

    @property
    def intrinsics(self) -> NDArray[np.float64]:
        """(3, 3) K."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], dtype=np.float64)

    def scaled(self, factor: float) -> Camera:
        """The same view in a picture `factor` times as large, in whole pixels; the field of view is kept exactly."""
        width, height = max(1, round(self.width * factor)), max(1, round(self.height * factor))
        return self.resized(width, height)

    def resized(self, width: int, height: int) -> Camera:
        """The same view in a picture of `width` by `height` pixels."""
        sx, sy = width / self.width, height / self.height
        return replace(
            self, width=width, height=height, fx=self.fx * sx, fy=self.fy * sy, cx=self.cx * sx, cy=self.cy * sy
        )

    def about(self, offset: ArrayLike) -> Camera:
        """The same view in coordinates from which `offset` (3,) was subtracted."""
        matrix = self.world_to_camera.copy()
        matrix[:3, 3] += self.rotation @ np.asarray(offset)
        return replace(self, world_to_camera=matrix)

    def project(self, points: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """World points (N, 3) to pixels (N, 2) and depths (N,); pixels are meaningless unless the depth is positive."""
        local = np.asarray(points, dtype=np.float64) @ self.rotation.T + self.translation
        depths = local[:, 2]
        safe = np.where(depths > 0, depths, 1.0)
        pixels = np.stack([self.fx * local[:, 0] / safe + self.cx, self.fy * local[:, 1] / safe + self.cy], axis=1)
        return pixels, depths

    def contains(self, pixels: NDArray[np.float64], depths: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(N,) which points, given their `pixels` (N, 2) and `depths` (N,) from `project`, the picture shows."""
        inside: NDArray[np.bool_] = (depths > 0) & (pixels >= 0).all(axis=1)
        inside &= (pixels < (self.width, self.height)).all(axis=1)
        return inside

    def unproject(self, pixels: NDArray[np.float64], depths: NDArray[np.float64]) -> NDArray[np.float64]:
        """World points (M, 3) seen at `pixels` (M, 2) at `depths` (M,): the inverse of `project`."""
        x, y = (pixels - (self.cx, self.cy)).T / np.array([[self.fx], [self.fy]])
        local = np.stack([x * depths, y * depths, depths], axis=1)
        points: NDArray[np.float64] = (local - self.translation) @ self.rotation
        return points


@dataclass(frozen=True)
class View:
    """A photo's camera, whether it is trained on or held out, and its picture's path relative to views.json, if any."""

    name: str
    split: Split
    camera: Camera
    image: str | None = None


def look_at(
    eye: ArrayLike,
    target: ArrayLike,
    up: ArrayLike = (0.0, 0.0, 1.0),
    *,
    width: int,
    height: int,
    field_of_view: float = 60.0,
) -> Camera:
    """A camera at `eye` with `target` at the centre of its picture; `field_of_view`: degrees along the longer side."""
    position = np.asarray(eye, dtype=np.float64)
    forward = np.asarray(target, dtype=np.float64) - position
    length = float(np.linalg.norm(forward))
    if length == 0.0:
        raise ValueError("eye and target are the same point")
    forward = forward / length
    right = np.cross(forward, np.asarray(up, dtype=np.float64))
    if np.linalg.norm(right) < 1e-9:  # looking along `up`: any direction at a right angle to it will do
        right = np.cross(forward, np.eye(3)[int(np.argmin(np.abs(forward)))])
    right = right / np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = rotation
    world_to_camera[:3, 3] = -rotation @ position
    focal = 0.5 * max(width, height) / math.tan(math.radians(field_of_view) / 2)
    return Camera(width, height, focal, focal, width / 2, height / 2, world_to_camera)


def orbit(
    target: ArrayLike,
    radius: float,
    elevation: float,
    count: int,
    *,
    width: int,
    height: int,
    field_of_view: float = 60.0,
    up: ArrayLike = (0.0, 0.0, 1.0),
    start: float = 0.0,
) -> list[Camera]:
    """`count` cameras evenly spaced around `target`, at the distance `radius` and `elevation` degrees above it.

    `start` is the first camera's azimuth in degrees, counterclockwise about `up`.
    """
    axis = np.asarray(up, dtype=np.float64)
    axis = axis / np.linalg.norm(axis)
    side, other = level_axes(axis)
    centre = np.asarray(target, dtype=np.float64)
    rise = math.radians(elevation)
    cameras = []
    for azimuth in math.radians(start) + 2 * math.pi * np.arange(count) / count:
        outward = math.cos(azimuth) * side + math.sin(azimuth) * other
        eye = centre + radius * (math.cos(rise) * outward + math.sin(rise) * axis)
        cameras.append(look_at(eye, centre, axis, width=width, height=height, field_of_view=field_of_view))
    return cameras


def level_axes(up: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two unit vectors at right angles to each other and to the unit vector `up` (3,)."""
    side = np.cross(up, np.eye(3)[int(np.argmin(np.abs(up)))])
    side = side / np.linalg.norm(side)
    return side, np.cross(up, side)


def write_views(path: Path, views: Sequence[View]) -> None:
    """Write `views.json` (docs/contracts.md)."""
    write_json(path, {"version": VIEWS_VERSION, "views": [_to_json(view) for view in views]})


def read_views(path: Path) -> list[View]:
    """Read `views.json`.

    Raises InvalidSceneError if it is missing, breaks the contract, or names a picture outside its folder.
    """
    try:
        document = read_document(path)
        if document["version"] != VIEWS_VERSION:
            raise ValueError(f"version {document['version']!r}")
        return [_from_json(view) for view in document["views"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InvalidSceneError(f"{path.name} is not a list of views ({error!r})") from error


def _to_json(view: View) -> dict[str, Any]:
    camera = view.camera
    return {
        "name": view.name,
        "split": view.split,
        "width": camera.width,
        "height": camera.height,
        "fx": camera.fx,
        "fy": camera.fy,
        "cx": camera.cx,
        "cy": camera.cy,
        "world_to_camera": camera.world_to_camera.tolist(),
        "image": view.image,
    }


def _from_json(value: dict[str, Any]) -> View:
    matrix = np.asarray(value["world_to_camera"], dtype=np.float64)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise ValueError("world_to_camera is not a 4 by 4 matrix")
    if value["split"] not in ("train", "test"):
        raise ValueError(f"split {value['split']!r}")
    width, height = int(value["width"]), int(value["height"])
    fx, fy, cx, cy = (float(value[name]) for name in ("fx", "fy", "cx", "cy"))
    finite = all(map(math.isfinite, (fx, fy, cx, cy)))
    if not (width > 0 and height > 0 and width * height <= MAX_PIXELS and fx > 0 and fy > 0 and finite):
        raise ValueError(f"not a valid camera: {width} by {height} pixels, focal lengths {fx}, {fy}")
    name, image = str(inner_name(value["name"])), value.get("image")
    camera = Camera(width, height, fx, fy, cx, cy, matrix)
    return View(name, value["split"], camera, None if image is None else str(inner_name(image)))
