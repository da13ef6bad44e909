"""Models with known truth: photos of rolling ground by a given camera, and what mapping makes of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pycolmap
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from sfm.calibrate import adjust

SIZE = (800, 600)


def lens(name: str, focal: float, *terms: float) -> pycolmap.Camera:
    camera = pycolmap.Camera.create_from_model_name(1, name, focal, *SIZE)
    camera.params = [focal, SIZE[0] / 2, SIZE[1] / 2, *terms]
    return camera


def flight(camera: pycolmap.Camera) -> pycolmap.Reconstruction:
    """Sixteen oblique photos of rolling ground by `camera`, with 0.1 pixels of noise."""
    rng = np.random.default_rng(0)
    model = pycolmap.Reconstruction()
    model.add_camera_with_trivial_rig(camera)
    ground = np.column_stack([rng.uniform(-50, 50, (900, 2)), rng.normal(0, 2, 900)])
    seen: list[list[tuple[int, int]]] = [[] for _ in ground]
    for index in range(16):
        turn = Rotation.from_euler("zx", [360 * index / 16, -40 - 8 * (index % 3)], degrees=True).as_matrix()
        centre = turn @ np.array([0, 0, 30.0]) + rng.normal(0, 1, 3)
        down = (turn @ np.diag([1.0, -1.0, -1.0])).T
        local = (ground - centre) @ down.T
        ahead = np.flatnonzero(local[:, 2] > 5)
        pixels = np.asarray(camera.img_from_cam(local[ahead])) + rng.normal(0, 0.1, (len(ahead), 2))
        inside = ((pixels > 0) & (pixels < SIZE)).all(axis=1)
        for row, point in enumerate(ahead[inside]):
            seen[point].append((index + 1, row))
        image = pycolmap.Image(name=f"{index}.jpg", keypoints=pixels[inside], camera_id=1, image_id=index + 1)
        pose = pycolmap.Rigid3d(pycolmap.Rotation3d(down), -down @ centre)
        model.add_image_with_trivial_frame(image, pose)
    add_tracks(model, ground, seen)
    return model


def add_tracks(
    model: pycolmap.Reconstruction, ground: NDArray[np.float64], seen: Sequence[Sequence[tuple[int, int]]]
) -> None:
    """Adds the points (N, 3) that three photos see; `seen`: for each point its (image id, index of the keypoint)."""
    for xyz, observations in zip(ground, seen, strict=True):
        if len(observations) >= 3:
            track = pycolmap.Track()
            for image_id, row in observations:
                track.add_element(image_id, row)
            model.add_point3D(xyz, track, np.array([90, 120, 60], np.uint8))


def as_simple(model: pycolmap.Reconstruction) -> pycolmap.Reconstruction:
    """The result of mapping the photos with a SIMPLE_RADIAL camera."""
    found = pycolmap.Reconstruction(model)
    simple = lens("SIMPLE_RADIAL", model.camera(1).focal_length, -0.05)
    found.camera(1).model, found.camera(1).params = simple.model, list(simple.params)
    found.update_point_3d_errors()
    adjust(found, 1, refine_focal_length=True, refine_principal_point=False)
    return found
