"""WGS 84 positions in a local east-north-up frame (NIMA TR8350.2, by way of earth-centred coordinates)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfm.position import GeoPosition

SEMI_MAJOR_METRES = 6378137.0
FLATTENING = 1 / 298.257223563
ECCENTRICITY_SQUARED = FLATTENING * (2 - FLATTENING)


@dataclass(frozen=True)
class LocalFrame:
    """East, north, up in metres about an origin (degrees, metres above the ellipsoid)."""

    latitude: float
    longitude: float
    altitude: float

    @classmethod
    def about(cls, positions: Sequence[GeoPosition]) -> LocalFrame:
        """A frame at the median of positions, which outliers do not move; altitude 0 where none is known."""
        altitudes = [p.altitude for p in positions if p.altitude is not None]
        # longitudes are unwrapped about the first, for scenes on the date line
        first = positions[0].longitude
        turns = [(p.longitude - first + 180) % 360 - 180 for p in positions]
        longitude = (first + float(np.median(turns)) + 180) % 360 - 180
        return cls(
            float(np.median([p.latitude for p in positions])),
            longitude,
            float(np.median(altitudes)) if altitudes else 0.0,
        )

    def to_enu(self, position: GeoPosition) -> NDArray[np.float64]:
        """(3,) metres; a position without altitude is taken at the frame's own."""
        altitude = self.altitude if position.altitude is None else position.altitude
        offset = _earth_centred(position.latitude, position.longitude, altitude) - _earth_centred(
            self.latitude, self.longitude, self.altitude
        )
        lat, lon = math.radians(self.latitude), math.radians(self.longitude)
        axes = np.array(
            [
                [-math.sin(lon), math.cos(lon), 0.0],
                [-math.sin(lat) * math.cos(lon), -math.sin(lat) * math.sin(lon), math.cos(lat)],
                [math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)],
            ]
        )
        return np.asarray(axes @ offset, dtype=np.float64)


def _earth_centred(latitude: float, longitude: float, altitude: float) -> NDArray[np.float64]:
    lat, lon = math.radians(latitude), math.radians(longitude)
    normal = SEMI_MAJOR_METRES / math.sqrt(1 - ECCENTRICITY_SQUARED * math.sin(lat) ** 2)
    return np.array(
        [
            (normal + altitude) * math.cos(lat) * math.cos(lon),
            (normal + altitude) * math.cos(lat) * math.sin(lon),
            (normal * (1 - ECCENTRICITY_SQUARED) + altitude) * math.sin(lat),
        ]
    )
