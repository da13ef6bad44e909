"""Transform a model to metres, z up, north along y.

After levelling, four degrees of freedom are fitted (scale, heading, horizontal position), and height separately: a fit
of seven would let altitudes, which in real sets are up to 100 m wrong, tilt the model. Altitudes correct the levelling
as far as they agree with each other: on a set with a lake they remove the 2° by which gimbal angles tilt the waterline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.scene_schemas import CONTROL_POINTS, GPS
from geo.projected import Projected
from sfm.control import ControlFit, Residual
from sfm.geodesy import LocalFrame
from sfm.gimbal import Gimbal
from sfm.gravity import Up, estimate_up, rotation_to_z
from sfm.position import GeoPosition
from sfm.robust import Similarity2d, best_of, fit_similarity_2d, fit_tilt
from sfm.vertical import Heights

Vector = NDArray[np.float64]

MIN_POSITIONS = 3
SAME_PLACE_METRES = 0.1
# of the GPS track's own extent (root mean square radius); above it, heading and scale would be guesses
UNRELIABLE_RESIDUAL = 0.15
MIN_INLIER_SHARE = 0.5
USUAL_HEIGHT_SIGMA_METRES = 4.0
USUAL_SIGMA_METRES = 2.0  # of a receiver that does not state its accuracy
# drift of barometric altitude over a flight (weather), as opposed to its scatter
ALTITUDE_DRIFT_METRES = 1.0
# altitudes that contradict the photos by more than this, and by UNRELIABLE_RESIDUAL of the flight's extent, give
# neither the height above sea level nor a tilt
UNRELIABLE_ALTITUDE_METRES = 5.0
# a tilt by altitudes beyond this many sigmas of the levelling is an error of the altitudes, not a correction
MAX_CORRECTION_SIGMAS = 3.0


@dataclass(frozen=True)
class PosedPhoto:
    """A registered photo: camera-from-model rotation (3, 3), centre (3,) in the model, and what its metadata says."""

    name: str
    rotation: Vector
    centre: Vector
    position: GeoPosition | None
    gimbal: Gimbal | None


@dataclass(frozen=True)
class Georegistration:
    """`world = scale · rotation @ model + translation`; how well its source (`GPS` or `control points`) agrees, or the
    `reason` why the model has no place; `unreliable` when that is positions that contradict the photos.

    `projected` and `heights`: the systems that maps and heights of the scene are in, for a scene that has a place.
    """

    scale: float
    rotation: Vector
    translation: Vector
    origin: LocalFrame | None = None
    altitude_known: bool = False
    altitude_contradictory: bool = False
    rms_metres: float | None = None
    vertical_rms_metres: float | None = None
    outliers: list[str] = field(default_factory=list)
    up_source: str = ""
    reason: str | None = None
    unreliable: bool = False
    source: str | None = None
    control_points: tuple[Residual, ...] = ()
    projected: Projected | None = None
    heights: Heights | None = None

    def as_json(self) -> dict[str, Any]:
        """The content of georeference.json (docs/contracts.md)."""
        origin = self.origin and {
            "latitude": self.origin.latitude,
            "longitude": self.origin.longitude,
            "altitude": self.origin.altitude if self.altitude_known else None,
        }
        return {
            "version": 1,
            "georeferenced": self.origin is not None,
            "origin": origin,
            "crs": "ENU metres about origin" if self.origin else None,
            "rms_metres": _rounded(self.rms_metres),
            "vertical_rms_metres": _rounded(self.vertical_rms_metres),
            "outliers": self.outliers,
            "up": self.up_source,
            "reason": self.reason,
            "source": self.source,
            "control_points": [
                {
                    "name": p.name,
                    "residual_metres": _rounded(p.metres),
                    "position_metres": [_rounded(value) for value in p.place],
                    "offset_metres": [_rounded(value) for value in p.offset],
                    "pixels": _rounded(p.pixels),
                    "photos": p.photos,
                    "used": p.used,
                    "check": p.check,
                }
                for p in self.control_points
            ],
            "projected": self.projected and self.projected.as_json(),
            "heights": self.heights and self.heights.as_json(),
        }


def georegister(photos: Sequence[PosedPhoto], points: Vector) -> Georegistration:
    """Level, scale and place a model by the `photos` registered in it.

    Parameters
    ----------
    photos: at least one, poses and centres in model units; GPS positions and gimbal angles where their metadata has
        them.
    points: (M, 3) in model units, the sparse points; their median height becomes z = 0.

    Returns the transformation to metres east, north and up. If fewer than MIN_POSITIONS photos have a GPS position, or
    the positions coincide or contradict the photos, the model is only levelled, and `reason` says why.
    """
    centres = np.array([photo.centre for photo in photos])
    up = estimate_up(np.array([photo.rotation for photo in photos]), centres, [photo.gimbal for photo in photos])
    located = [index for index, photo in enumerate(photos) if photo.position is not None]
    positions = [position for photo in photos if (position := photo.position) is not None]
    if len(located) < MIN_POSITIONS:
        reason = f"{len(located)} of {len(photos)} registered photos have a GPS position"
        return _unscaled(up, centres, points, reason, unreliable=False)
    frame = LocalFrame.about(positions)
    targets = np.array([frame.to_enu(position) for position in positions])
    level = rotation_to_z(up.direction)
    sigmas = np.array([position.horizontal_sigma or USUAL_SIGMA_METRES for position in positions])
    fit = fit_similarity_2d((centres[located] @ level.T)[:, :2], targets[:, :2], sigmas=sigmas)
    extent = float(np.sqrt(np.mean(np.sum((targets[:, :2] - targets[:, :2].mean(axis=0)) ** 2, axis=1))))
    if fit is None or extent < SAME_PLACE_METRES:
        return _unscaled(up, centres, points, "all GPS positions are the same place", unreliable=True)
    share = float(fit.inliers.mean())
    if share < MIN_INLIER_SHARE or fit.rms > UNRELIABLE_RESIDUAL * extent:
        reason = (
            f"GPS is unreliable: it disagrees with the photos by {fit.rms:.1f} m over a flight of {extent:.1f} m radius"
        )
        return _unscaled(up, centres, points, reason, unreliable=True)

    cosine, sine = np.cos(fit.heading), np.sin(fit.heading)
    rotation = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]]) @ level
    with_altitude = np.array([position.altitude is not None for position in positions]) & fit.inliers
    has_altitude = int(with_altitude.sum()) >= MIN_POSITIONS
    limit = max(UNRELIABLE_ALTITUDE_METRES, UNRELIABLE_RESIDUAL * extent)
    contradictory = False
    doubts = _height_doubts(positions)
    if has_altitude:
        tilted, scatter = _level_by_altitudes(
            rotation, centres[located][with_altitude], targets[with_altitude, 2], fit.scale, up, doubts[with_altitude]
        )
        contradictory = scatter > limit
        rotation = rotation if contradictory else tilted
    if contradictory or not has_altitude:
        rotation = _level_by_relative_altitudes(rotation, centres[located], positions, fit, up, limit)
    placed = fit.scale * centres[located] @ rotation.T
    residual = targets - placed
    offset = np.append(np.average(residual[fit.inliers, :2], axis=0, weights=fit.weights[fit.inliers]), 0.0)
    vertical_rms = None
    if has_altitude:
        best = best_of(doubts, with_altitude)
        offset[2] = np.median(residual[best, 2])
        vertical_rms = _rms(residual[with_altitude, 2] - offset[2])
    horizontal = np.linalg.norm(residual[:, :2] - offset[:2], axis=1)
    ground = float(np.median((fit.scale * points @ rotation.T)[:, 2])) + float(offset[2])
    return Georegistration(
        scale=fit.scale,
        rotation=rotation,
        translation=offset - np.array([0.0, 0.0, ground]),
        origin=LocalFrame(frame.latitude, frame.longitude, frame.altitude + ground),
        altitude_known=has_altitude and not contradictory,
        altitude_contradictory=contradictory,
        rms_metres=_rms(horizontal[fit.inliers]),
        vertical_rms_metres=vertical_rms,
        outliers=[photos[located[i]].name for i in np.flatnonzero(~fit.inliers)],
        up_source=up.source,
        source=GPS,
    )


def by_control_points(fit: ControlFit, points: Vector) -> Georegistration:
    """The placement that control points ask for; `points` (M, 3) of the model show where z = 0 is."""
    rotated = fit.scale * points @ fit.rotation.T
    ground = float(np.median(rotated[:, 2])) + float(fit.translation[2])
    return Georegistration(
        scale=fit.scale,
        rotation=fit.rotation,
        translation=fit.translation - np.array([0.0, 0.0, ground]),
        origin=LocalFrame(fit.frame.latitude, fit.frame.longitude, fit.frame.altitude + ground),
        altitude_known=True,
        rms_metres=fit.rms_metres,
        up_source="control points",
        source=CONTROL_POINTS,
        control_points=tuple(replace(p, place=(*p.place[:2], p.place[2] - ground)) for p in fit.residuals),
    )


def _level_by_altitudes(
    rotation: Vector, centres: Vector, heights: Vector, scale: float, up: Up, doubts: Vector
) -> tuple[Vector, float]:
    """Tilt the levelled model to the `heights` (N,), held back by how sure `up` is and by how much they scatter.

    `doubts` (N,): what each height may be off in metres, at the least.

    Returns the rotation, and the median distance in metres of the heights from it.
    """
    placed = scale * centres @ rotation.T
    placed -= placed.mean(axis=0)
    sigma = float(np.tan(np.deg2rad(up.sigma_degrees)))
    slope = fit_tilt(placed[:, :2], heights - placed[:, 2], sigma, doubts)
    tilted = rotation
    if float(np.linalg.norm(slope)) <= MAX_CORRECTION_SIGMAS * sigma:
        # a point's height along the true up is z + slope · xy
        true_up = np.array([slope[0], slope[1], 1.0])
        tilted = np.asarray(rotation_to_z(true_up / np.linalg.norm(true_up)) @ rotation, dtype=np.float64)
    off = heights - (scale * centres @ tilted.T)[:, 2]
    return tilted, float(np.median(np.abs(off - np.median(off))))


def _height_doubts(positions: Sequence[GeoPosition]) -> Vector:
    """(N,) metres; among receivers that know their accuracy, one that does not is the worst."""
    unknown = ALTITUDE_DRIFT_METRES
    if any(position.vertical_sigma is not None for position in positions):
        unknown = USUAL_HEIGHT_SIGMA_METRES
    return np.array([position.vertical_sigma or unknown for position in positions], dtype=np.float64)


def _level_by_relative_altitudes(
    rotation: Vector, centres: Vector, positions: Sequence[GeoPosition], fit: Similarity2d, up: Up, limit: float
) -> Vector:
    """Tilt the model to heights above take-off, which are not above sea level; used only where there are no others."""
    known = np.array([position.relative_altitude is not None for position in positions]) & fit.inliers
    if int(known.sum()) < MIN_POSITIONS:
        return rotation
    heights = np.array([position.relative_altitude or 0.0 for position in positions])[known]
    drift = np.full(len(heights), ALTITUDE_DRIFT_METRES)
    tilted, scatter = _level_by_altitudes(rotation, centres[known], heights, fit.scale, up, drift)
    return rotation if scatter > limit else tilted


def _unscaled(up: Up, centres: Vector, points: Vector, reason: str, unreliable: bool) -> Georegistration:
    rotation = rotation_to_z(up.direction)
    middle = (centres @ rotation.T).mean(axis=0)
    ground = float(np.median((points @ rotation.T)[:, 2]))
    return Georegistration(
        scale=1.0,
        rotation=rotation,
        translation=-np.array([middle[0], middle[1], ground]),
        up_source=up.source,
        reason=f"{reason}; the model is level but has no scale, heading or place",
        unreliable=unreliable,
    )


def _rms(values: Vector) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
