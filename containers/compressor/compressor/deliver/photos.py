"""The photos' cameras as the page has them: which photos see a point, and where it lies in them (the page's side:
containers/compressor/viewer/src/measure/photos.mjs)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splat.camera import View
from splat.quaternions import quaternions_of

_POSITION_DIGITS, _TURN_DIGITS = 4, 7  # a tenth of a millimetre; a thousandth of a pixel of a photo
_RADIAL = {"SIMPLE_RADIAL", "RADIAL", "RADIAL_FISHEYE"}
_PLAIN = {"SIMPLE_PINHOLE", "PINHOLE"}


@dataclass(frozen=True)
class Lens:
    """How the customer's own photos, of `width` by `height` pixels, show what the undistorted ones do: COLMAP's radial
    models of two terms."""

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
class Photos:
    """`cameras`: width, height, fx, fy, cx, cy of undistorted photos; `views`: name, index of the camera, centre, and
    the rotation into the camera as a quaternion xyzw. `lens`: None where the photos are of several cameras, or of one
    that is not known."""

    cameras: Sequence[Sequence[float]] = ()
    views: Sequence[Sequence[Any]] = ()
    lens: Lens | None = None

    def as_json(self) -> dict[str, Any]:
        """As the page reads it."""
        lens = None if self.lens is None else asdict(self.lens)
        return {"cameras": self.cameras, "views": self.views, "lens": lens}


def photos_of(
    views: Sequence[View], rows: Sequence[Mapping[str, Any]] | None, survey: Mapping[str, Any] | None
) -> Photos:
    """`rows`, `survey`: contents of photos.json and survey.json, None where the stage did not receive them.

    Raises KeyError, TypeError, ValueError or AttributeError where one is malformed.
    """
    names = {row["name"]: _name_of(row) for row in rows or ()}
    cameras: dict[tuple[float, ...], int] = {}
    found = []
    for view in views:
        camera = view.camera
        size = (camera.width, camera.height, *(round(v, 3) for v in (camera.fx, camera.fy, camera.cx, camera.cy)))
        index = cameras.setdefault(size, len(cameras))
        centre = [round(float(value), _POSITION_DIGITS) for value in camera.position]
        turn = [round(float(value), _TURN_DIGITS) for value in _quaternion(camera.rotation)]
        found.append([names.get(view.name, view.name), index, *centre, *turn])
    return Photos([list(size) for size in cameras], found, _lens_of(survey) if rows else None)


def _name_of(row: Mapping[str, Any]) -> str:
    """As the customer knows it: the file's name, or a film's with the second."""
    name = PurePosixPath(str(row.get("film") or row["original"])).name
    return f"{name}, {float(row['seconds']):.1f} s" if row.get("film") else name


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
