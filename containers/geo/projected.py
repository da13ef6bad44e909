"""Convert a scene's local frame (east, north, up in metres) to a projected coordinate system and back.

PROJ does the arithmetic: topocentric to earth-centred to geographic coordinates on WGS 84, then the projection. The
system of control points is reached by the exact inverse of the operation that took them to WGS 84, so that its error
cancels: 2 m in EPSG:27700 without PROJ's grid files.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.enums import TransformDirection
from pyproj.exceptions import ProjError
from pyproj.transformer import AreaOfInterest, TransformerGroup

Vector = NDArray[np.float64]

_WGS84 = 4326
_NEAR_DEGREES = 6.0  # beyond the area that a system was made for: the width of a zone of UTM
_MAX_STRETCH, _MAX_TURN = 0.002, math.radians(3)  # of maps in a system that was made for another region
_ARM = 50.0  # metres over which the affine map is measured
_AROUND = 0.05  # degrees about a place in which a transformation to a system must be valid
# UTM ends where the polar systems begin
_UTM_SOUTH, _UTM_NORTH = -80.0, 84.0
_POLAR_NORTH, _POLAR_SOUTH = 5041, 5042


class UnusableSystemError(Exception):
    """No map of the scene can be drawn in a coordinate system; the message says why."""


@dataclass(frozen=True)
class Place:
    """The origin of a local frame: degrees on WGS 84, metres in whatever vertical datum the scene's heights have."""

    latitude: float
    longitude: float
    altitude: float

    @classmethod
    def of(cls, georeference: Mapping[str, Any]) -> Place | None:
        """The origin in a georeference.json (docs/contracts.md); None for a scene without a place on Earth.

        Raises KeyError, TypeError or ValueError if it is malformed.
        """
        origin = georeference.get("origin")
        if not georeference["georeferenced"] or origin is None:
            return None
        latitude, longitude = float(origin["latitude"]), float(origin["longitude"])
        altitude = float(origin["altitude"] or 0.0)
        if not (abs(latitude) <= 90 and math.isfinite(longitude) and math.isfinite(altitude)):
            raise ValueError(f"not a place on Earth: {latitude}°, {longitude}°, {altitude} m")
        return cls(latitude, longitude, altitude)

    @property
    def to_earth(self) -> Vector:
        """(4, 4) from metres east, north and up to the Earth's own axes (EPSG:4978), on the WGS 84 ellipsoid."""
        radius, flattening = 6_378_137.0, 1 / 298.257223563
        squeeze = flattening * (2 - flattening)
        latitude, longitude = math.radians(self.latitude), math.radians(self.longitude)
        sin, cos, along = math.sin(latitude), math.cos(latitude), math.sin(longitude)
        across = math.cos(longitude)
        normal = radius / math.sqrt(1 - squeeze * sin * sin)
        found = np.eye(4)
        found[:3, 0] = -along, across, 0
        found[:3, 1] = -sin * across, -sin * along, cos
        found[:3, 2] = cos * across, cos * along, sin
        found[:3, 3] = (normal + self.altitude) * found[:3, 2] - (0, 0, normal * squeeze * sin)
        return found


@dataclass(frozen=True)
class GridGap:
    """PROJ's grid files (`grids`) that the best transformation to a system needs and that are missing, and the
    uncertainty of places without them in `metres`; None if it is unknown.
    """

    grids: tuple[str, ...]
    metres: float | None

    def __str__(self) -> str:
        by = "an unknown amount" if self.metres is None else f"{self.metres:g} m"
        return f"places are uncertain by {by}, since PROJ's file {' or '.join(self.grids)} is missing"


