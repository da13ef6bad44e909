"""What the page needs to measure: the ground sampling distance, the accuracy of the scene's scale and place, and its
map projection (the page's side: containers/compressor/viewer/src/measure/report.mjs)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geo.projected import Projected
from splat.camera import Camera
from splat.stored import NOWHERE, Triple

Vector = NDArray[np.float64]

_STEPS = 9  # points an axis of the grid over which the projection is fitted
_MIN_REACH = 50.0  # metres
_DEFAULT_SCALE_SIGMA = 0.01  # used without survey.json or any other figure of the scene's scale


@dataclass(frozen=True)
class Absolute:
    """One standard deviation of a place on Earth in metres, by what: check points, control points or GPS."""

    plan: float
    height: float | None
    by: str


@dataclass(frozen=True)
class System:
    """The scene's map projection: `terms` (3, 9) give x, y and height of the monomials that `monomials` has."""

    name: str
    terms: Sequence[Sequence[float]]


@dataclass(frozen=True)
class ControlPoint:
    """A surveyed point's name and its place in the splat's coordinates; `check`: it was never fitted."""

    name: str
    point: Sequence[float]
    check: bool


@dataclass(frozen=True)
class Survey:
    """`gsd`: of the photos as training saw them, in the scene's unit, None without photos; `scale`: the relative
    standard deviation of lengths; `offset`: what to add to the splat's positions; `control`: surveyed
    points.
    """

    gsd: float | None = None
    scale: float = 0.0
    offset: Triple = NOWHERE
    absolute: Absolute | None = None
    system: System | None = None
    control: Sequence[ControlPoint] = ()

    def as_json(self, metric: bool) -> dict[str, Any]:
        """As the page reads it; `metric`: whether the scene is in metres east, north and up."""
        return {**asdict(self), "georeferenced": metric, "unit": "m" if metric else "units"}


def survey_of(
    cameras: Sequence[Camera],
    distance: float | None,
    georeference: Mapping[str, Any],
    survey: Mapping[str, Any] | None,
    offset: Triple,
    projected: Projected | None,
    reach: float,
) -> Survey:
    """Of a scene that `cameras` saw from `distance` (median).

    `georeference`, `survey`: contents of the stages' files, the first empty for a lone splat; `reach`: how far from the
    origin in plan the scene lies.
    """
    gsd = None
    if cameras and distance is not None:
        gsd = distance / float(np.median([camera.fx for camera in cameras]))
    if not georeference.get("georeferenced"):
        return Survey(gsd, 0.0, offset)
    return Survey(
        gsd=gsd,
        scale=_scale_sigma(cameras, georeference, survey),
        offset=offset,
        absolute=_absolute(georeference, survey),
        control=_control(georeference, np.array(offset)),
        system=None if projected is None else _system(projected, georeference, np.array(offset), reach),
    )


def _by_points(georeference: Mapping[str, Any], survey: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return survey.get("control") if survey and georeference.get("source") == "control points" else None


def _scale_sigma(cameras: Sequence[Camera], georeference: Mapping[str, Any], survey: Mapping[str, Any] | None) -> float:
    """σ of the scale of a similarity: that of one coordinate over the root of the squared distances from the middle.

    Control points lie as far apart as cameras do, by and large; their own places are in no file.
    """
    if len(cameras) < 2:
        return _DEFAULT_SCALE_SIGMA
    centres = np.stack([camera.position for camera in cameras])
    spread = math.sqrt(float(np.mean(np.sum(np.square(centres - centres.mean(axis=0)), axis=1))))
    fitted = _by_points(georeference, survey) or (survey or {}).get("gps")
    if fitted:
        count = fitted["count"]
        sigma = math.sqrt(float(np.mean([value**2 for value in fitted["rms_metres"] if value is not None])))
    elif georeference.get("rms_metres") is not None:
        count, sigma = len(cameras), georeference["rms_metres"] / math.sqrt(2)
    else:
        return _DEFAULT_SCALE_SIGMA
    return sigma / (math.sqrt(count) * spread) if count and spread else _DEFAULT_SCALE_SIGMA


def _absolute(georeference: Mapping[str, Any], survey: Mapping[str, Any] | None) -> Absolute | None:
    """Of check points where there are some: nothing was fitted to them."""
    checked, fitted = (survey or {}).get("check"), _by_points(georeference, survey)
    for found, by in ((checked, "check points"), (fitted, "control points, not checked")):
        if found:
            east, north, up = found["rms_metres"]
            return Absolute(math.hypot(east, north), up, by)
    plan = georeference.get("rms_metres")
    if plan is None or georeference.get("source") != "GPS":
        return None
    by = "the photos’ GPS, excluding any offset common to all photos"
    return Absolute(plan, georeference.get("vertical_rms_metres"), by)


def _control(georeference: Mapping[str, Any], offset: Vector) -> list[ControlPoint]:
    """Those whose places are known: older jobs' are not."""
    return [
        ControlPoint(point["name"], [float(v) for v in np.array(point["position_metres"]) - offset], point["check"])
        for point in georeference.get("control_points") or ()
        if point.get("position_metres")
    ]


def _system(projected: Projected, georeference: Mapping[str, Any], offset: Vector, reach: float) -> System:
    heights = (georeference.get("heights") or {}).get("datum")
    code = f", EPSG:{projected.epsg}" if projected.epsg else ""
    unit = "" if projected.metres_per_unit == 1 else f", in units of {projected.metres_per_unit:.6g} m"
    name = f"{projected.crs.name}{code}{unit}" + (f"; heights: {heights}" if heights else "")
    return System(name, fitted_terms(projected, offset, max(reach, _MIN_REACH)).tolist())


def fitted_terms(projected: Projected, offset: Vector, reach: float) -> Vector:
    """(3, 9): the projection as polynomials of the splat's positions, `offset` (3,) from the place's own frame, within
    `reach` metres in plan. A millimetre off at 1,000 m, where the affine map is 20 cm off.
    """
    steps = np.linspace(-1, 1, _STEPS)
    unit = np.stack(np.meshgrid(steps, steps, steps[::4]), axis=-1).reshape(-1, 3)
    values = projected.from_enu(reach * unit + offset)
    middle = values.mean(axis=0)  # millions of metres would leave no digits to the squares
    found, *_ = np.linalg.lstsq(monomials(unit), values - middle, rcond=None)
    terms: Vector = (found / monomials(np.full((1, 3), reach)).T).T
    terms[:, 0] += middle
    return terms


def monomials(points: Vector) -> Vector:
    """(N, 9) of points (N, 3), in the order that the page has them."""
    east, north, up = points.T
    return np.column_stack(
        [np.ones(len(points)), east, north, up, east**2, east * north, north**2, east * up, north * up]
    )
