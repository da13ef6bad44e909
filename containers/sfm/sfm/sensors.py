"""Look up a camera's sensor size, for photos whose EXIF has the focal length in millimetres only.

Crop factors (the diagonal of 36 × 24 mm over the sensor's) come from the lensfun project's camera database
(https://lensfun.github.io, CC BY-SA 3.0, as the package lensfunpy brings it), which knows system and compact
cameras, and for drones from the table below: the sensor formats of the makers' specification pages.
"""

from __future__ import annotations

import math
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

FULL_FRAME_DIAGONAL_MM = math.hypot(36, 24)
# active areas in millimetres by what drone makers call the format
_FORMATS = {
    '1/2.3"': (6.17, 4.55),
    '1/2"': (6.40, 4.80),
    '1/1.3"': (9.60, 7.20),
    '1"': (13.20, 8.80),
    "4/3": (17.30, 13.00),
    "35 mm": (35.90, 24.00),
}
# the model name in EXIF → format
_DRONES = {
    "FC200": '1/2.3"',  # Phantom 2 Vision
    "FC300C": '1/2.3"',  # Phantom 3 Standard
    "FC300S": '1/2.3"',  # Phantom 3 Advanced
    "FC300X": '1/2.3"',  # Phantom 3 Professional
    "FC330": '1/2.3"',  # Phantom 4
    "FC350": '1/2.3"',  # Inspire 1, Zenmuse X3
    "FC550": "4/3",  # Zenmuse X5
    "FC220": '1/2.3"',  # Mavic Pro
    "FC1102": '1/2.3"',  # Spark
    "FC2103": '1/2.3"',  # Mavic Air
    "FC2204": '1/2.3"',  # Mavic 2 Zoom
    "FC7203": '1/2.3"',  # Mavic Mini
    "FC7303": '1/2.3"',  # Mini 2
    "FC3170": '1/2"',  # Mavic Air 2
    "FC3411": '1"',  # Air 2S
    "FC3582": '1/1.3"',  # Mini 3 Pro
    "FC6310": '1"',  # Phantom 4 Pro
    "FC6310S": '1"',  # Phantom 4 Pro V2
    "FC6310R": '1"',  # Phantom 4 RTK
    "FC6510": '1"',  # Zenmuse X4S
    "FC6520": "4/3",  # Zenmuse X5S
    "L1D-20C": '1"',  # Mavic 2 Pro
    "L2D-20C": "4/3",  # Mavic 3
    "M3E": "4/3",  # Mavic 3 Enterprise
    "ZENMUSEP1": "35 mm",
    "ANAFI": '1/2.3"',  # Parrot
    "XT705": '1"',  # Autel Evo II Pro
}


def sensor_diagonal_mm(make: str, model: str) -> float | None:
    """Diagonal in millimetres of the sensor of the camera that EXIF names so, or None for one not known."""
    form = _DRONES.get(model.upper().replace(" ", ""))
    if form is not None:
        return math.hypot(*_FORMATS[form])
    crop = _crop_factor(make, model) if model else None
    return FULL_FRAME_DIAGONAL_MM / crop if crop else None


def _crop_factor(make: str, model: str) -> float | None:
    return _lensfun().get((make.lower(), model.lower()))


@cache
def _lensfun() -> dict[tuple[str, str], float]:
    """Crop factors by maker and model, both in lower case, from the files that lensfunpy brings (its library, which
    needs GLib, is not loaded).
    """
    spec = find_spec("lensfunpy")
    if spec is None or not spec.submodule_search_locations:
        return {}
    found: dict[tuple[str, str], float] = {}
    for path in sorted(Path(spec.submodule_search_locations[0], "db_files").glob("*.xml")):
        for camera in ElementTree.parse(path).iter("camera"):
            maker, model, crop = (camera.findtext(name, "") for name in ("maker", "model", "cropfactor"))
            if crop:
                found[maker.lower(), model.lower()] = float(crop)
    return found
