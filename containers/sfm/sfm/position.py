"""Where a photo was taken, by EXIF and XMP.

EXIF stores degrees and their sign separately: without N or S, E or W there is no sign, and a scene could end up in the
other hemisphere, rotated by 180°. XMP has signed numbers; in DJI's namespace, longitude is sometimes misspelt.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sfm.xmp import coordinate_of, number_of

LATITUDE_REF, LATITUDE, LONGITUDE_REF, LONGITUDE, ALTITUDE_REF, ALTITUDE, HORIZONTAL_ERROR = 1, 2, 3, 4, 5, 6, 31
_BELOW = {1, 3}  # EXIF 3.0: below sea level, below the ellipsoid
_LATITUDES = ("drone-dji:GpsLatitude", "drone-dji:Latitude", "drone-autel:GpsLatitude", "drone-skydio:Latitude",
              "Camera:GPSLatitude", "exif:GPSLatitude")  # fmt: skip
_LONGITUDES = ("drone-dji:GpsLongitude", "drone-dji:GpsLongtitude", "drone-dji:Longitude", "drone-autel:GpsLongitude",
               "drone-autel:GpsLongtitude", "drone-skydio:Longitude", "Camera:GPSLongitude",
               "exif:GPSLongitude")  # fmt: skip
_ALTITUDES = ("drone-dji:AbsoluteAltitude", "drone-autel:AbsoluteAltitude", "drone-skydio:AbsoluteAltitude")
_RELATIVE_ALTITUDES = ("drone-dji:RelativeAltitude", "drone-autel:RelativeAltitude", "drone-skydio:RelativeAltitude")
_PLAUSIBLE_ERROR = (0.001, 100.0)  # metres
# metres: 2^32 − 1 and the like stand for none, and a frame at such a height is as much wider as it is farther out
_PLAUSIBLE_ALTITUDE = (-1_000.0, 50_000.0)
MAX_TEXT = 100  # characters of a camera's name or a time


@dataclass(frozen=True)
class GeoPosition:
    """WGS 84 latitude and longitude in degrees, altitude in metres (None when the photo has none).

    `horizontal_sigma` and `vertical_sigma`: the receiver's own standard deviations in metres, of one horizontal axis
    and of the height, None where it gives none. `relative_altitude`: metres above the place of take-off.
    """

    latitude: float
    longitude: float
    altitude: float | None
    horizontal_sigma: float | None = None
    vertical_sigma: float | None = None
    relative_altitude: float | None = None


def position_of(gps: Mapping[int, Any], xmp: str) -> GeoPosition | None:
    """The position from EXIF if it states the hemisphere, otherwise from XMP."""
    place = _exif_place(gps) or _xmp_place(xmp)
    if place is None:
        return None
    altitude = _altitude(gps)
    rtk = [number_of(xmp, f"drone-dji:RtkStd{axis}") for axis in ("Lon", "Lat")]
    horizontal = max(rtk[0], rtk[1]) if rtk[0] is not None and rtk[1] is not None else None
    if horizontal is None:
        radius = number_of(xmp, "Camera:GPSXYAccuracy") or number(gps.get(HORIZONTAL_ERROR))
        horizontal = radius / math.sqrt(2) if radius else None
    return GeoPosition(
        *place,
        altitude=plausible_altitude(number_of(xmp, *_ALTITUDES)) if altitude is None else altitude,
        horizontal_sigma=_plausible_error(horizontal),
        vertical_sigma=_plausible_error(number_of(xmp, "drone-dji:RtkStdHgt", "Camera:GPSZAccuracy")),
        relative_altitude=number_of(xmp, *_RELATIVE_ALTITUDES),
    )


def number(value: object) -> float | None:
    """A tag's value as a finite number, None where it is none."""
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def text(value: object) -> str:
    """A tag's value as one line of at most MAX_TEXT characters, without the padding that some writers add."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    shown = "".join(letter for letter in str(value or "")[: 10 * MAX_TEXT] if letter.isprintable())
    return shown.strip()[:MAX_TEXT]


def _exif_place(gps: Mapping[int, Any]) -> tuple[float, float] | None:
    latitude, longitude = _degrees(gps.get(LATITUDE)), _degrees(gps.get(LONGITUDE))
    signs = [{"N": 1, "S": -1}.get(text(gps.get(LATITUDE_REF))[:1].upper())]
    signs.append({"E": 1, "W": -1}.get(text(gps.get(LONGITUDE_REF))[:1].upper()))
    if latitude is None or longitude is None or signs[0] is None or signs[1] is None:
        return None
    return plausible_place(signs[0] * latitude, signs[1] * longitude)


def _xmp_place(xmp: str) -> tuple[float, float] | None:
    latitude, longitude = coordinate_of(xmp, *_LATITUDES), coordinate_of(xmp, *_LONGITUDES)
    return None if latitude is None or longitude is None else plausible_place(latitude, longitude)


def plausible_place(latitude: float, longitude: float) -> tuple[float, float] | None:
    """Latitude and longitude, None where they are out of range."""
    if abs(latitude) > 90 or abs(longitude) > 180 or (latitude == 0 and longitude == 0):  # a receiver without a fix
        return None
    return latitude, longitude


def _degrees(value: object) -> float | None:
    if not isinstance(value, tuple) or len(value) != 3:
        return None
    parts = [number(part) for part in value]
    if any(part is None or part < 0 for part in parts):
        return None
    degrees, minutes, seconds = (part or 0.0 for part in parts)
    return degrees + minutes / 60 + seconds / 3600


def _altitude(gps: Mapping[int, Any]) -> float | None:
    altitude = plausible_altitude(number(gps.get(ALTITUDE)))
    if altitude is None:
        return None
    return -abs(altitude) if _reference(gps.get(ALTITUDE_REF)) in _BELOW else altitude


def plausible_altitude(metres: float | None) -> float | None:
    """An altitude in metres, or None where nothing flies."""
    low, high = _PLAUSIBLE_ALTITUDE
    return metres if metres is not None and low <= metres <= high else None


def _reference(value: object) -> int:
    """The number in a GPSAltitudeRef, which should be one byte, and has been seen as two, as text and as a list."""
    if isinstance(value, tuple | list):
        value = value[0] if value else 0
    if isinstance(value, bytes):
        value = next((byte for byte in value if byte), 0)
        return value - ord("0") if value >= ord("0") else value
    found = number(value)
    return int(found) if found is not None else 0


def _plausible_error(metres: float | None) -> float | None:
    low, high = _PLAUSIBLE_ERROR
    return metres if metres is not None and low <= metres <= high else None
