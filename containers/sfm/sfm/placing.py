"""Georeference the model: by control points if the upload contains them, else by the photos' GPS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pycolmap
from numpy.typing import NDArray

from contract.warning_codes import WarningCode
from sfm.control import TooFewControlPointsError, fit_control_points
from sfm.gcp import ControlPoint, UnusableGcpFileError, by_base_name, parse_gcp_list, read_text
from sfm.georegister import Georegistration, PosedPhoto, by_control_points, georegister
from sfm.photos import Photo
from stage.archive import UnpackedFile
from stage.result import Warning

Vector = NDArray[np.float64]


class Placeable(Protocol):
    """The parts of an upload that georeferencing needs."""

    @property
    def photos(self) -> list[Photo]: ...

    @property
    def gcp_files(self) -> list[UnpackedFile]: ...


def place(model: pycolmap.Reconstruction, upload: Placeable) -> tuple[Georegistration, list[Warning]]:
    """Georegister `model`, transform it in place, and warn if control points were sent but not used."""
    georegistration, warnings = None, []
    if upload.gcp_files:
        try:
            points = read_control_points(upload.gcp_files, upload.photos)
            georegistration = by_control_points(fit_control_points(model, points), points_of(model))
        except (UnusableGcpFileError, TooFewControlPointsError) as error:
            names = [file.name for file in upload.gcp_files]
            warnings.append(
                Warning(WarningCode.CONTROL_POINTS_UNUSED, f"the control points are not used: {error}", names)
            )
    if georegistration is None:
        georegistration = georegister(posed_photos(model, upload.photos), points_of(model))
    model.transform(
        pycolmap.Sim3d(
            georegistration.scale, pycolmap.Rotation3d(georegistration.rotation), georegistration.translation
        )
    )
    return georegistration, warnings


def read_control_points(files: Sequence[UnpackedFile], photos: Sequence[Photo]) -> list[ControlPoint]:
    """The control points of the one list in the upload. Raises UnusableGcpFileError."""
    if len(files) > 1:
        raise UnusableGcpFileError(f"there are {len(files)} lists of them")
    names = by_base_name({photo.original: photo.name for photo in photos})
    return parse_gcp_list(read_text(files[0].path), names)


def posed_photos(model: pycolmap.Reconstruction, photos: Sequence[Photo]) -> list[PosedPhoto]:
    """The registered photos with what their metadata says, in order of names."""
    metadata = {photo.name: photo.metadata for photo in photos}
    return [
        PosedPhoto(
            image.name,
            image.cam_from_world().rotation.matrix(),
            image.projection_center(),
            metadata[image.name].position,
            metadata[image.name].gimbal,
        )
        for image in sorted(model.images.values(), key=lambda image: image.name)
        if image.has_pose
    ]


def points_of(model: pycolmap.Reconstruction) -> Vector:
    """(M, 3) the sparse points."""
    return np.array([point.xyz for point in model.points3D.values()], dtype=np.float64).reshape(-1, 3)


def lost_places(unregistered: Sequence[Photo], georegistration: Georegistration) -> Vector:
    """(N, 2) east and north, in the placed model, of photos that have a GPS position but no place in it."""
    if georegistration.origin is None:
        return np.zeros((0, 2))
    frame = georegistration.origin
    places = [frame.to_enu(p)[:2] for photo in unregistered if (p := photo.metadata.position) is not None]
    return np.array(places, dtype=np.float64).reshape(-1, 2)
