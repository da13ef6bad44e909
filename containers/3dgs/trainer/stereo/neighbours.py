"""Which photos a photo is matched with, and which maps its map is compared with."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from splat.camera import Camera
from trainer.stereo.geometry import Float64, StereoPhoto, ray_angle
from trainer.stereo.settings import StereoSettings

_MIN_SHARED = 8  # points two photos must share to be matched
_CANDIDATES = 24  # photos with most shared points that are looked at closer
_ANGLE_POINTS = 200  # that an angle is the median of
_OVERLAP_POINTS = 20_000  # by which overlap is counted
_UNMATCHED = 0.25  # weight of points that lie in both pictures but were not matched


def choose_sources(photos: Sequence[StereoPhoto], positions: Float64, settings: StereoSettings) -> list[list[int]]:
    """For each photo up to `settings.sources` others, the best first: many shared points, rays at a useful angle."""
    rows = np.concatenate([np.full(len(photo.observed), index) for index, photo in enumerate(photos)])
    columns = np.concatenate([photo.observed for photo in photos])
    shape = (len(photos), len(positions))
    observed = csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)
    shared = (observed @ observed.T).toarray()
    inside = visibility([photo.camera for photo in photos], positions)
    overlap = inside @ inside.T
    chosen = []
    for index, photo in enumerate(photos):
        merit = np.where(shared[index] >= _MIN_SHARED, shared[index], _UNMATCHED * overlap[index])
        merit[index] = 0
        scores = []
        for other in np.argsort(-merit, kind="stable")[:_CANDIDATES]:
            if shared[index, other] >= _MIN_SHARED:
                common = np.intersect1d(photo.observed, photos[other].observed, assume_unique=True)
            else:
                pixels, depths = photos[other].camera.project(positions[photo.observed])
                common = photo.observed[photos[other].camera.contains(pixels, depths)]
            if merit[other] <= 0 or len(common) < _MIN_SHARED:
                continue
            some = positions[common[:: max(1, len(common) // _ANGLE_POINTS)]]
            angle = math.degrees(ray_angle(photo.camera, photos[other].camera, some))
            if settings.min_angle <= angle <= settings.max_angle:
                spread = 5.0 if angle < settings.best_angle else 15.0
                fit = math.exp(-0.5 * ((angle - settings.best_angle) / spread) ** 2)
                scores.append((merit[other] * fit, int(other)))
        scores.sort(reverse=True)
        chosen.append([other for _, other in scores[: settings.sources]])
    return chosen


def choose_checks(
    photos: Sequence[StereoPhoto], positions: Float64, settings: StereoSettings, sources: Sequence[Sequence[int]]
) -> list[list[int]]:
    """For each photo up to `settings.checks` others: its `sources`, which look at it from much the same side, and then
    those which look at what it shows where the others look least.
    """
    inside = visibility([photo.camera for photo in photos], positions)
    overlap = inside @ inside.T
    chosen = []
    for index in range(len(photos)):
        overlapping = overlap[index].copy()
        overlapping[index] = 0
        candidates = np.argsort(-overlapping, kind="stable")[: 3 * settings.checks]
        candidates = np.union1d(candidates[overlapping[candidates] > 0], np.array(sources[index], dtype=np.int64))
        seen = inside[candidates][:, inside[index] > 0]
        taken = [int(place) for place in np.flatnonzero(np.isin(candidates, sources[index]))]
        times = seen[taken].sum(axis=0)
        for _ in range(min(settings.checks, len(candidates)) - len(taken)):
            gain = seen @ (1 / (1 + times))
            gain[taken] = -1
            best = int(np.argmax(gain))
            taken.append(best)
            times += seen[best]
        chosen.append([int(candidates[place]) for place in taken])
    return chosen


def visibility(cameras: Sequence[Camera], positions: Float64) -> NDArray[np.float32]:
    """(cameras, points) 1 where a picture contains a point, of at most 20,000 points evenly through their list."""
    some = positions[:: max(1, math.ceil(len(positions) / _OVERLAP_POINTS))]
    return np.stack([camera.contains(*camera.project(some)).astype(np.float32) for camera in cameras])
