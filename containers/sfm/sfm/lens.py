"""Choose the camera model that fits the lenses: by the photos' metadata, then by the remaining reprojection error.

Mapping begins with SIMPLE_RADIAL, one number for the distortion. It does not describe fisheye lenses: on equidistant
photos of 150° the cameras turned by 9° to compensate, at twice the error of RADIAL_FISHEYE (Kannala & Brandt 2006, two
terms), which also describes a rectilinear lens. So the cameras found are tried as fisheyes over the same observations.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pycolmap
from numpy.typing import NDArray

from sfm.calibrate import adjust
from sfm.lens_tags import FISHEYE, RADIAL, SIMPLE
from sfm.photos import Photo

# of the reprojection error: 0.46 for a fisheye of 150°, 1.00 for the sample's exact pinhole
WORTH_ANOTHER_MODEL = 0.9
_GRID = 25
_MAX_ANGLE = np.deg2rad(100)


def begin_with_lenses(database: Path, photos: Sequence[Photo]) -> None:
    """Give the database's cameras the models that their photos name. Matching is done: it knows no distortion."""
    lenses = {photo.name: photo.metadata.lens for photo in photos}
    with pycolmap.Database.open(database) as opened:
        named = {image.camera_id: lens for image in opened.read_all_images() if (lens := lenses.get(image.name))}
        for camera in opened.read_all_cameras():
            if (lens := named.get(camera.camera_id)) and camera.model_name == SIMPLE:
                _remodel(camera, lens.model, camera.focal_length, lens.terms)
                opened.update_camera(camera)


def write_lenses(database: Path, model: pycolmap.Reconstruction) -> None:
    """Put the cameras of `model` into the database, for mapping to begin with; cameras that it lacks stay."""
    with pycolmap.Database.open(database) as opened:
        for camera in opened.read_all_cameras():
            if camera.camera_id in model.cameras:
                found = model.camera(camera.camera_id)
                camera.model, camera.params = found.model, list(found.params)
                opened.update_camera(camera)


def fitting_lens(
    model: pycolmap.Reconstruction, adjusted: pycolmap.Reconstruction, threads: int
) -> pycolmap.Reconstruction | None:
    """`model` with cameras of another kind, adjusted, where these fit its observations much better than `adjusted`,
    the same model with its own cameras; otherwise None.
    """
    fisheye = _followed(model, FISHEYE, threads)
    if not _error(fisheye) < WORTH_ANOTHER_MODEL * _error(adjusted):
        return None
    radial = _followed(model, RADIAL, threads)
    # of two models that fit equally well, the one that is not a fisheye
    return radial if _error(radial) < _error(fisheye) / WORTH_ANOTHER_MODEL else fisheye


def _error(model: pycolmap.Reconstruction) -> float:
    return float(model.compute_mean_reprojection_error())


def _followed(model: pycolmap.Reconstruction, name: str, threads: int) -> pycolmap.Reconstruction:
    """A copy of `model` with cameras of the kind `name`, adjusted."""
    candidate = pycolmap.Reconstruction(model)
    for camera in candidate.cameras.values():
        _follow(camera, name)
    candidate.update_point_3d_errors()
    adjust(candidate, threads, refine_focal_length=True, refine_principal_point=False)
    return candidate


def _follow(camera: pycolmap.Camera, name: str) -> None:
    """Change `camera` to another kind that maps the same rays to about the same pixels."""
    if camera.model_name == name:
        return
    pixels = np.stack(
        np.meshgrid(np.linspace(0, camera.width, _GRID), np.linspace(0, camera.height, _GRID)), axis=-1
    ).reshape(-1, 2)
    rays = np.asarray(camera.cam_from_img(pixels), dtype=np.float64).reshape(-1, 2)
    ideal = np.linalg.norm(rays, axis=1)
    radii = np.linalg.norm(pixels - (camera.principal_point_x, camera.principal_point_y), axis=1)
    angles = np.arctan(ideal)
    good = np.isfinite(ideal) & (ideal > 1e-3) & (angles < _MAX_ANGLE)
    distances = angles[good] if name == FISHEYE else ideal[good]
    design: NDArray[np.float64] = np.column_stack([distances, distances**3])
    (focal, cubic), *_ = np.linalg.lstsq(design, radii[good], rcond=None)
    _remodel(camera, name, float(focal), (float(cubic / focal), 0.0))


def _remodel(camera: pycolmap.Camera, name: str, focal: float, terms: tuple[float, float]) -> None:
    other = pycolmap.Camera.create_from_model_name(camera.camera_id, name, focal, camera.width, camera.height)
    params = np.array(other.params)
    params[1:3] = camera.principal_point_x, camera.principal_point_y
    params[3:5] = terms
    camera.model, camera.params = other.model, params.tolist()
