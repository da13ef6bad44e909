"""Coordinate systems that a list of control points may name: EPSG codes, `WGS84 UTM 32N`, and +proj strings.

PROJ opens files that a string names (`+init=/path:key`, `+nadgrids=`, `+geoidgrids=`, pipelines). A customer's string
may therefore use only keys and values that name no file.
"""

from __future__ import annotations

import re

from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

MAX_CHARACTERS = 500
# fmt: off
PROJECTIONS = {
    "aea", "aeqd", "cass", "cea", "eqc", "eqdc", "gnom", "krovak", "laea", "lcc", "longlat", "latlong", "lonlat",
    "latlon", "merc", "mill", "nzmg", "omerc", "poly", "sinu", "somerc", "stere", "sterea", "tmerc", "utm", "webmerc",
}
KEYS = {
    "proj", "zone", "south", "datum", "ellps", "units", "no_defs", "type", "lat_0", "lon_0", "lat_1", "lat_2", "lat_ts",
    "lonc", "alpha", "gamma", "no_uoff", "no_rot", "k", "k_0", "x_0", "y_0", "a", "b", "f", "rf", "towgs84", "pm",
    "to_meter", "vunits", "wktext", "over", "nadgrids",
}
# fmt: on
_VALUE = re.compile(r"[A-Za-z0-9.,_+-]*")  # neither a path nor another authority's file
_NO_GRID = "@null"  # nadgrids of Web Mercator, as GDAL writes it


class UnknownSystemError(Exception):
    """A text names no coordinate system that we accept."""


def to_geographic(system: CRS) -> Transformer:
    """From `system` to WGS 84 longitude and latitude. Raises UnknownSystemError if PROJ knows no transformation."""
    try:
        return Transformer.from_crs(system, CRS.from_epsg(4326), always_xy=True)
    except ProjError as error:
        raise UnknownSystemError(system.name) from error


def named_system(text: str) -> CRS:
    """The system that `text` names. Raises UnknownSystemError."""
    text = text.strip()
    utm = re.fullmatch(r"WGS84\s+UTM\s+(\d{1,2})\s*([NS])", text, re.IGNORECASE)
    epsg = re.fullmatch(r"EPSG:\s*(\d{1,6})", text, re.IGNORECASE)
    try:
        if utm:
            return CRS.from_epsg((32600 if utm[2].upper() == "N" else 32700) + int(utm[1]))
        if epsg:
            return CRS.from_epsg(int(epsg[1]))
        if len(text) <= MAX_CHARACTERS and _is_plain(text):
            return CRS.from_proj4(text)
    except ProjError as error:
        raise UnknownSystemError(text) from error
    raise UnknownSystemError(text)


def _is_plain(text: str) -> bool:
    """Whether `text` is a +proj string of known keys, each given once, whose values name no file."""
    words = text.split()
    pairs = [word.removeprefix("+").partition("=") for word in words]
    names = [name for name, _, _ in pairs]
    values = {name: value for name, _, value in pairs}
    return (
        all(word.startswith("+") for word in words)
        and len(names) == len(values)
        and values.keys() <= KEYS
        and values.get("proj") in PROJECTIONS
        and all(value == _NO_GRID if name == "nadgrids" else _VALUE.fullmatch(value) for name, value in values.items())
    )
