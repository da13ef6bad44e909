"""What a photo's metadata says about its lens: XMP's DewarpData and ModelType, and the lens's name in EXIF."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sfm.xmp import number_of, value_of

SIMPLE, RADIAL, FISHEYE = "SIMPLE_RADIAL", "RADIAL", "RADIAL_FISHEYE"  # COLMAP's camera models
_DEWARP_VALUES = 9


@dataclass(frozen=True)
class Lens:
    """What a photo says about its lens: the camera model and, if given, its distortion terms."""

    model: str
    terms: tuple[float, float] = (0.0, 0.0)


def lens_of(xmp: str, name: str) -> Lens | None:
    """The lens according to XMP and the lens's name in EXIF; None if neither says anything.

    DJI's DewarpData (`date;fx,fy,cx,cy,k1,k2,p1,p2,k3`) holds for photos that the drone left distorted (DewarpFlag 0).
    Camera:ModelType is Pix4D's tag.
    """
    if "fisheye" in (value_of(xmp, "Camera:ModelType") or "").lower() or re.search(r"fish[- ]?eye", name, re.I):
        return Lens(FISHEYE)
    values = (value_of(xmp, "drone-dji:DewarpData") or "").rpartition(";")[2].split(",")
    if len(values) != _DEWARP_VALUES or number_of(xmp, "drone-dji:DewarpFlag") not in (None, 0):
        return None
    try:
        k1, k2 = float(values[4]), float(values[5])
    except ValueError:
        return None
    return Lens(RADIAL, (k1, k2)) if 0 < abs(k1) < 1 and abs(k2) < 1 else None
