"""Count the photos that see each part of the ground, which decides how well it can be reconstructed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pycolmap
from numpy.typing import NDArray

Vector = NDArray[np.float64]

CELLS = 400  # of the map's longer side
VIEW_PERCENTILES = (1, 99)  # of the points: outliers would shrink the scene to a dot
# rays nearer to the horizon than this many degrees meet the ground out of sight
MIN_RAY_DEGREES = 10.0
BORDER_POINTS = 8  # of each side of the picture
ENOUGH = 3  # photos that a place needs


@dataclass(frozen=True)
class OverlapMap:
    """`counts` (rows, columns), row 0 in the north: photos that see each square of `cell` units at ground height.

    `west`, `north` are the map's corner in model units; `seen`: the squares that at least one photo sees.
    """

    counts: NDArray[np.int32]
    west: float
    north: float
    cell: float

    @property
    def seen(self) -> NDArray[np.bool_]:
        return np.asarray(self.counts > 0)

    @property
    def mean(self) -> float:
        """Photos per seen square."""
        return float(self.counts[self.seen].mean()) if self.seen.any() else 0.0

    @property
    def enough_share(self) -> float:
        """Share of the seen ground that ENOUGH photos see."""
        return float((self.counts >= ENOUGH).sum() / max(int(self.seen.sum()), 1))


def overlap_map(model: pycolmap.Reconstruction) -> OverlapMap:
    """Footprints of the registered photos on the plane z = 0 of a levelled `model` (its median point height)."""
    points = np.array([point.xyz for point in model.points3D.values()], dtype=np.float64).reshape(-1, 3)
    cameras = np.array([image.projection_center()[:2] for image in model.images.values() if image.has_pose])
    low, high = np.percentile(points[:, :2], VIEW_PERCENTILES, axis=0)
    low, high = np.minimum(low, cameras.min(axis=0)), np.maximum(high, cameras.max(axis=0))
    cell = float(max((high - low).max(), 1e-9)) / CELLS
    columns, rows = (max(int(np.ceil(side / cell)), 1) for side in high - low)
    counts = np.zeros((rows, columns), np.int32)
    for image in model.images.values():
        if image.has_pose:
            corners = footprint(image, model.camera(image.camera_id))
            if corners is not None:
                mask = np.zeros((rows, columns), np.uint8)
                # far corners of oblique photos would overflow OpenCV's 16-bit clipping
                pixels = np.clip(np.column_stack([corners[:, 0] - low[0], high[1] - corners[:, 1]]) / cell, -1e4, 1e4)
                cv2.fillPoly(mask, [np.round(pixels).astype(np.int32)], 1)
                counts += mask
    return OverlapMap(counts, float(low[0]), float(high[1]), cell)


def footprint(image: pycolmap.Image, camera: pycolmap.Camera) -> Vector | None:
    """Outline (N, 2) of a photo on the plane z = 0, or None if the photo does not look down at the ground."""
    along = np.linspace(0, 1, BORDER_POINTS, endpoint=False)
    border = np.concatenate(
        [
            np.column_stack([along, np.zeros_like(along)]),
            np.column_stack([np.ones_like(along), along]),
            np.column_stack([1 - along, np.ones_like(along)]),
            np.column_stack([np.zeros_like(along), 1 - along]),
        ]
    ) * [camera.width, camera.height]
    plane = camera.cam_from_img(border).reshape(-1, 2)
    pose = image.cam_from_world()
    rays = np.column_stack([plane, np.ones(len(plane))]) @ pose.rotation.matrix()
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    centre = image.projection_center()
    # what lies beyond the lowest ray is cut off there, in the direction in which it lies
    steep = -np.sin(np.deg2rad(MIN_RAY_DEGREES))
    if centre[2] <= 0 or rays[:, 2].min() > steep:
        return None
    down = np.minimum(rays[:, 2], steep)
    return np.asarray(centre[:2] - rays[:, :2] * (centre[2] / down)[:, None], dtype=np.float64)
