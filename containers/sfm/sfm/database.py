"""Fill COLMAP's database with cameras, photos and features."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pycolmap

from sfm.features import Features
from sfm.lens_tags import SIMPLE
from sfm.photos import CameraKey, Photo

FOCAL_WITHOUT_PRIOR = 1.2  # of the long side; COLMAP's default


def write_database(path: Path, photos: Sequence[Photo], features: Sequence[Features]) -> int:
    """Write a new database: one camera for each `camera_key`, each its own rig; returns the number of cameras."""
    cameras: dict[CameraKey, tuple[int, int]] = {}
    with pycolmap.Database.open(path) as database, pycolmap.DatabaseTransaction(database):
        for photo, found in zip(photos, features, strict=True):
            if photo.camera_key not in cameras:
                cameras[photo.camera_key] = _add_camera(database, photo)
            camera_id, rig_id = cameras[photo.camera_key]
            image = pycolmap.Image(name=photo.name, camera_id=camera_id)
            image.image_id = database.write_image(image)
            frame = pycolmap.Frame()
            frame.rig_id = rig_id
            frame.add_data_id(image.data_id)
            database.write_frame(frame)
            database.write_keypoints(image.image_id, found.keypoints)
            database.write_descriptors(
                image.image_id, pycolmap.FeatureDescriptors(pycolmap.FeatureExtractorType.SIFT, found.descriptors)
            )
    return len(cameras)


def _add_camera(database: pycolmap.Database, photo: Photo) -> tuple[int, int]:
    prior = photo.metadata.focal
    focal = prior or FOCAL_WITHOUT_PRIOR * max(photo.width, photo.height)
    camera = pycolmap.Camera.create_from_model_name(0, SIMPLE, focal, photo.width, photo.height)
    camera.has_prior_focal_length = prior is not None
    camera.camera_id = database.write_camera(camera)
    rig = pycolmap.Rig()
    rig.add_ref_sensor(camera.sensor_id)
    return camera.camera_id, database.write_rig(rig)
