"""Collect warnings about a scene that was reconstructed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pycolmap

from contract.shots import described
from contract.warning_codes import WarningCode
from sfm.features import tolerance
from sfm.georegister import Georegistration
from sfm.photos import Photo, SecondImage
from sfm.shutter import rolling_shutters
from stage.archive import DAMAGED, nested_warnings
from stage.result import Warning

MAX_USUAL_ERROR = 2.0  # pixels (sfm.features.tolerance); real sets are below one


def photo_warnings(rows: Sequence[Mapping[str, Any]]) -> list[Warning]:
    """Warn of skipped, unregistered and blurred photos, from the rows of photos.json (sfm.account)."""
    skipped = [row for row in rows if "features" not in row and "kind" not in row]
    lost = [row for row in rows if "features" in row and not row["registered"]]
    blurred = [row["original"] for row in rows if row.get("blurred")]
    warnings = []
    if skipped:
        warnings.append(Warning(WarningCode.PHOTOS_SKIPPED, _reasons(skipped), [row["original"] for row in skipped]))
    if lost:
        message = f"{len(lost)} photos could not be placed: {_reasons(lost)}"
        warnings.append(Warning(WarningCode.PHOTOS_NOT_REGISTERED, message, [row["original"] for row in lost]))
    if blurred:
        warnings.append(Warning(WarningCode.PHOTOS_BLURRED, f"{len(blurred)} photos are blurred", blurred))
    return warnings


def unused_lists(lists: Sequence[str], why: str) -> list[Warning]:
    """Name the lists of control points that are not used."""
    facts = f"the control points are not used: {why}"
    return [Warning(WarningCode.CONTROL_POINTS_UNUSED, facts, list(lists))] if lists else []


def telemetry_warnings(damaged: Sequence[str]) -> list[Warning]:
    """Name the `damaged` files of telemetry beside films."""
    return [Warning(WarningCode.TELEMETRY_DAMAGED, DAMAGED, list(damaged))] if damaged else []


def upload_warnings(images: Sequence[SecondImage], unused_masks: Sequence[str], nested: Sequence[str]) -> list[Warning]:
    """Name the pictures that do not count as photos, the masks that could not be used, and `nested` archives."""
    warnings = nested_warnings(nested)
    if images:
        facts = f"not counted as photos: {described(image.shot for image in images)}"
        warnings.append(Warning(WarningCode.SECOND_IMAGES, facts, [image.original for image in images]))
    if unused_masks:
        facts = f"{len(unused_masks)} masks have no photo of their name and shape"
        warnings.append(Warning(WarningCode.MASKS_UNUSED, facts, list(unused_masks)))
    return warnings


def place_warnings(photos: Sequence[Photo], georegistration: Georegistration) -> list[Warning]:
    """Warnings about how the model was placed on Earth."""
    warnings = []
    if georegistration.reason:
        code = WarningCode.GPS_UNRELIABLE if georegistration.unreliable else WarningCode.NOT_GEOREFERENCED
        warnings.append(Warning(code, georegistration.reason))
    if georegistration.outliers:
        names = [photo.original for photo in photos if photo.name in georegistration.outliers]
        warnings.append(
            Warning(WarningCode.GPS_OUTLIERS, f"the GPS of {len(names)} photos disagrees with the model", names)
        )
    if georegistration.altitude_contradictory:
        metres = f"{georegistration.vertical_rms_metres:.0f} m"
        message = f"the photos' altitudes contradict each other by {metres}: they are not used"
        warnings.append(Warning(WarningCode.ALTITUDE_UNRELIABLE, message))
    unused = [point.name for point in georegistration.control_points if not point.used and not point.check]
    if unused:
        message = f"{len(unused)} control points disagree with the others and are not used"
        warnings.append(Warning(WarningCode.CONTROL_POINT_OUTLIERS, message, unused))
    return warnings


def camera_warnings(
    model: pycolmap.Reconstruction, photos: Sequence[Photo], metres_per_pixel: float | None
) -> list[Warning]:
    """Warn of effects that no camera model describes: a lens with large errors, rolling shutters on fast flights."""
    warnings = []
    long_side = max(max(camera.width, camera.height) for camera in model.cameras.values())
    error = model.compute_mean_reprojection_error()
    if error > tolerance(MAX_USUAL_ERROR, long_side):
        kinds = ", ".join(sorted({camera.model_name for camera in model.cameras.values()}))
        warnings.append(Warning(WarningCode.LENS_UNFITTED, f"{error:.1f} pixels of error remain with {kinds}"))
    for shutter in rolling_shutters(photos, metres_per_pixel or 0.0):
        facts = (
            f"{shutter.model} reads out a photo in about {1000 * shutter.readout:.0f} ms: at {shutter.speed:.1f} m/s, "
            f"places shift by up to {shutter.pixels:.0f} pixels"
        )
        warnings.append(Warning(WarningCode.ROLLING_SHUTTER, facts))
    return warnings


def _reasons(rows: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(f"{row['original']}: {row['reason']}" for row in rows)
