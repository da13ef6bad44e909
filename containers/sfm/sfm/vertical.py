"""Name the vertical datum of a scene's heights.

Heights are never converted; this module only names their datum. EXIF 2.32 (CIPA DC-008) defines GPSAltitude as height
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
    if named is not None:
        return Heights(named.name, named.to_epsg())
    if len(system.axis_info) == 3:
        return Heights(ELLIPSOID)
    return Heights(OF_CONTROL_POINTS)
