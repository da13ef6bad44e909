"""COLMAP's cameras with distortion, and the photos that pinhole cameras in their place would have taken.

https://colmap.github.io/cameras.html, as OpenCV defines the same terms: radial ones, tangential ones and, for fisheyes,
those in the angle to the optical axis (Kannala & Brandt 2006).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numba import prange
from numpy.typing import NDArray

from splat.camera import Camera
from splat.kernels import Scalar, kernel, parallel_kernel

_FISHEYES = (5, 8, 9)
_RADIAL_TERMS, _DENOMINATOR_TERMS = 4, 3  # at most
# in the packed form: radial terms, those of the denominator, tangential ones, and these two
_FISHEYE, _REACH = 9, 10
_STEP, _MAX_ZOOM = 1.02, 3.0
_SAMPLES = 4096
_MAX_RADIUS = 100.0  # tangent of the angle to the axis: within half a degree of a right angle

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Distortion:
    """A camera's distortion, in units of its focal length about its principal point.

    `radial`: factors of even powers of the radius, or of the angle where `fisheye`; `denominator` the same of what the
    polynomial is divided by.
    """

    fisheye: bool
    radial: tuple[float, ...]
    tangential: tuple[float, float] = (0.0, 0.0)
    denominator: tuple[float, ...] = ()

    @classmethod
    def of(cls, model: int, terms: list[float]) -> Distortion | None:
        """Of COLMAP's model and its terms, None where it distorts nothing. A fisheye lens without terms is equidistant:
        its picture is no pinhole's."""
        if not any(terms) and model not in _FISHEYES:
            return None
        if model in (4, 6):
            k1, k2, p1, p2, *more = terms
            return cls(False, (k1, k2, *more[:1]), (p1, p2), tuple(more[1:]))
        return cls(model in _FISHEYES, tuple(terms))

    def applied(self, rays: Vector) -> Vector:
        """Where ideal places (N, 2) show in the distorted picture; NaN where it shows no such ray."""
        placed = np.empty_like(rays)
        _apply(self.packed, rays, placed)
        return placed

    @cached_property
    def packed(self) -> Vector:
        """(11,) as the kernels take it: what the fields say, and the ideal radius up to which the distorted one grows.

        A polynomial folds back where it stops growing: what lies beyond would be shown twice.
        """
        radial = np.pad(self.radial, (0, _RADIAL_TERMS - len(self.radial)))
        denominator = np.pad(self.denominator, (0, _DENOMINATOR_TERMS - len(self.denominator)))
        numbers = np.concatenate([radial, denominator, self.tangential, [float(self.fisheye), _MAX_RADIUS]])
        radii = np.tan(np.linspace(0, np.arctan(_MAX_RADIUS), _SAMPLES))
        distorted = np.empty((_SAMPLES, 2))
        _apply(np.concatenate([numbers[:7], [0.0, 0.0], numbers[9:]]), np.stack([radii, 0 * radii], axis=1), distorted)
        stops = np.flatnonzero(~(np.diff(distorted[:, 0]) > 0))
        numbers[_REACH] = radii[stops[0]] if len(stops) else _MAX_RADIUS
        return np.asarray(numbers, dtype=np.float64)


def pinhole_in_place(camera: Camera, distortion: Distortion) -> Camera:
    """The pinhole of the same size whose picture lies within the distorted photo, zoomed in as little as possible.

    Raises ValueError where there is none, because the photo shows too little around its principal point.
    """
    across, down = np.linspace(0, camera.width, 65), np.linspace(0, camera.height, 65)
    border = np.concatenate(
        [np.stack(np.broadcast_arrays(x, y), axis=1) for x, y in
         ((across, 0.0), (across, camera.height), (0.0, down), (camera.width, down))]
    )  # fmt: skip
    zoom = 1.0
    while zoom < _MAX_ZOOM:
        zoomed = replace(camera, fx=camera.fx * zoom, fy=camera.fy * zoom)
        places = _source_places(border, zoomed, camera, distortion)
        with np.errstate(invalid="ignore"):
            if ((places >= -0.5) & (places <= (camera.width + 0.5, camera.height + 0.5))).all():
                return zoomed
        zoom *= _STEP
    raise ValueError("its distortion leaves no picture that a pinhole could take")


