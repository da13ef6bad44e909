"""Choose the views from which a splat is judged: those of photos, or from all round without photos, and from nearby.

Users of the viewer move closer than the photographer did and see larger pictures than a preview. A file that is judged
only from a distance is rounded for that distance: uploaded objects that had 50 dB at 480 pixels had only 34 dB at half
the distance and 960 pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from compressor.framing import FIELD_OF_VIEW, Framing, solid
from splat.camera import Camera, View, look_at
from splat.gaussians import Gaussians
from splat.sampling import evenly

_MEASURED_PIXELS = 960  # along the longer side
_MEASURED_VIEWS = 6  # number of held-out cameras
_MEASURED_AROUND = 9  # number of cameras if there are no photos
# Sensitivities are measured on smaller pictures, and on still smaller ones from nearby, which show the same detail: the
# cost is that of drawing them, and calibration corrects the difference.
_EXPLORED_PIXELS, _EXPLORED_NEARBY = 480, 320
MAX_EXPLORED = 36
_NEAR_EVERY = 3  # one of this many cameras is moved nearer
_NEAR_OF_PHOTOS = 0.5  # of a photo's distance to what is in its centre
_NEAR_ROUND = 0.4  # of the distance at which the whole scene fits into the picture
_INSIDE_EVERY = 9  # one of this many cameras all round is placed inside, looking out
_ROOM = 0.1  # relative to that distance: the free space needed around a place inside
_INNER = (25.0, 75.0)  # percentiles of the positions between which such a place is sought
_PLACES = 7  # candidates along each axis
_RISES = (0.0, 15.0, -12.0)  # degrees relative to the framing's elevation
_MAX_POINTS = 20_000
_MIDDLE = 0.2  # of the picture, to both sides of its centre: a camera's distance is measured to what is there

Float64 = NDArray[np.float64]


def measuring_cameras(gaussians: Gaussians, views: Sequence[View], framing: Framing) -> list[Camera]:
    """The cameras from which files are judged: held-out cameras, otherwise training cameras, every third at half its
    distance. Without photos: cameras all round, every third at 0.4 of the distance, and cameras inside the scene.
    """
    held_out = [view.camera for view in views if view.split == "test"] or [view.camera for view in views]
    if held_out:
        return _of_photos(gaussians, evenly(held_out, _MEASURED_VIEWS), lambda _longer, _near: _MEASURED_PIXELS)
    return _all_round(gaussians, framing, _MEASURED_AROUND, _MEASURED_PIXELS, _MEASURED_PIXELS)


def exploring_cameras(
    gaussians: Gaussians, views: Sequence[View], framing: Framing, limit: int = MAX_EXPLORED
) -> list[Camera]:
    """The cameras for sensitivities and fits: two thirds training cameras and one third all round, with the same shares
    nearby and inside as in `measuring_cameras`. Held-out cameras are not used.
    """
    count = min(limit, MAX_EXPLORED)
    around = math.ceil(count / 3)
    training = evenly([view.camera for view in views if view.split == "train"], count - around)
    if not training:
        return _all_round(gaussians, framing, count, _EXPLORED_PIXELS, _EXPLORED_NEARBY)
    near = _of_photos(
        gaussians, training, lambda longer, near: min(longer, _EXPLORED_NEARBY if near else _EXPLORED_PIXELS)
    )
    return _interleaved(near, _orbit(framing, around, _EXPLORED_PIXELS))


def _solid_points(gaussians: Gaussians) -> Float64:
    points = gaussians.means[solid(gaussians)].astype(np.float64)
    return np.asarray(points[:: math.ceil(len(points) / _MAX_POINTS)])


def _of_photos(gaussians: Gaussians, cameras: Sequence[Camera], pixels: Callable[[int, bool], int]) -> list[Camera]:
    """`cameras`, every third moved towards what it sees; `pixels`: returns the longer side of a picture from that of
    the photo and whether the camera was moved."""
    points, found = _solid_points(gaussians), []
    for number, camera in enumerate(cameras):
        near, longer = number % _NEAR_EVERY == _NEAR_EVERY // 2, max(camera.width, camera.height)
        scaled = camera.scaled(pixels(longer, near) / longer)
        found.append(_nearer(scaled, points) if near else scaled)
    return found


def _nearer(camera: Camera, points: Float64) -> Camera:
    """`camera` moved along its axis to half of its distance from the `points` (N, 3) in the middle of its picture."""
    pixels, depths = camera.project(points)
    place = pixels / (camera.width, camera.height)
    middle = (depths > 0) & (np.abs(place - 0.5) < _MIDDLE).all(axis=1)
    if not middle.any():
        return camera
    moved = camera.world_to_camera.copy()
    moved[2, 3] -= (1 - _NEAR_OF_PHOTOS) * float(np.median(depths[middle]))
    return replace(camera, world_to_camera=moved)


def _all_round(gaussians: Gaussians, framing: Framing, count: int, pixels: int, nearby: int) -> list[Camera]:
    """Cameras all round; `pixels`: longer side of the pictures, `nearby`: that of those from nearby and from inside."""
    cameras, inside = _orbit(framing, count, pixels), _roomy_place(gaussians, framing)
    near = replace(framing, radius=_NEAR_ROUND * framing.radius)
    for number, turn in enumerate(framing.turns(count)):
        if inside is not None and number % _INSIDE_EVERY == _INSIDE_EVERY - 1:
            cameras[number] = _outwards(inside, framing, turn, nearby)
        elif number % _NEAR_EVERY == _NEAR_EVERY // 2:
            rise = framing.elevation + _RISES[number // _NEAR_EVERY % len(_RISES)]
            cameras[number] = near.camera(turn, nearby, nearby * 3 // 4, rise)
    return cameras


def _roomy_place(gaussians: Gaussians, framing: Framing) -> Float64 | None:
    """The place (3,) within the splat with the most free space around it; None if there is little space anywhere."""
    points = _solid_points(gaussians)
    low, high = np.percentile(points, _INNER, axis=0)
    shares = np.stack(np.meshgrid(*[np.linspace(0, 1, _PLACES)] * 3), axis=-1).reshape(-1, 3)
    places = low + shares * (high - low)
    room = np.array([np.square(points - place).sum(axis=1).min() for place in places])
    best = int(room.argmax())
    return places[best] if room[best] >= (_ROOM * framing.radius) ** 2 else None


def _orbit(framing: Framing, count: int, pixels: int) -> list[Camera]:
    return [
        framing.camera(turn, pixels, pixels * 3 // 4, framing.elevation + _RISES[number % len(_RISES)])
        for number, turn in enumerate(framing.turns(count))
    ]


def _outwards(eye: Float64, framing: Framing, turn: float, pixels: int) -> Camera:
    """A camera at `eye` that looks level in the azimuth `turn` degrees from the framing's."""
    width, height = pixels, pixels * 3 // 4
    ahead = eye + framing.camera(turn, width, height, 0.0).position - framing.target
    return look_at(eye, ahead, framing.up, width=width, height=height, field_of_view=FIELD_OF_VIEW)


def _interleaved(some: list[Camera], others: list[Camera]) -> list[Camera]:
    placed = [((i + 0.5) / len(cameras), camera) for cameras in (some, others) for i, camera in enumerate(cameras)]
    return [camera for _, camera in sorted(placed, key=lambda pair: pair[0])]
