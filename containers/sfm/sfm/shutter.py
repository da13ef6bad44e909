"""Rolling shutters: the camera reads a photo's rows one after another while the drone moves on.

Such photos are not central projections: places shift along the flight path by its speed times the readout time. No
camera model here describes that, so the report states how large the shift may be. The readout times come from
OpenDroneMap's rolling-shutter database (calibrations by its users) and are rough.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np

from sfm.exif import DATE_TIME_FORMAT
from sfm.geodesy import LocalFrame
from sfm.photos import Photo

# milliseconds from the first row to the last, by the model name in EXIF
_READOUT_MS = {
    "FC200": 74.0,  # Phantom 2 Vision
    "FC300C": 33.0, "FC300S": 33.0, "FC300X": 33.0,  # Phantom 3
    "FC330": 33.0,  # Phantom 4
    "FC350": 30.0,  # Inspire 1
    "FC7203": 25.0,  # Mavic Mini
    "FC2103": 32.0,  # Mavic Air
    "FC3170": 27.0,  # Mavic Air 2
    "FC3411": 32.0,  # Air 2S
    "FC3582": 26.0,  # Mini 3 Pro
    "ANAFI": 39.0,  # Parrot
    "XT701": 25.0,  # Autel Evo II
}  # fmt: skip
MAX_SHIFT_PIXELS = 3.0
_MIN_STEPS = 5


@dataclass(frozen=True)
class RollingShutter:
    """A camera's name, its readout time in seconds, the flight's speed in metres a second, and the shift in pixels."""

    model: str
    readout: float
    speed: float
    pixels: float


def rolling_shutters(photos: Sequence[Photo], metres_per_pixel: float) -> list[RollingShutter]:
    """The cameras whose photos shift by more than MAX_SHIFT_PIXELS while they are read, at the flight's usual speed."""
    found = []
    by_model: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        by_model[photo.metadata.model].append(photo)
    for model, own in sorted(by_model.items()):
        readout = _READOUT_MS.get(model.upper().replace(" ", ""), 0.0) / 1000
        speed = speed_of(own)
        if readout and speed is not None and metres_per_pixel > 0:
            pixels = readout * speed / metres_per_pixel
            if pixels > MAX_SHIFT_PIXELS:
                found.append(RollingShutter(model, readout, speed, pixels))
    return found


def speed_of(photos: Sequence[Photo]) -> float | None:
    """Median speed in metres per second between consecutive photos; None if too few have a time and a position."""
    stops = []
    for photo in photos:
        try:
            taken = datetime.strptime(photo.metadata.taken_at[:19], DATE_TIME_FORMAT)
        except ValueError:
            continue
        if photo.metadata.position is not None:
            stops.append((taken, photo.metadata.position))
    stops.sort(key=lambda stop: stop[0])
    if len(stops) <= _MIN_STEPS:
        return None
    frame = LocalFrame.about([position for _, position in stops])
    places = np.array([frame.to_enu(position)[:2] for _, position in stops])
    seconds = np.array([(later - earlier).total_seconds() for (earlier, _), (later, _) in pairwise(stops)])
    metres = np.linalg.norm(np.diff(places, axis=0), axis=1)
    moving = (seconds > 0) & (seconds <= 30)  # longer ones are turns, or another flight
    if int(moving.sum()) < _MIN_STEPS:
        return None
    return float(np.median(metres[moving] / seconds[moving]))
