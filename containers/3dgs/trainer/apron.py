"""Extend the ground a little beyond the photographed area, so that a view across its edge does not end in black."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_closing, distance_transform_edt
from scipy.spatial import cKDTree

from splat.camera import Camera
from trainer.stereo.geometry import Float64

REACH = 0.25  # viewing distances beyond the rim
CELL = 0.03  # viewing distances a cell
_LOOKS_DOWN = 0.77  # cosine between a camera's axis and straight down: 40 degrees
_MIN_HEIGHT = 0.2  # viewing distances above the ground from which on photos count as a flight
_UNDER = 1.5  # heights of a camera, across, that count as under it
_BESIDE = 48  # points that a cell takes its height and colour from
_LOW = 0.3  # quantile of their heights: the ground, not the tree beside
_MAX_CELLS = 4_000_000


@dataclass(frozen=True)
class Apron:
    """Flat cells: positions (M, 3), colours (M, 3), and the upward normal (3,) of all."""

    positions: Float64
    colours: Float64
    up: Float64


def apron(points: Float64, colours: Float64, cameras: Sequence[Camera]) -> Apron:
    """Cells that continue the ground of `points` (P, 3), in the frame of training, under cameras that look down.

    No cell lies in a camera's picture, so that none hides what a photo shows: in front of oblique cameras, cells would
    look like fog.
    """
    nothing = Apron(np.zeros((0, 3)), np.zeros((0, 3)), np.array([0.0, 0.0, 1.0]))
    if len(points) < _BESIDE or not cameras:
        return nothing
    centre = np.median(points, axis=0)
    away = np.linalg.norm(points - centre, axis=1)
    near = points[away <= 2 * np.median(away)]
    _, _, axes = np.linalg.svd(near[:: max(1, len(near) // 5000)] - near.mean(axis=0), full_matrices=False)
    heights = np.array([(camera.position - near.mean(axis=0)) @ axes[2] for camera in cameras])
    above = float(np.sign(np.median(heights)))
    up, heights = above * axes[2], above * heights
    if (heights < _MIN_HEIGHT).mean() > 0.2:
        return nothing
    kept = away < 3 * np.median(away)
    plan, level = (points[kept] - centre) @ axes[:2].T, (points[kept] - centre) @ up
    cells = _around(plan)
    looking_down = np.array([-camera.rotation[2] @ up > _LOOKS_DOWN for camera in cameras])
    if len(cells) == 0 or not looking_down.any():
        return nothing
    below = np.stack([(camera.position - centre) @ axes[:2].T for camera in cameras])[looking_down]
    distance, nearest = cKDTree(below).query(cells)
    cells = cells[distance <= _UNDER * heights[looking_down][nearest]]
    if len(cells) == 0:
        return nothing
    _, beside = cKDTree(plan).query(cells, k=_BESIDE)
    height = np.quantile(level[beside], _LOW, axis=1)
    positions = centre + cells @ axes[:2] + height[:, None] * up
    unseen = np.ones(len(positions), bool)
    for camera in cameras:
        pixels, depths = camera.project(positions)
        unseen &= ~camera.contains(pixels, depths)
    return Apron(positions[unseen], colours[kept][beside].mean(axis=1)[unseen], up)


def _around(plan: Float64) -> Float64:
    """Middles (M, 2) of the cells within REACH of those that hold points (P, 2), and not among them."""
    where = np.floor(plan / CELL).astype(int)
    margin = int(REACH / CELL) + 2
    low = where.min(axis=0) - margin
    shape = where.max(axis=0) - low + margin + 1
    if int(shape[0]) * int(shape[1]) > _MAX_CELLS:
        return np.zeros((0, 2))
    held: NDArray[np.bool_] = np.zeros(shape, bool)
    held[tuple((where - low).T)] = True
    steps = distance_transform_edt(~binary_closing(held, iterations=2))
    return np.asarray((np.argwhere((steps > 0) & (steps * CELL <= REACH)) + low + 0.5) * CELL)
