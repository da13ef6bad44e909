"""Choose views of a real flight that no photo has: between two photos, and from the side of what one of them sees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from splat.camera import Camera, look_at
from trainer.dataset import Photo, Scene

_LOWER = 0.3  # viewing distances towards what the photos see
_TILT = 28.0  # degrees that the view between two photos looks up
_ELEVATION = np.radians(35.0)


def free_views(scene: Scene) -> list[tuple[Photo, Camera]]:
    """Each with the photo nearest to it: between the two photos amid the flight, 30 % lower and tilted by 28°; and on
    an orbit round what the first of them sees, 35° above the horizon, as far away as it is.
    """
    photos = scene.split("train")
    middle = len(photos) // 2
    one, other = photos[middle], photos[min(middle + 1, len(photos) - 1)]
    return [(one, between(one.camera, other.camera, scene.frame.scale)), (one, beside(one, scene))]


def between(one: Camera, other: Camera, distance: float) -> Camera:
    turns = Slerp([0, 1], Rotation.from_matrix(np.stack([one.rotation, other.rotation])))
    rotation = turns(0.5).as_matrix()
    centre = (one.position + other.position) / 2 + _LOWER * distance * rotation[2]
    tilt = Rotation.from_euler("x", -_TILT, degrees=True).as_matrix()
    return replace(one, world_to_camera=matrix(tilt @ rotation, centre))


def beside(photo: Photo, scene: Scene) -> Camera:
    seen = scene.positions[scene.observed[photo.name]]
    target, camera = np.median(seen, axis=0), photo.camera
    # the scene is levelled by sfm: up is z; the view comes from the side where the picture's lower edge is
    side = camera.rotation[1] * (1, 1, 0)
    side = side / np.linalg.norm(side)
    out = np.cos(_ELEVATION) * side + np.sin(_ELEVATION) * np.array([0.0, 0.0, 1.0])
    distance = float(np.linalg.norm(camera.position - target))
    field = np.degrees(2 * np.arctan(max(camera.width, camera.height) / 2 / camera.fx))
    return look_at(target + distance * out, target, width=camera.width, height=camera.height, field_of_view=field)


def matrix(rotation: NDArray[np.float64], centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """World to camera (4, 4)."""
    found = np.eye(4)
    found[:3, :3], found[:3, 3] = rotation, -rotation @ centre
    return found
