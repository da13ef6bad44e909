"""Prepare the photos' cameras for the page, which computes which photos see a point and where it lies in them.

The page's side is containers/compressor/viewer/src/measure/photos.mjs. Pages are passed on, and file names may contain
names of people and streets. The page therefore contains only numbers, and a digest of each file name, by which it
recognises the owner's own copy of a photo.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splat.camera import View
from splat.quaternions import quaternions_of

_POSITION_DIGITS, _TURN_DIGITS = 4, 7  # a tenth of a millimetre; a thousandth of a pixel of a photo
_DIGEST_DIGITS = 12  # 48 bits: two of 5,000 names are alike once in 20 million flights
_RADIAL = {"SIMPLE_RADIAL", "RADIAL", "RADIAL_FISHEYE"}
_PLAIN = {"SIMPLE_PINHOLE", "PINHOLE"}


@dataclass(frozen=True)
class Lens:
    """The lens of the customer's own photos of `width` by `height` pixels, as one of COLMAP's radial models with two
    terms, which maps undistorted photos to them."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    k1: float
    k2: float
    fisheye: bool


@dataclass(frozen=True)
class Thumbnails:
    """`jpegs`: those of all photos concatenated, without metadata; `sizes`: the bytes of each, 0 if it has none."""

    jpegs: bytes = b""
    sizes: Sequence[int] = ()


@dataclass(frozen=True)
class Photos:
    """`cameras`: width, height, fx, fy, cx, cy of undistorted photos; `views`: what a photo is called in the page, the
    digest of its file's name, index of the camera, centre, and the rotation into the camera as a quaternion xyzw.
    `lens`: None where the photos are of several cameras, or of one that is not known. `thumbnails`: as `views`.
    """

    cameras: Sequence[Sequence[float]] = ()
    views: Sequence[Sequence[Any]] = ()
    lens: Lens | None = None
    thumbnails: Thumbnails = field(default_factory=Thumbnails)

    def as_json(self) -> dict[str, Any]:
        """The JSON object that the page reads."""
        lens = None if self.lens is None else asdict(self.lens)
        return {"cameras": self.cameras, "views": self.views, "lens": lens, "thumbnails": self.thumbnails.sizes}


def photos_of(
    views: Sequence[View], rows: Sequence[Mapping[str, Any]] | None, survey: Mapping[str, Any] | None
) -> Photos:
    """The photos for the page. `rows`, `survey`: contents of photos.json and survey.json, None if the stage did not
    receive them.

    Raises KeyError, TypeError, ValueError or AttributeError if one of them is malformed.
    """
    known = {row["name"]: row for row in rows or ()}
    numbers = _numbers([view.name for view in views])
    cameras: dict[tuple[float, ...], int] = {}
    found = []
    for view, number in zip(views, numbers, strict=True):
        camera, row = view.camera, known.get(view.name, {"original": view.name})
        size = (camera.width, camera.height, *(round(v, 3) for v in (camera.fx, camera.fy, camera.cx, camera.cy)))
        index = cameras.setdefault(size, len(cameras))
        centre = [round(float(value), _POSITION_DIGITS) for value in camera.position]
        turn = [round(float(value), _TURN_DIGITS) for value in _quaternion(camera.rotation)]
        found.append([_label(number, row), _digest(row), index, *centre, *turn])
    return Photos([list(size) for size in cameras], found, _lens_of(survey) if rows else None)


def _numbers(names: Sequence[str]) -> list[int]:
    """The photos' numbers in the stages (photos.json lists the customer's own names for them), or else 1 to N."""
    stems = [PurePosixPath(name).stem for name in names]
    return [int(stem) for stem in stems] if all(map(str.isdecimal, stems)) else list(range(1, len(names) + 1))


def _label(number: int, row: Mapping[str, Any]) -> str:
    return f"{number}, {float(row['seconds']):.1f} s into the film" if row.get("film") else str(number)


def _digest(row: Mapping[str, Any]) -> str:
    """The digest of a customer's file name, as the page computes it; empty for a film's frame, which has no file."""
    if row.get("film"):
        return ""
    name = unicodedata.normalize("NFC", PurePosixPath(str(row["original"])).name).lower()
    return hashlib.sha256(name.encode("utf-8")).hexdigest()[:_DIGEST_DIGITS]


def _lens_of(survey: Mapping[str, Any] | None) -> Lens | None:
    cameras = (survey or {}).get("cameras") or []
    if len(cameras) != 1:
        return None
    (camera,) = cameras
    kind, found = camera["kind"], camera["parameters"]
    if kind not in _RADIAL | _PLAIN:
        return None
    fx, fy = (float(found[name] if name in found else found["f"]) for name in ("fx", "fy"))
    k1 = float(found.get("k1", found.get("k", 0.0)))
    return Lens(
        int(camera["width"]), int(camera["height"]), fx, fy, float(found["cx"]), float(found["cy"]),
        k1, float(found.get("k2", 0.0)), "FISHEYE" in kind,
    )  # fmt: skip


def _quaternion(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """xyzw of a rotation matrix (3, 3), w not negative."""
    w, *xyz = quaternions_of(rotation[None])[0]
    return np.array([*xyz, w]) * (1 if w >= 0 else -1)
