"""Read a photo's metadata: camera, focal length, place, time, gimbal.

EXIF 2.32 (CIPA DC-008) by tag number; the gimbal's angles from XMP: DJI's namespace (http://www.dji.com/drone-dji/1.0/),
which Autel and others write too, and Parrot's (http://www.parrot.com/drone-parrot/1.0/), whose angles are the same.
Any value may be missing, malformed or wrong, so each is None unless it is plausible.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from sfm.sensors import FULL_FRAME_DIAGONAL_MM, sensor_diagonal_mm

EXIF_IFD, GPS_IFD = 0x8769, 0x8825
MAKE, MODEL, ORIENTATION, XMP_PACKET = 271, 272, 274, 700
DATE_TIME_ORIGINAL, FOCAL_LENGTH, FOCAL_LENGTH_35MM = 36867, 37386, 41989
PIXEL_X_DIMENSION, PIXEL_Y_DIMENSION = 40962, 40963
FOCAL_PLANE_X_RESOLUTION, FOCAL_PLANE_RESOLUTION_UNIT = 41486, 41488
MILLIMETRES_PER_UNIT = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
PLAUSIBLE_FOCAL = (0.3, 20.0)  # of the long side


@dataclass(frozen=True)
class GeoPosition:
    """WGS 84 latitude and longitude in degrees, altitude in metres (None when the photo has none)."""

    latitude: float
    longitude: float
    altitude: float | None


@dataclass(frozen=True)
class Gimbal:
    """Camera angles in degrees: pitch −90 looks straight down, 0 at the horizon; roll 0 is level."""

    pitch: float
    roll: float


@dataclass(frozen=True)
class Metadata:
    """A photo's own account. `focal` is in pixels of the photo as it lies here; `taken_at` is EXIF text, '' if none."""

    make: str = ""
    model: str = ""
    focal: float | None = None
    focal_tag: float = 0.0  # the tag's own number (mm or 35 mm equivalent): tells zoom settings of one camera apart
    position: GeoPosition | None = None
    gimbal: Gimbal | None = None
    taken_at: str = ""


def read_metadata(image: Image.Image) -> Metadata:
    """Metadata of an opened photo; never raises on malformed EXIF or XMP."""
    return _metadata(image.getexif, image.info.get("xmp"), image.width, image.height)


def read_raw_metadata(path: Path, width: int, height: int) -> Metadata:
    """Metadata of a DNG, whose tags are those of the TIFF file that it is, developed to `width` × `height` pixels."""

    with path.open("rb") as file:

        def tags() -> Image.Exif:
            exif = Image.Exif()
            exif.load_from_fp(file)
            return exif

        return _metadata(tags, None, width, height)


def _metadata(read_tags: Callable[[], Image.Exif], xmp: object, width: int, height: int) -> Metadata:
    try:
        exif = read_tags()
        main, details, gps = dict(exif), dict(exif.get_ifd(EXIF_IFD)), dict(exif.get_ifd(GPS_IFD))
    except Exception:  # Pillow's EXIF parser raises many kinds on broken tags
        main, details, gps = {}, {}, {}
    xmp = xmp or main.get(XMP_PACKET) or b""
    text = xmp.decode("utf-8", "replace") if isinstance(xmp, bytes) else str(xmp)
    upright = main.get(ORIENTATION, 1) in (0, 1)
    make, model = _text(main.get(MAKE)), _text(main.get(MODEL))
    return Metadata(
        make=make,
        model=model,
        focal=focal_in_pixels(details, text, width, height, lambda: sensor_diagonal_mm(make, model)),
        focal_tag=_number(details.get(FOCAL_LENGTH)) or _number(details.get(FOCAL_LENGTH_35MM)) or 0.0,
        position=_position(gps),
        gimbal=_gimbal(text) if upright else None,
        taken_at=_text(details.get(DATE_TIME_ORIGINAL)),
    )