def undistorted(
    picture: NDArray[np.uint8], pinhole: Camera, camera: Camera, distortion: Distortion
) -> NDArray[np.uint8]:
    """The picture (height, width) or (height, width, 3) that `pinhole` takes of what `camera` shows, bilinear.

    `camera` has the picture's size, and `pinhole` as well.
    """
    height, width = picture.shape[:2]
    channels = np.ascontiguousarray(picture.reshape(height, width, -1))
    out = np.empty_like(channels)
    _sample(channels, _intrinsics(pinhole), _intrinsics(camera), distortion.packed, out)
    return np.asarray(out.reshape(picture.shape))


def _intrinsics(camera: Camera) -> Vector:
    return np.array([camera.fx, camera.fy, camera.cx, camera.cy], dtype=np.float64)


def _source_places(pixels: Vector, pinhole: Camera, camera: Camera, distortion: Distortion) -> Vector:
    """Pixels (N, 2) of the distorted photo that show what the pinhole's pixels see."""
    rays = (pixels - (pinhole.cx, pinhole.cy)) / (pinhole.fx, pinhole.fy)
    return np.asarray(distortion.applied(rays) * (camera.fx, camera.fy) + (camera.cx, camera.cy))


@kernel
def _place(x: Scalar, y: Scalar, p: Vector) -> tuple[Scalar, Scalar]:
    """Where the ideal place appears in the distorted picture; NaN if it does not appear."""
    square = x * x + y * y
    radius = np.sqrt(square)
    if not radius <= p[_REACH]:
        return np.nan, np.nan
    base = np.arctan(radius) if p[_FISHEYE] > 0 else radius
    s = base * base
    up = 1 + s * (p[0] + s * (p[1] + s * (p[2] + s * p[3])))
    down = 1 + s * (p[4] + s * (p[5] + s * p[6]))
    stretch = base / max(radius, 1e-12) * up / down if radius > 1e-12 else 1.0
    p1, p2 = p[7], p[8]
    return (
        x * stretch + 2 * p1 * x * y + p2 * (square + 2 * x * x),
        y * stretch + 2 * p2 * x * y + p1 * (square + 2 * y * y),
    )


@kernel
def _apply(p: Vector, rays: Vector, placed: Vector) -> None:
    for i in range(rays.shape[0]):
        placed[i, 0], placed[i, 1] = _place(rays[i, 0], rays[i, 1], p)


@parallel_kernel
def _sample(picture: NDArray[np.uint8], pinhole: Vector, camera: Vector, p: Vector, out: NDArray[np.uint8]) -> None:
    """Bilinear; outside the photo, its border is continued."""
    height, width, channels = picture.shape
    for row in prange(height):
        for column in range(width):
            x, y = _place((column + 0.5 - pinhole[2]) / pinhole[0], (row + 0.5 - pinhole[3]) / pinhole[1], p)
            x = min(max(x * camera[0] + camera[2] - 0.5, 0.0), width - 1.0) if x == x else 0.0
            y = min(max(y * camera[1] + camera[3] - 0.5, 0.0), height - 1.0) if y == y else 0.0
            left, top = min(int(x), width - 2), min(int(y), height - 2)
            across, down = x - left, y - top
            for c in range(channels):
                upper = picture[top, left, c] * (1 - across) + picture[top, left + 1, c] * across
                lower = picture[top + 1, left, c] * (1 - across) + picture[top + 1, left + 1, c] * across
                out[row, column, c] = np.uint8(np.rint(upper * (1 - down) + lower * down))
