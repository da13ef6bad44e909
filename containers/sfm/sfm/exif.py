"""Read a photo's metadata: camera, focal length, place, time, gimbal.

EXIF 2.32 (CIPA DC-008) by tag number, and XMP (sfm.xmp, sfm.position, sfm.gimbal). Any value may be missing, malformed
or wrong, so each is None unless it is plausible.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from PIL import Image

from contract.counts import MAX_STOPS
from sfm.gimbal import Gimbal, gimbal_of
from sfm.lens_tags import Lens, lens_of
from sfm.position import GeoPosition, number, position_of, text
from sfm.sensors import FULL_FRAME_DIAGONAL_MM, sensor_diagonal_mm
from sfm.xmp import first_of, number_of, xmp_in, xmp_of

EXIF_IFD, GPS_IFD = 0x8769, 0x8825
MAKE, MODEL, ORIENTATION = 271, 272, 274
EXPOSURE_TIME, F_NUMBER, SENSITIVITY = 33434, 33437, 34855
DATE_TIME_ORIGINAL, FOCAL_LENGTH, FOCAL_LENGTH_35MM = 36867, 37386, 41989
DATE_TIME_FORMAT = "%Y:%m:%d %H:%M:%S"
_WRITTEN_TIME = re.compile(r"(\d{4})\D(\d\d)\D(\d\d)\D(\d\d)\D(\d\d)\D(\d\d)")
DIGITAL_ZOOM_RATIO, LENS_MODEL = 41988, 42036
MAX_DIGITAL_ZOOM = 200.0
PIXEL_X_DIMENSION, PIXEL_Y_DIMENSION = 40962, 40963
FOCAL_PLANE_X_RESOLUTION, FOCAL_PLANE_RESOLUTION_UNIT = 41486, 41488
MILLIMETRES_PER_UNIT = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
PLAUSIBLE_FOCAL = (0.3, 20.0)  # of the long side
_IMAGE_SOURCES = ("drone-dji:ImageSource", "drone-autel:ImageSource", "drone-skydio:ImageSource")
_BAND_NAMES = ("Camera:BandName", "drone-dji:BandName", "drone-parrot:BandName")


@dataclass(frozen=True)
class Metadata:
    """A photo's own account. `focal` is in pixels of the photo as it lies here; `taken_at` is EXIF text, '' if none.

    `image_source` is what DJI calls the lens (`InfraredCamera`), `band` the spectral band, `projection` that of a
    panorama: XMP's text, '' if none. `stops` is how much light the camera took: log2 of seconds · ISO / f-number².
    """

    make: str = ""
    model: str = ""
    focal: float | None = None
    # the tags' own numbers (mm or 35 mm equivalent, and the digital zoom): they distinguish zoom settings of one camera
    focal_tag: float = 0.0
    digital_zoom: float = 1.0
    lens: Lens | None = None
    position: GeoPosition | None = None
    gimbal: Gimbal | None = None
    taken_at: str = ""
    stops: float | None = None
    image_source: str = ""
    band: str = ""
    projection: str = ""


def read_metadata(image: Image.Image) -> Metadata:
    """Metadata of an opened photo; never raises on malformed EXIF or XMP."""
    return _metadata(image.getexif, lambda tags: xmp_of(image, tags), image.width, image.height)


def read_raw_metadata(path: Path, width: int, height: int) -> Metadata:
    """Metadata of a DNG, whose tags are those of the TIFF file that it is, developed to `width` × `height` pixels."""

    with path.open("rb") as file:

        def tags() -> Image.Exif:
            exif = Image.Exif()
            exif.load_from_fp(file)
            return exif

        return _metadata(tags, xmp_in, width, height)


def _metadata(
    read_tags: Callable[[], Image.Exif], read_xmp: Callable[[Mapping[int, Any]], str], width: int, height: int
) -> Metadata:
    try:
        exif = read_tags()
        main, details, gps = dict(exif), dict(exif.get_ifd(EXIF_IFD)), dict(exif.get_ifd(GPS_IFD))
    except Exception:  # Pillow's EXIF parser raises many kinds on broken tags
        main, details, gps = {}, {}, {}
    xmp = read_xmp(main)
    upright = main.get(ORIENTATION, 1) in (0, 1)
    make, model = text(main.get(MAKE)), text(main.get(MODEL))
    return Metadata(
        make=make,
        model=model,
        focal=focal_in_pixels(details, xmp, width, height, lambda: sensor_diagonal_mm(make, model)),
        digital_zoom=_digital_zoom(details),
        lens=lens_of(xmp, text(details.get(LENS_MODEL))),
        focal_tag=number(details.get(FOCAL_LENGTH)) or number(details.get(FOCAL_LENGTH_35MM)) or 0.0,
        position=position_of(gps, xmp),
        gimbal=gimbal_of(xmp, make) if upright else None,
        taken_at=_taken_at(details),
        stops=stops_of(details),
        image_source=first_of(xmp, *_IMAGE_SOURCES),
        band=first_of(xmp, *_BAND_NAMES),
        projection=first_of(xmp, "GPano:ProjectionType"),
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
    taken = max(number(details.get(PIXEL_X_DIMENSION)) or 0, number(details.get(PIXEL_Y_DIMENSION)) or 0)
    scale = long_side / taken if taken > 0 else None
    millimetres = number(details.get(FOCAL_LENGTH))
    resolution = number(details.get(FOCAL_PLANE_X_RESOLUTION))
    unit = MILLIMETRES_PER_UNIT.get(int(number(details.get(FOCAL_PLANE_RESOLUTION_UNIT)) or 2))
    equivalent = number(details.get(FOCAL_LENGTH_35MM))
    candidates: list[float] = []
    calibrated = number_of(xmp, "drone-dji:CalibratedFocalLength", "drone-parrot:CalibratedFocalLength")
    if calibrated and scale:
        candidates.append(calibrated * scale)
    if millimetres and resolution and unit and scale:
        candidates.append(millimetres * resolution / unit * scale * _digital_zoom(details))
    if equivalent:
        candidates.append(equivalent / FULL_FRAME_DIAGONAL_MM * _sensor_diagonal(width, height))
    elif millimetres and not candidates and (diagonal := sensor()):
        candidates.append(millimetres / diagonal * _sensor_diagonal(width, height) * _digital_zoom(details))
    low, high = PLAUSIBLE_FOCAL
    return next((focal for focal in candidates if low < focal / long_side < high), None)


def _taken_at(details: Mapping[int, Any]) -> str:
    """When the photo was taken; '' of a clock that was never set, which writes zeros or blanks for the digits."""
    written = text(details.get(DATE_TIME_ORIGINAL))
    found = _WRITTEN_TIME.match(written)
    if found is None:
        return ""
    try:
        datetime.strptime(" ".join(found.groups()), "%Y %m %d %H %M %S")
    except ValueError:
        return ""
    return written


def stops_of(details: Mapping[int, Any]) -> float | None:
    """How much light the camera took, as log2 of seconds · ISO / f-number², or None."""
    seconds, aperture = number(details.get(EXPOSURE_TIME)), number(details.get(F_NUMBER))
    sensitivity = details.get(SENSITIVITY)
    iso = number(sensitivity[0] if isinstance(sensitivity, tuple) and sensitivity else sensitivity)
    if not (seconds and aperture and iso) or min(seconds, aperture, iso) <= 0:
        return None
    stops = math.log2(seconds) + math.log2(iso) - 2 * math.log2(aperture)
    return stops if abs(stops) <= MAX_STOPS else None


def _digital_zoom(details: Mapping[int, Any]) -> float:
    """How much larger than the sensor's picture the photo shows things; the 35 mm equivalent has it in it."""
    ratio = number(details.get(DIGITAL_ZOOM_RATIO)) or 1.0  # 0 means that there was none
    return ratio if 1 <= ratio <= MAX_DIGITAL_ZOOM else 1.0


def _sensor_diagonal(width: int, height: int) -> float:
    """Diagonal in pixels of the whole sensor, of which a 16:9 still is a crop at full width.

    Drones with 4:3 sensors keep the 35 mm equivalent of the whole sensor when they store 16:9.
    """
    long_side, short_side = max(width, height), min(width, height)
    if long_side / short_side > 1.6:
        short_side = round(long_side * 3 / 4)
    return math.hypot(long_side, short_side)