@dataclass(frozen=True)
class Projected:
    """The frame about `place` in the projected system `crs`. Only x and y are projected; heights keep their datum."""

    place: Place
    crs: CRS

    @classmethod
    def about(cls, place: Place, system: CRS | int | str | None = None) -> Projected:
        """The frame in the horizontal part of `system`, by default in UTM.

        Raises UnusableSystemError if the system is unknown, is not projected, does not cover the place, or has axes
        that do not point east and north.
        """
        try:
            crs = horizontal(CRS.from_user_input(utm(place) if system is None else system))
        except ProjError as error:
            raise UnusableSystemError(f"{system} is not a known coordinate system") from error
        found = cls(place, crs)
        if not crs.is_projected:
            raise UnusableSystemError(f"{crs.name} is not a projected system")
        affine = found.affine
        if not np.isfinite(affine).all():
            raise UnusableSystemError(f"{crs.name} does not reach {place.latitude:.4f}°, {place.longitude:.4f}°")
        directions = {axis.direction for axis in crs.axis_info}
        if "west" in directions or np.linalg.det(affine[:2, :2]) <= 0:  # near the poles both axes may run south
            raise UnusableSystemError(f"{crs.name} has axes that do not point east and north")
        if not (_reaches(crs, place) or _is_true_to_scale(affine[:2, :2] * found.metres_per_unit)):
            where = f"{place.latitude:.4f}°, {place.longitude:.4f}°"
            raise UnusableSystemError(f"{crs.name} is for another region than {where}")
        return found

    @property
    def epsg(self) -> int | None:
        """None for a system without a code."""
        code: int | None = self.crs.to_epsg()
        return code

    @property
    def metres_per_unit(self) -> float:
        """The unit of the system's x and y, in metres; heights are always in metres."""
        return float(self.crs.axis_info[0].unit_conversion_factor)

    def from_enu(self, points: Vector) -> Vector:
        """(N, 3) metres east, north, up → (N, 3) x, y in the system's unit, height in metres."""
        points = np.asarray(points, dtype=np.float64).reshape(-1, 3)
        east, north, up = points.T
        longitude, latitude, height = self._geographic.transform(east, north, up)
        x, y = self._projection.transform(longitude, latitude, direction=TransformDirection.INVERSE)
        # PROJ inverts a change of datum only to a millimetre; a second step removes that error
        back: Vector = np.array(self._projection.transform(x, y))
        wanted = 2 * np.array([longitude, latitude]) - back
        x, y = self._projection.transform(wanted[0], wanted[1], direction=TransformDirection.INVERSE)
        return np.column_stack([x, y, height])

    def to_enu(self, points: Vector) -> Vector:
        """The inverse of `from_enu`."""
        points = np.asarray(points, dtype=np.float64).reshape(-1, 3)
        x, y, height = points.T
        longitude, latitude = self._projection.transform(x, y)
        east, north, up = self._geographic.transform(longitude, latitude, height, direction=TransformDirection.INVERSE)
        return np.column_stack([east, north, up])

    def to_geographic(self, points: Vector) -> Vector:
        """(N, 2) x, y in the system's unit → longitude and latitude in degrees on WGS 84."""
        points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        x, y = points.T
        return np.column_stack(self._projection.transform(x, y))

    @cached_property
    def affine(self) -> Vector:
        """(3, 4): the linear map of (east, north, up, 1) at the origin. The Earth's curvature makes it wrong by 1 mm at
        80 m from the origin and by 2 cm at 300 m, so the products use `from_enu` instead.
        """
        points = self.from_enu(_ARM * np.array([[0, 0, 0], *np.eye(3), *-np.eye(3)]))
        return np.column_stack([(points[1:4] - points[4:7]).T / (2 * _ARM), points[0]])

    def as_json(self) -> dict[str, Any]:
        """The object `projected` of georeference.json (docs/contracts.md)."""
        return {
            "epsg": self.epsg,
            "name": self.crs.name,
            "wkt": self.crs.to_wkt(),
            "metres_per_unit": self.metres_per_unit,
            "enu_to_projected": self.affine.tolist(),
        }

    @cached_property
    def grid_gap(self) -> GridGap | None:
        """What the best transformation from WGS 84 to the system lacks; None if it lacks nothing."""
        west, south = max(self.place.longitude - _AROUND, -180.0), max(self.place.latitude - _AROUND, -90.0)
        around = AreaOfInterest(west, south, min(west + 2 * _AROUND, 180.0), min(south + 2 * _AROUND, 90.0))
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # pyproj warns of the same gap
            ways = TransformerGroup(self.crs, CRS.from_epsg(_WGS84), always_xy=True, area_of_interest=around)
        if ways.best_available or not ways.unavailable_operations:
            return None
        grids = tuple(grid.short_name for grid in ways.unavailable_operations[0].grids if not grid.available)
        accuracy = ways.transformers[0].accuracy if ways.transformers else -1
        return GridGap(grids, float(accuracy) if accuracy >= 0 else None)

    @cached_property
    def _geographic(self) -> Transformer:
        place = self.place
        return Transformer.from_pipeline(
            "+proj=pipeline +step +inv +proj=topocentric +ellps=WGS84 "
            f"+lon_0={place.longitude!r} +lat_0={place.latitude!r} +h_0={place.altitude!r} "
            "+step +inv +proj=cart +ellps=WGS84 +step +proj=unitconvert +xy_in=rad +xy_out=deg"
        )

    @cached_property
    def _projection(self) -> Transformer:
        return Transformer.from_crs(self.crs, CRS.from_epsg(_WGS84), always_xy=True)


