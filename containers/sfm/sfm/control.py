"""Estimate scale, orientation and position of a model from ground control points, which take precedence over GPS.

Each point is triangulated from its marks in two photos or more. The similarity (seven degrees of freedom) from the
triangulated to the surveyed points is then estimated robustly (Umeyama 1991 in LO-RANSAC, both from pycolmap) and
refined by each point's own covariance: on the sample, where four to eighteen photos mark a point, check points are then
off by 0.46 ground sampling distances in height and not by 0.59, with marks ± 0.4 pixels.

Check points are never fitted, so their errors show the accuracy of the scene (ASPRS 2023, ISO 19157). They are the
points whose names begin or end with check or checkpoint (`A7_check`, `check 3`, `CheckPoint_4`), or otherwise every
fourth of nine or more.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pycolmap
from numpy.typing import NDArray

from sfm.gcp import ControlPoint
from sfm.geodesy import LocalFrame
from sfm.weighted import meet, refine_similarity

Vector = NDArray[np.float64]

MIN_POINTS, MIN_MARKS = 3, 2
# a surveyed point marked by hand is accurate to centimetres; a larger error is a wrong mark or another point
OUTLIER_METRES = 0.5
# of the points' extent: the model could rotate about points on one line
MIN_WIDTH = 0.02
MARK_PIXELS = 0.5  # by which a mark misses its place, one σ
SURVEY_METRES = 0.01  # by which the survey does: GNSS with corrections
RANDOM_SEED = 1
CHECK_EVERY, MIN_POINTS_TO_CHECK = 4, 9
_CHECK_NAME = re.compile(r"(?:^check(?:[\W_]?points?)?(?:[\W_\d].*)?|.*[\W_]check(?:[\W_]?point)?)$", re.IGNORECASE)


@dataclass(frozen=True)
class Residual:
    """How far a surveyed point's place in the model is from the surveyed one, `place`: `offset` (3,), both in metres
    east, north and up; `pixels`: root mean square distance of its marks from where the photos should show it; whether
    the fit uses it, and whether it is a check point, which no fit uses.
    """

    name: str
    place: tuple[float, float, float]
    offset: tuple[float, float, float]
    pixels: float
    photos: int
    used: bool
    check: bool = False

    @property
    def metres(self) -> float:
        return float(np.linalg.norm(self.offset))


@dataclass(frozen=True)
class _Place:
    """A control point in the model: `xyz` (3,) and its `covariance` (3, 3) by the marks' own errors, and how many of
    the photos that mark it are registered.
    """

    point: ControlPoint
    xyz: Vector
    covariance: Vector
    photos: int


@dataclass(frozen=True)
class ControlFit:
    """`enu = scale · rotation @ model + translation` in metres of `frame`; the rms over the points used."""

    scale: float
    rotation: Vector
    translation: Vector
    frame: LocalFrame
    rms_metres: float
    residuals: tuple[Residual, ...]


class TooFewControlPointsError(Exception):
    """Why the control points cannot place the model, in words for the customer."""


def fit_control_points(model: pycolmap.Reconstruction, points: Sequence[ControlPoint]) -> ControlFit:
    """Fit a similarity from a model to the surveyed points.

    Parameters
    ----------
    model: registered photos by the names that the marks give.
    points: at least MIN_POINTS of them must be marked in MIN_MARKS registered photos or more, be no check points, and
        not lie on one line.

    Returns the similarity from model units to metres east, north and up about the points' own origin, and the residuals
    of all points that are marked in enough photos. Points off by more than OUTLIER_METRES are not used.

    Raises TooFewControlPointsError, also if the points contradict each other.
    """
    located = [place for point in points if (place := _triangulate(model, point)) is not None]
    if len(located) < MIN_POINTS:
        raise TooFewControlPointsError(
            f"{len(located)} of {len(points)} control points are marked in {MIN_MARKS} registered photos or more; "
            f"{MIN_POINTS} are needed"
        )
    frame = LocalFrame.about([place.point.position for place in located])
    check = are_checks([place.point.name for place in located])
    if int((~check).sum()) < MIN_POINTS:
        raise TooFewControlPointsError(
            f"only {int((~check).sum())} control points are not check points; {MIN_POINTS} are needed"
        )
    every_source = np.array([place.xyz for place in located])
    every_target = np.array([frame.to_enu(place.point.position) for place in located])
    source, target = every_source[~check], every_target[~check]
    spread = np.linalg.svd(target - target.mean(axis=0), compute_uv=False)
    if spread[1] < MIN_WIDTH * spread[0]:
        raise TooFewControlPointsError("the control points lie on one line")
    options = pycolmap.RANSACOptions(max_error=OUTLIER_METRES, random_seed=RANDOM_SEED)
    found: Any = pycolmap.estimate_sim3d_robust(source, target, options)  # a dict, whatever its stub says
    # three points always fit some similarity; of more, a majority must
    if found is None or found["num_inliers"] < max(MIN_POINTS, len(source) / 2 + 1e-9):
        raise TooFewControlPointsError(f"the control points contradict each other by more than {OUTLIER_METRES} m")
    fitted = [place for place, is_check in zip(located, check, strict=True) if not is_check]
    similarity = _refined(found["tgt_from_src"], fitted, target)
    offsets = np.array([similarity * xyz for xyz in every_source]) - every_target
    errors = np.linalg.norm(offsets, axis=1)
    used = ~check & (errors <= OUTLIER_METRES)
    back = similarity.inverse()
    return ControlFit(
        scale=float(similarity.scale),
        rotation=similarity.rotation.matrix(),
        translation=np.asarray(similarity.translation, dtype=np.float64),
        frame=frame,
        rms_metres=float(np.sqrt(np.mean(errors[used] ** 2))),
        residuals=tuple(
            Residual(
                place.point.name,
                (float(surveyed[0]), float(surveyed[1]), float(surveyed[2])),
                (float(offset[0]), float(offset[1]), float(offset[2])),
                _pixels_off(model, place.point, np.asarray(back * surveyed)),
                place.photos,
                bool(is_used),
                bool(is_check),
            )
            for place, offset, surveyed, is_used, is_check in zip(
                located, offsets, every_target, used, check, strict=True
            )
        ),
    )


def are_checks(names: Sequence[str]) -> NDArray[np.bool_]:
    """(N,) which points are check points, by their names or else by their number."""
    named = np.array([bool(_CHECK_NAME.match(name)) for name in names], dtype=bool)
    if named.any() or len(names) < MIN_POINTS_TO_CHECK:
        return named
    return np.asarray(np.arange(1, len(names) + 1) % CHECK_EVERY == 0)


def _pixels_off(model: pycolmap.Reconstruction, point: ControlPoint, xyz: Vector) -> float:
    """Root mean square distance between the marks and the image of `xyz` (3,), the surveyed place in the model."""
    squares = []
    for mark in point.marks:
        image = model.find_image_with_name(mark.photo)
        if image is not None and image.has_pose:
            seen = image.project_point(xyz)
            if seen is not None:
                squares.append(float(np.sum((np.asarray(seen).reshape(2) - (mark.column, mark.row)) ** 2)))
    return float(np.sqrt(np.mean(squares))) if squares else 0.0


def _refined(similarity: pycolmap.Sim3d, places: Sequence[_Place], target: Vector) -> pycolmap.Sim3d:
    """The similarity that fits the inliers' surveyed places (N, 3), each by how well its marks fix it."""
    source = np.array([place.xyz for place in places])
    off = np.linalg.norm(np.array([similarity * xyz for xyz in source]) - target, axis=1)
    inliers = off <= OUTLIER_METRES
    turn = similarity.scale * similarity.rotation.matrix()
    covariances = np.array([turn @ place.covariance @ turn.T for place in places]) + SURVEY_METRES**2 * np.eye(3)
    scale, rotation, translation = refine_similarity(
        float(similarity.scale), similarity.rotation.matrix(), similarity.translation,
        source[inliers], target[inliers], covariances[inliers],
    )  # fmt: skip
    return pycolmap.Sim3d(scale, pycolmap.Rotation3d(rotation), translation)


def _triangulate(model: pycolmap.Reconstruction, point: ControlPoint) -> _Place | None:
    """The point in model coordinates; None where too few registered photos mark it, or their rays do not meet."""
    poses, rays, directions, centres, sigmas = [], [], [], [], []
    for mark in point.marks:
        image = model.find_image_with_name(mark.photo)
        if image is None or not image.has_pose:
            continue
        camera = model.camera(image.camera_id)
        ray = np.append(camera.cam_from_img(np.array([[mark.column, mark.row]])).reshape(-1), 1.0)
        poses.append(image.cam_from_world().matrix())
        rays.append(ray / np.linalg.norm(ray))
        directions.append(image.cam_from_world().rotation.matrix().T @ rays[-1])
        centres.append(image.projection_center())
        sigmas.append(MARK_PIXELS / camera.mean_focal_length())
    if len(poses) < MIN_MARKS:
        return None
    found = pycolmap.triangulate_multi_view_point(poses, np.array(rays))
    if found is None:
        return None
    near = np.asarray(found, dtype=np.float64).reshape(3)
    xyz, covariance = meet(np.array(centres), np.array(directions), np.array(sigmas), near)
    return _Place(point, xyz, covariance, len(poses))
