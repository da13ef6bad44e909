"""Match the chosen pairs, each in three steps, and write those that a geometry explains (runs in a child process).

The largest features of two photos are compared exhaustively; their matches give the epipolar geometry; all features are
then matched along its lines. That takes half of the time of an exhaustive comparison (COLMAP's search in an inverted
file). It also separates correct geometries from accidental ones, which only a handful of the remaining features fit.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pycolmap
from numpy.typing import NDArray

from sfm.features import tolerance
from sfm.guided import match_along_lines, matching_lines
from sfm.native import Send
from sfm.nearest import LEARNT_FROM_PHOTOS, Alike, learn_projection, nearest_both_ways, prepare
from sfm.parallel import map_in_order

RANDOM_SEED = 1
SEED_FEATURES = 2048  # features compared exhaustively
MIN_SEED_MATCHES = 8  # matches of those for a geometry to be tried on all features
MAX_ERROR_PIXELS = 4.0  # off the geometry (sfm.features.tolerance), COLMAP's
MIN_MATCHES = 15  # matches in the end, COLMAP's
# RANSAC's trials: if a quarter of the matches is correct, 2,000 draw five correct ones in six of seven cases; COLMAP's
# default of 10,000 is spent on pairs that show different places
MAX_TRIALS = 2000
PHOTOS_IN_MEMORY = 100  # pairs are sorted, so few photos are prepared twice


def match_pairs(database: Path, pairs: Sequence[tuple[str, str]], threads: int, send: Send) -> None:
    """Match pairs of photo names and write each verified pair to `database` at once.

    If the process is ended early, the pairs written so far stay usable. `send` gets the share of pairs done, 0..1.
    """
    pycolmap.logging.minloglevel = int(pycolmap.logging.WARNING)
    with pycolmap.Database.open(database) as opened:
        shelf = _Shelf(opened)

        def match(pair: tuple[str, str]) -> pycolmap.TwoViewGeometry | None:
            first, second = pair
            return match_two(shelf.photo(first), shelf.camera(first), shelf.photo(second), shelf.camera(second))

        for done, (pair, found) in enumerate(zip(pairs, map_in_order(match, pairs, threads), strict=True), start=1):
            if found is not None:
                shelf.write(pair, found)
            send(done / len(pairs))


def match_two(
    first: Alike, first_camera: pycolmap.Camera, second: Alike, second_camera: pycolmap.Camera
) -> pycolmap.TwoViewGeometry | None:
    """The two-view geometry with all its inlier matches, or None if the photos do not show the same place."""
    matches = nearest_both_ways(first.vectors[:SEED_FEATURES], second.vectors[:SEED_FEATURES])
    if len(matches) < MIN_SEED_MATCHES:
        return None
    options = pycolmap.TwoViewGeometryOptions(min_num_inliers=MIN_SEED_MATCHES)
    options.ransac.random_seed = RANDOM_SEED
    options.ransac.max_num_trials = MAX_TRIALS
    long_side = max(second_camera.width, second_camera.height)
    band = options.ransac.max_error = tolerance(MAX_ERROR_PIXELS, long_side)
    geometry = pycolmap.estimate_two_view_geometry(
        first_camera, first.places, second_camera, second.places, matches, options
    )
    if len(geometry.inlier_matches) < MIN_SEED_MATCHES:
        return None
    ways = matching_lines(geometry, first_camera, second_camera, first.places)
    geometry.inlier_matches = match_along_lines(first, second, ways, long_side, band)
    return geometry if len(geometry.inlier_matches) >= MIN_MATCHES else None


def verified_pairs(database: Path) -> list[tuple[str, str]]:
    """The pairs of photo names in `database` whose matches a geometry explains."""
    with pycolmap.Database.open(database) as opened:
        names = {image.image_id: image.name for image in opened.read_all_images()}
        pair_ids, _ = opened.read_two_view_geometries()
    return [
        (names[first], names[second])
        for pair_id in pair_ids
        for first, second in (pycolmap.pair_id_to_image_pair(pair_id),)
    ]


class _Shelf:
    """Thread-safe access to the photos of the database by name."""

    def __init__(self, database: pycolmap.Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._images = {image.name: image for image in database.read_all_images()}
        self._cameras = {camera.camera_id: camera for camera in database.read_all_cameras()}
        names = sorted(self._images)
        learnt_from = names[:: max(len(names) // LEARNT_FROM_PHOTOS, 1)]
        self._projection = learn_projection([self._descriptors(name) for name in learnt_from])
        self.photo = lru_cache(PHOTOS_IN_MEMORY)(self._prepared)

    def camera(self, name: str) -> pycolmap.Camera:
        return self._cameras[self._images[name].camera_id]

    def write(self, pair: tuple[str, str], geometry: pycolmap.TwoViewGeometry) -> None:
        first, second = (self._images[name].image_id for name in pair)
        with self._lock:
            self._database.write_two_view_geometry(first, second, geometry)

    def _prepared(self, name: str) -> Alike:
        with self._lock:
            keypoints = self._database.read_keypoints(self._images[name].image_id)
            descriptors = self._descriptors(name)
        return prepare(keypoints[:, :2].astype(np.float64), descriptors, self._projection)

    def _descriptors(self, name: str) -> NDArray[np.uint8]:
        return np.asarray(self._database.read_descriptors(self._images[name].image_id).data)
