"""Name the vertical datum of a scene's heights, and the unit of control points' heights.

Heights are converted to metres, never to another datum. EXIF 2.32 (CIPA DC-008) defines GPSAltitude as height
above sea level. Control points are in the vertical part of their system, or in whatever their surveyor used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyproj import CRS

from geo.projected import vertical

SEA_LEVEL = "sea level, as the photos' GPS has it (EXIF)"
OF_CONTROL_POINTS = "that of the control points"
RELATIVE = "none: metres above the middle of the ground"
ELLIPSOID = "the ellipsoid"


@dataclass(frozen=True)
class Heights:
    """The datum in words, and its EPSG code if the control points' system has one."""

    datum: str
    epsg: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The object `heights` of georeference.json (docs/contracts.md)."""
        return {"datum": self.datum, "epsg": self.epsg}


def heights_of_photos(altitude_known: bool) -> Heights:
    """The datum of the heights of a scene placed by GPS."""
    return Heights(SEA_LEVEL if altitude_known else RELATIVE)


def heights_of_control_points(system: CRS) -> Heights:
    """The datum of the heights of a scene placed by control points in `system`."""
    named = vertical(system)
    if named is not None and metres_per_unit_of_height(system) == 1.0:
        return Heights(named.name, named.to_epsg())
    if named is not None and named.datum is not None:  # the scene has metres: no system in feet describes them
        return Heights(named.datum.name)
    if len(system.axis_info) == 3:
        return Heights(ELLIPSOID)
    return Heights(OF_CONTROL_POINTS)


def metres_per_unit_of_height(system: CRS) -> float:
    """The length in metres of the unit in which control points in `system` state heights; 1 if the system has no third
    axis."""
    up = [axis.unit_conversion_factor for axis in system.axis_info if axis.direction == "up"]
    return float(up[0]) if up else 1.0
