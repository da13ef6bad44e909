"""WGS84 geodetic coordinates and a local east-north-up frame, both ways.

Source: EPSG Guidance Note 7-2 (methods 9602 and 9837); the inverse is Bowring (1985), iterated.
"""

from dataclasses import dataclass
from math import atan2, cos, degrees, hypot, radians, sin, sqrt

import numpy as np
from numpy.typing import NDArray

SEMI_MAJOR = 6378137.0
FLATTENING = 1 / 298.257223563
ECCENTRICITY_SQUARED = FLATTENING * (2 - FLATTENING)


@dataclass(frozen=True)
class Geodetic:
    """A place on or above the WGS84 ellipsoid: degrees north, degrees east, metres above the ellipsoid."""

    latitude: float
    longitude: float
    altitude: float


def to_ecef(place: Geodetic) -> NDArray[np.float64]:
    """Earth-centred, earth-fixed coordinates (3,) in metres."""
    latitude, longitude = radians(place.latitude), radians(place.longitude)
    normal = SEMI_MAJOR / sqrt(1 - ECCENTRICITY_SQUARED * sin(latitude) ** 2)
    across = (normal + place.altitude) * cos(latitude)
    return np.array(
        [
            across * cos(longitude),
            across * sin(longitude),
            (normal * (1 - ECCENTRICITY_SQUARED) + place.altitude) * sin(latitude),
        ]
    )


def from_ecef(point: NDArray[np.float64]) -> Geodetic:
    """The geodetic place of an ECEF point (3,) in metres; exact to well below a micrometre near the ground."""
    x, y, z = (float(value) for value in point)
    across = hypot(x, y)
    semi_minor = SEMI_MAJOR * (1 - FLATTENING)
    second = ECCENTRICITY_SQUARED / (1 - ECCENTRICITY_SQUARED)
    parametric = atan2(z * SEMI_MAJOR, across * semi_minor)
    latitude = 0.0
    for _ in range(4):
        latitude = atan2(
            z + second * semi_minor * sin(parametric) ** 3,
            across - ECCENTRICITY_SQUARED * SEMI_MAJOR * cos(parametric) ** 3,
        )
        parametric = atan2((1 - FLATTENING) * sin(latitude), cos(latitude))
    normal = SEMI_MAJOR / sqrt(1 - ECCENTRICITY_SQUARED * sin(latitude) ** 2)
    # This form of the height stays well conditioned from the equator to the poles.
    altitude = across * cos(latitude) + z * sin(latitude) - SEMI_MAJOR**2 / normal
    return Geodetic(degrees(latitude), degrees(atan2(y, x)), altitude)


def east_north_up(origin: Geodetic) -> NDArray[np.float64]:
    """Rotation (3, 3) whose rows are east, north and up at `origin`, in ECEF."""
    latitude, longitude = radians(origin.latitude), radians(origin.longitude)
    return np.array(
        [
            [-sin(longitude), cos(longitude), 0.0],
            [-sin(latitude) * cos(longitude), -sin(latitude) * sin(longitude), cos(latitude)],
            [cos(latitude) * cos(longitude), cos(latitude) * sin(longitude), sin(latitude)],
        ]
    )


def enu_to_geodetic(point: NDArray[np.float64], origin: Geodetic) -> Geodetic:
    """The place of a point (3,) given in ENU metres about `origin`."""
    return from_ecef(to_ecef(origin) + east_north_up(origin).T @ point)


def geodetic_to_enu(place: Geodetic, origin: Geodetic) -> NDArray[np.float64]:
    """ENU metres (3,) about `origin` of a place."""
    return east_north_up(origin) @ (to_ecef(place) - to_ecef(origin))
