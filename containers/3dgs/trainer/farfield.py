"""The far field: beyond the photographed part, what no known point is near lies no higher than scenery usually does.

Oblique photos show far ground for which no two of them give a depth. Gaussians trained for it look right along one
photo's rays at any distance; if they are too near, they hang in the air in front of a camera that looks back from
there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from splat.camera import Camera
from splat.surroundings import Surroundings, over_polygon
from trainer.dataset import Frame
from trainer.optimise import Splats

MAX_DISTANCE = 20.0  # viewing distances from a camera: the limit for rays that meet nothing (hills and sky)
_CEILING = 99.5  # percentile of the sparse points' heights; hills that were triangulated count as scenery, too
_LEVEL = 75.0  # the same where no point is known: in a wood the treetops, on a meadow with a house the meadow
_KNOWN = 0.05  # of the distance from the camera: as near as that to a known point, a height is no guess
_ROOM = 1e-5  # viewing distances above a height that float32 may round to

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class FarField:
    """In the frame of training: the unit vector `up`; the height up to which scenery stands and the one at which it
    usually lies; the corners (N, 3) of the photographed part, convex and counterclockwise seen from above; and the
    points (P, 3) whose heights are known, from sparse reconstruction or stereo.
    """

    up: Float64
    ceiling: float
    level: float
    corners: Float64
    points: Float64

    @classmethod
    def of(cls, surroundings: Surroundings, points: Float64, frame: Frame) -> Self:
        """Of a scene with these `surroundings` and sparse `points` (P, 3) in the world."""
        up, known = surroundings.up, frame.points(points)
        level, highest = np.percentile(known @ up, (_LEVEL, _CEILING)).tolist()
        ceiling = max((surroundings.ceiling - float(frame.centre @ up)) / frame.scale, highest)
        return cls(up, ceiling, level, frame.points(surroundings.footprint), known)

    def knowing(self, points: Float64) -> Self:
        """The same with more `points` (M, 3) whose heights are known."""
        return replace(self, points=np.concatenate([self.points, points]))

    @cached_property
    def _known(self) -> cKDTree:
        return cKDTree(self.points)

    def beside(self, points: Float64) -> NDArray[np.bool_]:
        """(M,) which of the `points` (M, 3) lie beside the photographed part, higher than scenery usually does."""
        found = points @ self.up > self.level + _ROOM
        found[found] = ~over_polygon(points[found], self.corners, self.up)
        return found

    def limits(self, points: Float64, eyes: Float64) -> Float64:
        """(M,) how high `points` (M, 3) that the `eyes` (M, 3) see may be."""
        limits = np.full(len(points), self.ceiling)
        rows = np.flatnonzero(self.beside(points))
        distance, _ = self._known.query(points[rows])
        guessed = distance > _KNOWN * np.linalg.norm(points[rows] - eyes[rows], axis=1)
        limits[rows[guessed]] = self.level
        return limits

    def factors(self, points: Float64, eyes: Float64) -> Float64:
        """(M,) factors for the distances from `eyes` (M, 3) that lower `points` (M, 3) to their limits; 1 for points
        already within them. No point moves beyond MAX_DISTANCE, which those move to that no factor lowers enough.
        """
        heights, above, limits = points @ self.up, eyes @ self.up, self.limits(points, eyes)
        away = np.linalg.norm(points - eyes, axis=1)
        most = np.maximum(1.0, MAX_DISTANCE / np.maximum(away, 1e-9))
        down = np.maximum(above - heights, 1e-9) / np.maximum(above - limits, 1e-9)
        falls = (heights < above) & (limits < above)
        wanted = np.where(falls, np.minimum(1 / down, most), most)
        return np.where(heights > limits + _ROOM, wanted, 1.0)

    def carry_out(self, splats: Splats, cameras: Sequence[Camera]) -> None:
        """Move those of the `splats` that are too high beside the photographed part along the ray of the nearest of the
        `cameras` that sees them, and enlarge them by as much, so that its picture stays as it is.
        """
        means, scales = splats["means"], splats["scales"]
        positions = means.cpu().numpy().astype(np.float64)
        rows = np.flatnonzero(self.beside(positions))
        eyes, seen = nearest_eyes(positions[rows], cameras)
        rows, eyes = rows[seen], eyes[seen]
        points = positions[rows]
        factors = self.factors(points, eyes)
        moved = eyes + factors[:, None] * (points - eyes)
        which = torch.from_numpy(rows).to(means.device)
        means[which] = torch.from_numpy(moved.astype(np.float32)).to(means.device)
        scales[which] += torch.from_numpy(np.log(factors).astype(np.float32)).to(means.device)[:, None]


def nearest_eyes(points: Float64, cameras: Sequence[Camera]) -> tuple[Float64, NDArray[np.bool_]]:
    """(M, 3) for each of the `points` (M, 3) the position of the nearest camera that has it in its picture, and which
    (M,) any camera has.
    """
    eyes, nearest = np.zeros_like(points), np.full(len(points), np.inf)
    for camera in cameras:
        away = np.linalg.norm(points - camera.position, axis=1)
        better = camera.contains(*camera.project(points)) & (away < nearest)
        nearest[better], eyes[better] = away[better], camera.position
    return eyes, np.isfinite(nearest)
