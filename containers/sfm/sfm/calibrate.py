"""Refine the cameras' intrinsics as far as the viewing directions determine them.

Photos that look in different directions determine the principal point. Photos that all look straight down at flat
ground do not even determine the focal length: on brighton_beach it drifts to 1.22 times EXIF's, and heights with it,
for 1.4 % of reprojection error. In that case the focal length moves towards EXIF's as far as the reprojection error
allows (1.1 times EXIF's, where the flying height agrees with the drone's own to a metre or two).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pycolmap
from numpy.typing import NDArray

from sfm.features import tolerance

OBLIQUE_SPREAD_DEGREES = 15.0
MAX_PRINCIPAL_POINT_SHIFT = 0.1  # of the image size
# of the reprojection error; where all cameras have the same pitch, a shifted principal point cannot be told from a
# pitch: on two rings of the sample it drifted by 3 and 8 pixels, rotated the cameras by 0.2° and 0.6° for no gain
WORTH_A_SHIFT = 0.001
# factor by which the reprojection error may grow on the way to EXIF's focal length, and steps of that search
TOLERATED_ERROR = 1.005
BISECTIONS = 3
MAX_REPROJECTION_ERROR = 4.0  # pixels (sfm.features.tolerance), COLMAP's own filter
# observations beyond it are wrong matches once the cameras are right
LAST_REPROJECTION_ERROR = 1.5
# relative change of the cost per step; a tighter limit takes twice the time and moves the focal length by 0.04 %
CONVERGED = 1e-6
MIN_TRIANGULATION_DEGREES = 1.5


def finished(model: pycolmap.Reconstruction, threads: int) -> pycolmap.Reconstruction:
    """`model` as mapping left it, adjusted over all points: mapping ignores redundant ones."""
    adjusted = pycolmap.Reconstruction(model)
    adjust(adjusted, threads, refine_focal_length=True, refine_principal_point=False)
    return adjusted


def calibrate(
    adjusted: pycolmap.Reconstruction, focal_priors: Mapping[int, float], threads: int
) -> tuple[pycolmap.Reconstruction, str]:
    """Refine the intrinsics of a model that is adjusted; returns the model and what was refined.

    That is `principal point`, `focal length towards EXIF` or `none`. `focal_priors`: pixels by camera id, for the
    cameras that have one.
    """
    if view_spread_degrees(viewing_directions(adjusted)) > OBLIQUE_SPREAD_DEGREES:
        freed = pycolmap.Reconstruction(adjusted)
        adjust(freed, threads, refine_focal_length=True, refine_principal_point=True)
        worth = (1 - WORTH_A_SHIFT) * adjusted.compute_mean_reprojection_error()  # which may be 0
        gained = freed.compute_mean_reprojection_error() < worth
        _filter(freed)
        if gained and _is_sane(freed):
            return freed, "principal point"
        _filter(adjusted)
        return adjusted, "none"
    if set(adjusted.cameras) <= set(focal_priors):
        best = _towards(adjusted, focal_priors, threads)
        return (best, "focal length towards EXIF") if best is not adjusted else (adjusted, "none")
    return adjusted, "none"


def without_outliers(model: pycolmap.Reconstruction) -> pycolmap.Reconstruction:
    """Remove the observations that are outliers once the cameras are right."""
    kept = pycolmap.Reconstruction(model)
    _filter(kept, LAST_REPROJECTION_ERROR)
    return kept


def viewing_directions(model: pycolmap.Reconstruction) -> NDArray[np.float64]:
    """(N, 3) unit vectors along the optical axes of the registered photos."""
    return np.array([image.viewing_direction() for image in model.images.values() if image.has_pose])


def view_spread_degrees(directions: NDArray[np.float64]) -> float:
    """Root mean square angle of viewing directions (N, 3) from their mean: near 0 for a nadir flight."""
    mean = directions.mean(axis=0)
    length = float(np.linalg.norm(mean))
    if length < 1e-9:
        return 180.0
    cosines = np.clip(directions @ mean / length, -1, 1)
    return float(np.rad2deg(np.sqrt(np.mean(np.arccos(cosines) ** 2))))


def _towards(
    model: pycolmap.Reconstruction, focal_priors: Mapping[int, float], threads: int
) -> pycolmap.Reconstruction:
    """Move the focal lengths as near to the priors as TOLERATED_ERROR allows; returns `model` itself if not at all."""
    tolerated = TOLERATED_ERROR * model.compute_mean_reprojection_error()
    start = {camera_id: camera.focal_length for camera_id, camera in model.cameras.items()}
    best, accepted, refused = model, 0.0, 2.0  # shares of the way; the first to try is all of it
    for _ in range(BISECTIONS + 1):
        share = (accepted + refused) / 2
        candidate = pycolmap.Reconstruction(best)
        for camera_id, camera in candidate.cameras.items():
            camera.focal_length = start[camera_id] ** (1 - share) * focal_priors[camera_id] ** share
        adjust(candidate, threads, refine_focal_length=False, refine_principal_point=False)
        # over the same observations: points that would be filtered now count against the candidate
        if candidate.compute_mean_reprojection_error() <= tolerated:
            best, accepted = candidate, share
        else:
            refused = share
        if accepted == 1.0:
            break
    if best is not model:
        _filter(best)
    return best


def adjust(
    model: pycolmap.Reconstruction, threads: int, refine_focal_length: bool, refine_principal_point: bool
) -> None:
    """Adjust poses, points and distortion in place, and what else is to be refined of the intrinsics."""
    options = pycolmap.BundleAdjustmentOptions(
        refine_focal_length=refine_focal_length, refine_principal_point=refine_principal_point, print_summary=False
    )
    options.ceres.solver_options.num_threads = threads
    options.ceres.solver_options.function_tolerance = CONVERGED
    pycolmap.bundle_adjustment(model, options)
    model.update_point_3d_errors()


def _filter(model: pycolmap.Reconstruction, most: float = MAX_REPROJECTION_ERROR) -> None:
    """Remove the observations with an error above `most` pixels (at the usual photo size), in place."""
    long_side = max(max(camera.width, camera.height) for camera in model.cameras.values())
    pycolmap.ObservationManager(model).filter_all_points3D(tolerance(most, long_side), MIN_TRIANGULATION_DEGREES)
    model.update_point_3d_errors()


def _is_sane(model: pycolmap.Reconstruction) -> bool:
    """Whether every principal point is near the centre of its photo."""
    shifts = [
        max(abs(camera.principal_point_x / camera.width - 0.5), abs(camera.principal_point_y / camera.height - 0.5))
        for camera in model.cameras.values()
    ]
    return bool(max(shifts) <= MAX_PRINCIPAL_POINT_SHIFT)
