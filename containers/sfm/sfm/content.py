"""The kind of a picture, if its name does not tell: from XMP, channels, and its size relative to the other pictures.

DJI's XMP names the lens (`ImageSource`), Camera XMP (https://support.pix4d.com, "Camera-XMP tags") the band, Google's
photo sphere XMP (`GPano`) a panorama.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from PIL import Image

from contract.counts import MIN_PHOTOS
from contract.shots import COLOUR, Kind, Shot
from sfm.exif import Metadata

Key = TypeVar("Key")
Size = tuple[int, int]

_THERMAL_SOURCE = re.compile(r"infrared|thermal|ir(camera)?$", re.I)
_BAND = re.compile(r"[A-Za-z][A-Za-z ]*")
_PANORAMAS = ("equirectangular", "cylindrical")
_THERMAL_MAKERS = (["FLIR"],)  # first words
_ALPHA = {"A", "a"}  # of Pillow's bands; LAB's second band is called A, too
# of a channel against another, in 8 bits: JPEG keeps a grey picture's channels together to a rounding
MAX_GREY_DIFFERENCE = 2
UNNAMED_BAND = Shot(Kind.BAND)
MAX_ODD_GREYS = 1 / 2  # of the colour photos; more grey pictures come from a second camera
THERMAL_SHAPE, MAX_THERMAL_SIDE = 5 / 4, 1280  # 320 × 256, 640 × 512, 1280 × 1024
THERMAL_SHARE, PREVIEW_SHARE = 1 / 4, 1 / 32  # of the pixels that the upload's photos have


def shot_in(image: Image.Image, metadata: Metadata) -> Shot:
    """The properties of an opened picture, from its pixels and metadata."""
    maker = metadata.make.upper().split()[:1]
    if _THERMAL_SOURCE.match(metadata.image_source) or maker in _THERMAL_MAKERS:
        return Shot(Kind.THERMAL)
    if metadata.projection.lower() in _PANORAMAS:
        return Shot(Kind.PANORAMA)
    if is_grey(image):
        band = _BAND.match(metadata.band)
        return Shot(Kind.BAND, band.group().strip().lower() if band else "")
    return COLOUR


def is_grey(image: Image.Image) -> bool:
    """Whether a picture has one channel, or three that show the same."""
    if len({*image.getbands()} - _ALPHA) == 1 and not image.mode.startswith("P"):
        return True
    colours = image if image.mode == "RGB" else image.convert("RGB")
    small = np.asarray(colours.resize((64, 64), Image.Resampling.BOX), np.int16)
    return bool(np.ptp(small, axis=2).max() <= MAX_GREY_DIFFERENCE)


def odd_greys(shots: Mapping[Key, Shot], times: Mapping[Key, str]) -> dict[Key, Shot]:
    """Grey pictures that count as photos: few beside the colour ones, none taken at the same time as one.

    `times`: EXIF's text by picture, "" where there is none.
    """
    greys = [key for key, shot in shots.items() if shot == UNNAMED_BAND]
    colour = [key for key, shot in shots.items() if shot == COLOUR]
    if len(greys) > len(colour) * MAX_ODD_GREYS:
        return {}
    taken = {times[key] for key in colour} - {""}
    return dict.fromkeys((key for key in greys if times[key] not in taken), COLOUR)


def by_size(sizes: Mapping[Key, Size]) -> dict[Key, Shot]:
    """The pictures that are much smaller than an upload's photos: thermal ones by their shape, else previews."""
    pixels = {key: width * height for key, (width, height) in sizes.items()}
    # half of an upload may be thermal, and a few photos larger than the others
    least = max(MIN_PHOTOS, len(pixels) // 3)
    if len(pixels) < least:
        return {}
    usual = sorted(pixels.values(), reverse=True)[least - 1]
    found: dict[Key, Shot] = {}
    for key, (width, height) in sizes.items():
        long_side, short_side = max(width, height), min(width, height)
        thermal = long_side <= MAX_THERMAL_SIDE and abs(long_side / short_side - THERMAL_SHAPE) < 0.01
        if thermal and pixels[key] <= THERMAL_SHARE * usual:
            found[key] = Shot(Kind.THERMAL)
        elif pixels[key] <= PREVIEW_SHARE * usual:
            found[key] = Shot(Kind.PREVIEW)
    return found