def _is_true_to_scale(linear: Vector) -> bool:
    """Whether maps are neither stretched nor turned, though the system was made for another region: a UTM zone is as
    good north or south of its country. `linear` (2, 2): from metres east and north to metres of the map."""
    stretch = np.linalg.svd(linear, compute_uv=False)
    turn = math.atan2(linear[1, 0], linear[0, 0])
    return bool(np.abs(stretch - 1).max() <= _MAX_STRETCH and abs(turn) <= _MAX_TURN)


def _reaches(crs: CRS, place: Place) -> bool:
    """Whether the system was made for the place or its surroundings; farther off, it may stretch and turn maps."""
    area = crs.area_of_use
    if area is None:
        return True
    across = (area.east - area.west) % 360 or 360  # some areas contain the date line
    east = (place.longitude - area.west + _NEAR_DEGREES) % 360 - _NEAR_DEGREES
    north = area.south - _NEAR_DEGREES <= place.latitude <= area.north + _NEAR_DEGREES
    return north and east <= across + _NEAR_DEGREES


def projection_of(place: Place, georeference: Mapping[str, Any], epsg: int | None = None) -> Projected:
    """The projection in a georeference.json (UTM if it has none), or that of `epsg` if given.

    Raises UnusableSystemError, also if the transformation to `epsg` is less accurate than the control points.
    """
    known = georeference.get("projected")
    if known is None or (epsg is not None and epsg != known["epsg"]):
        found = Projected.about(place, epsg)
        if georeference.get("source") == "control points" and found.grid_gap:
            raise UnusableSystemError(
                f"{found.crs.name}: {found.grid_gap}, and the scene's control points are better than that; "
                "leave out epsg for maps in their own system"
            )
        return found
    try:
        return Projected.about(place, CRS.from_wkt(known["wkt"]))
    except ProjError as error:
        raise UnusableSystemError(f"the scene's projection cannot be read: {error}") from error


def utm(place: Place) -> int:
    """EPSG code of a place's UTM zone on WGS 84, or of the polar stereographic system near the poles."""
    if place.latitude > _UTM_NORTH:
        return _POLAR_NORTH
    if place.latitude < _UTM_SOUTH:
        return _POLAR_SOUTH
    zone = int((place.longitude + 180) % 360 // 6) + 1
    return (32600 if place.latitude >= 0 else 32700) + zone


def horizontal(crs: CRS) -> CRS:
    """The horizontal part of a compound or three-dimensional system."""
    return crs.sub_crs_list[0] if crs.is_compound else crs.to_2d()


def vertical(crs: CRS) -> CRS | None:
    """The vertical part of a compound system; None for any other system."""
    return crs.sub_crs_list[1] if crs.is_compound else None