def focal_in_pixels(
    details: Mapping[int, Any], xmp: str, width: int, height: int, sensor: Callable[[], float | None] = lambda: None
) -> float | None:
    """Focal length in pixels of a photo of `width` × `height`, or None.

    The tags speak of the photo as taken: a resized photo scales them by its width over EXIF's. In order of trust: DJI's
    calibrated focal length, focal length with the sensor's resolution, the 35 mm equivalent (which compares diagonals
    with a 36 × 24 mm frame), focal length over what `sensor` says of the sensor's diagonal (mm).
    """
    long_side = max(width, height)
    taken = max(_number(details.get(PIXEL_X_DIMENSION)) or 0, _number(details.get(PIXEL_Y_DIMENSION)) or 0)
    scale = long_side / taken if taken > 0 else None
    millimetres = _number(details.get(FOCAL_LENGTH))
    resolution = _number(details.get(FOCAL_PLANE_X_RESOLUTION))
    unit = MILLIMETRES_PER_UNIT.get(int(_number(details.get(FOCAL_PLANE_RESOLUTION_UNIT)) or 2))
    equivalent = _number(details.get(FOCAL_LENGTH_35MM))
    candidates: list[float] = []
    calibrated = _xmp_number(xmp, "CalibratedFocalLength")
    if calibrated and scale:
        candidates.append(calibrated * scale)
    if millimetres and resolution and unit and scale:
        candidates.append(millimetres * resolution / unit * scale)
    if equivalent:
        candidates.append(equivalent / FULL_FRAME_DIAGONAL_MM * _sensor_diagonal(width, height))
    elif millimetres and not candidates and (diagonal := sensor()):
        candidates.append(millimetres / diagonal * _sensor_diagonal(width, height))
    low, high = PLAUSIBLE_FOCAL
    return next((focal for focal in candidates if low < focal / long_side < high), None)


def _sensor_diagonal(width: int, height: int) -> float:
    """Diagonal in pixels of the whole sensor, of which a 16:9 still is a crop at full width.

    Drones with 4:3 sensors keep the 35 mm equivalent of the whole sensor when they store 16:9.
    """
    long_side, short_side = max(width, height), min(width, height)
    if long_side / short_side > 1.6:
        short_side = round(long_side * 3 / 4)
    return math.hypot(long_side, short_side)


def _position(gps: Mapping[int, Any]) -> GeoPosition | None:
    latitude, longitude = _degrees(gps.get(2)), _degrees(gps.get(4))
    if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 180:
        return None
    if latitude == 0 and longitude == 0:  # a receiver without a fix
        return None
    if _text(gps.get(1)).upper().startswith("S"):
        latitude = -latitude
    if _text(gps.get(3)).upper().startswith("W"):
        longitude = -longitude
    altitude = _number(gps.get(6))
    if altitude is not None and gps.get(5) in (1, b"\x01"):
        altitude = -altitude
    return GeoPosition(latitude, longitude, altitude)


def _degrees(value: object) -> float | None:
    if not isinstance(value, tuple) or len(value) != 3:
        return None
    parts = [_number(part) for part in value]
    if any(part is None or part < 0 for part in parts):
        return None
    degrees, minutes, seconds = (part or 0.0 for part in parts)
    return degrees + minutes / 60 + seconds / 3600


def _gimbal(xmp: str) -> Gimbal | None:
    pitch = _xmp_number(xmp, "(?:Gimbal|Camera)PitchDegree")
    roll = _xmp_number(xmp, "(?:Gimbal|Camera)RollDegree")
    if pitch is None or not -180 <= pitch <= 180:
        return None
    return Gimbal(pitch, roll or 0.0)


def _xmp_number(xmp: str, name: str) -> float | None:
    """The value of the drone makers' property `name` (a pattern), which is an attribute or an element by firmware."""
    match = re.search(rf"(?:drone-dji|drone-parrot):{name}(?:=\"|>)\s*([+-]?\d+(?:\.\d+)?)", xmp)
    return _number(match.group(1)) if match else None


def _number(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _text(value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return str(value or "").strip("\0 ")
