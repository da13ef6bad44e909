"""A sparse model as arrays, for dividing it into blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pycolmap
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]


@dataclass(frozen=True)
class Flight:
    """A sparse model as arrays. Photos are in order of their names.

    sizes: (P, 2) width and height, pixels; centres: (P, 3) of the cameras; footprint: the ground that a photo shows
    across, median, in the scene's units; identifiers (N,) and positions (N, 3) of the points. An observation (T,) is of
    the point `points`, in the photo `photos`, at `pixels` (T, 2); they are in order of photos.
    """

    names: list[str]
    sizes: NDArray[np.int64]
    centres: Float64
    footprint: float
    identifiers: NDArray[np.int64]
    positions: Float64
    points: NDArray[np.int64]
    photos: NDArray[np.int64]
    pixels: Float64

    def shown(self, chosen: Bool) -> NDArray[np.int64]:
        """(P,) how many of the `chosen` points (N,) each photo sees."""
        return np.bincount(self.photos[chosen[self.points]], minlength=len(self.names))


def flight_of(model: pycolmap.Reconstruction) -> Flight:
    """The arrays of an undistorted model, without observations that undistortion has cut off the pictures."""
    identifiers = np.array(sorted(model.points3D), dtype=np.int64)
    positions = np.array([model.point3D(int(i)).xyz for i in identifiers]).reshape(-1, 3)
    images = sorted((image for image in model.images.values() if image.has_pose), key=lambda image: image.name)
    sizes, centres, widths, points, photos, pixels = [], [], [], [], [], []
    for number, image in enumerate(images):
        camera = model.camera(image.camera_id)
        size = camera.width, camera.height
        observed = [point for point in image.points2D if point.has_point3D() and _is_inside(point.xy, size)]
        rows = np.searchsorted(identifiers, [point.point3D_id for point in observed]).astype(np.int64)
        pose = np.asarray(image.cam_from_world().matrix())
        if len(rows):
            depth = float(np.median(positions[rows] @ pose[2, :3] + pose[2, 3]))
            widths.append(camera.width / camera.focal_length_x * depth)
        sizes.append(size)
        centres.append(-pose[:, :3].T @ pose[:, 3])
        points.append(rows)
        photos.append(np.full(len(rows), number))
        pixels.append(np.array([point.xy for point in observed]).reshape(-1, 2))
    return Flight(
        [image.name for image in images],
        np.array(sizes),
        np.array(centres),
        float(np.median(widths)),
        identifiers,
        positions,
        np.concatenate(points),
        np.concatenate(photos),
        np.concatenate(pixels),
    )


def _is_inside(pixel: Float64, size: tuple[int, int]) -> bool:
    return bool(0 <= pixel[0] < size[0] and 0 <= pixel[1] < size[1])
