"""Georeference the model: by control points if the upload contains them, else by the photos' GPS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import pycolmap
from numpy.typing import NDArray
from pyproj import CRS

from geo.projected import Place, Projected, UnusableSystemError
from sfm.control import TooFewControlPointsError, fit_control_points
from sfm.gcp import ControlPoint, UnusableGcpFileError, names_of_photos, parse_gcp_list, read_text
from sfm.geodesy import LocalFrame
from sfm.georegister import Georegistration, PosedPhoto, by_control_points, georegister
from sfm.photos import Photo
from sfm.remarks import unused_lists
from sfm.vertical import heights_of_control_points, heights_of_photos
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
            points, system = read_control_points(upload.gcp_files, upload.photos)
            fitted = by_control_points(fit_control_points(model, points), points_of(model))
            georegistration = replace(
                fitted, projected=_projected(fitted.origin, system), heights=heights_of_control_points(system)
            )
        except (UnusableGcpFileError, TooFewControlPointsError) as error:
            warnings += unused_lists([file.name for file in upload.gcp_files], str(error))
    if georegistration is None:
        georegistration = georegister(posed_photos(model, upload.photos), points_of(model))
        if georegistration.origin is not None:
            georegistration = replace(
                georegistration,
                projected=_projected(georegistration.origin),
                heights=heights_of_photos(georegistration.altitude_known),
            )
    model.transform(
        pycolmap.Sim3d(
            georegistration.scale, pycolmap.Rotation3d(georegistration.rotation), georegistration.translation
        )
    )
    return georegistration, warnings


def _projected(origin: LocalFrame | None, system: CRS | None = None) -> Projected | None:
    """The projected system for maps of the scene: the control points', or UTM where they are in none that maps have."""
    if origin is None:
        return None
    place = Place(origin.latitude, origin.longitude, origin.altitude)
    if system is not None:
        try:
            return Projected.about(place, system)
        except UnusableSystemError:
            pass
    return Projected.about(place)


def read_control_points(files: Sequence[UnpackedFile], photos: Sequence[Photo]) -> tuple[list[ControlPoint], CRS]:
    """The control points of the one list in the upload, and the system they are in. Raises UnusableGcpFileError."""
    if len(files) > 1:
        raise UnusableGcpFileError(f"there are {len(files)} lists of them")
    names = names_of_photos({photo.original: photo.name for photo in photos})
    return parse_gcp_list(read_text(files[0].path, names), names)


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
