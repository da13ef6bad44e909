"""How many training photos see each place in a photo: where a splat can be right, and where it has to guess.

The depth of a place is taken from the sparse points around it in the picture; occlusion is not considered.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from splat.camera import Camera

WELL_SEEN = 3  # photos that must see a place so that its shape can be determined
_STRIDE = 4  # pixels between the places looked at
_NEIGHBOURS = 5  # points whose median depth a place gets


def views_of_pixels(camera: Camera, others: Sequence[Camera], positions: NDArray[np.float64]) -> NDArray[np.int64]:
    """For each pixel of `camera`, how many of the cameras `others` also see that place, (height, width).

    `positions` (P, 3): points of the scene, in the cameras' frame. 0 everywhere where none is in the picture.
    """
    pixels, depths = camera.project(positions)
    inside = camera.contains(pixels, depths)
    rows, columns = np.mgrid[: camera.height : _STRIDE, : camera.width : _STRIDE]
    if not inside.any():
        return np.zeros((camera.height, camera.width), dtype=np.int64)
    places = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1)
    count = min(_NEIGHBOURS, int(inside.sum()))
    _, nearest = cKDTree(pixels[inside]).query(places, k=count)
    depth = np.median(depths[inside][nearest].reshape(len(places), count), axis=1)
    world = camera.unproject(places, depth)
    views = np.zeros(len(places), dtype=np.int64)
    for other, may_see in zip(others, _may_see(others, world), strict=True):
        if may_see:
            there, far = other.project(world)
            views += other.contains(there, far)
    whole = views.reshape(rows.shape).repeat(_STRIDE, axis=0).repeat(_STRIDE, axis=1)
    return whole[: camera.height, : camera.width]


def _may_see(cameras: Sequence[Camera], places: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) which cameras have the ball around all `places` (P, 3) in view at least in part; hardly any of a large
    flight's."""
    if not cameras:
        return np.zeros(0, dtype=np.bool_)
    centre = places.mean(axis=0)
    radius = 1.001 * float(np.linalg.norm(places - centre, axis=1).max()) + 1e-9
    x, y, z = np.array([camera.rotation @ centre + camera.translation for camera in cameras]).T
    fx, fy, cx, cy, width, height = np.array([(c.fx, c.fy, c.cx, c.cy, c.width, c.height) for c in cameras]).T
    reach = z
    for focal, across, middle, end in ((fx, x, cx, width), (fy, y, cy, height)):
        for slope, along in ((middle, across), (end - middle, -across)):  # distances from the sides of the picture
            reach = np.minimum(reach, (focal * along + slope * z) / np.hypot(focal, slope))
    return np.asarray(reach >= -radius)
