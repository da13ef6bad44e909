"""COLMAP's distorting cameras, and the photos that pinholes in their place would have taken.

https://colmap.github.io/cameras.html, as OpenCV defines the same terms: radial ones, tangential ones and, for fisheyes,
those in the angle to the optical axis (Kannala & Brandt 2006).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from splat.camera import Camera

# model id and name → (number of focal lengths, number of terms)
PINHOLES = {0: ("SIMPLE_PINHOLE", 1, 0), 1: ("PINHOLE", 2, 0)}
DISTORTING = {
    2: ("SIMPLE_RADIAL", 1, 1),
    3: ("RADIAL", 1, 2),
    4: ("OPENCV", 2, 4),
    5: ("OPENCV_FISHEYE", 2, 4),
    6: ("FULL_OPENCV", 2, 8),
    8: ("SIMPLE_RADIAL_FISHEYE", 1, 1),
    9: ("RADIAL_FISHEYE", 1, 2),
}
MODELS = {**PINHOLES, **DISTORTING}
_FISHEYES = (5, 8, 9)
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
        """Of COLMAP's model and its terms, None where it distorts nothing."""
        if not any(terms):
            return None
        if model in (4, 6):
            k1, k2, p1, p2, *more = terms
            return cls(False, (k1, k2, *more[:1]), (p1, p2), tuple(more[1:]))
        return cls(model in _FISHEYES, tuple(terms))

    def applied(self, rays: Vector) -> Vector:
        """Where ideal places (N, 2) show in the distorted picture; NaN where it shows no such ray."""
        radii = np.linalg.norm(rays, axis=1)
        stretch = np.where(radii > 1e-12, self._radius(radii) / np.maximum(radii, 1e-12), 1.0)
        x, y = rays.T
        p1, p2 = self.tangential
        square = radii**2
        aside = np.stack([2 * p1 * x * y + p2 * (square + 2 * x**2), 2 * p2 * x * y + p1 * (square + 2 * y**2)], axis=1)
        placed = rays * stretch[:, None] + aside
        # a polynomial folds back where it stops growing: what lies beyond would be shown twice
        placed[radii > self._reach()] = np.nan
        return np.asarray(placed)

    def _radius(self, radii: Vector) -> Vector:
        base = np.arctan(radii) if self.fisheye else radii
        square = base**2
        up = 1 + sum(k * square ** (i + 1) for i, k in enumerate(self.radial))
        down = 1 + sum(k * square ** (i + 1) for i, k in enumerate(self.denominator))
        return np.asarray(base * up / down, dtype=np.float64)

    def _reach(self) -> float:
        """The ideal radius up to which the distorted one grows."""
        radii = np.tan(np.linspace(0, np.arctan(_MAX_RADIUS), _SAMPLES))
        stops = np.flatnonzero(~(np.diff(self._radius(radii)) > 0))
        return float(radii[stops[0]]) if len(stops) else _MAX_RADIUS


def pinhole_in_place(camera: Camera, distortion: Distortion) -> Camera:
    """The pinhole of the same size whose whole picture the distorted photo shows: zoomed in no more than need be.

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
    channels = picture.reshape(height, width, -1).astype(np.float32)
    out = np.empty_like(picture.reshape(height, width, -1))
    columns = np.arange(width) + 0.5
    for row in range(height):
        pixels = np.stack([columns, np.full(width, row + 0.5)], axis=1)
        places = np.nan_to_num(_source_places(pixels, pinhole, camera, distortion), nan=-1.0) - 0.5
        x, y = np.clip(places[:, 0], 0, width - 1), np.clip(places[:, 1], 0, height - 1)
        left, top = np.minimum(x.astype(np.int64), width - 2), np.minimum(y.astype(np.int64), height - 2)
        across, down = (x - left)[:, None].astype(np.float32), (y - top)[:, None].astype(np.float32)
        upper = channels[top, left] * (1 - across) + channels[top, left + 1] * across
        lower = channels[top + 1, left] * (1 - across) + channels[top + 1, left + 1] * across
        out[row] = np.rint(upper * (1 - down) + lower * down)
    return np.asarray(out.reshape(picture.shape))


def _source_places(pixels: Vector, pinhole: Camera, camera: Camera, distortion: Distortion) -> Vector:
    """Pixels (N, 2) of the distorted photo that show what the pinhole's pixels see."""
    rays = (pixels - (pinhole.cx, pinhole.cy)) / (pinhole.fx, pinhole.fy)
    return np.asarray(distortion.applied(rays) * (camera.fx, camera.fy) + (camera.cx, camera.cy))
