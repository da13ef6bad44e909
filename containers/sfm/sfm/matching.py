"""Match the chosen pairs, each in three steps, and write those that a geometry explains (runs in a child process).

The largest features of two photos are compared all with all; what matches gives the epipolar geometry; along its lines
all features are matched. That takes half of the time of comparing all with all (COLMAP's search in an inverted file),
and whether the rest of the features agrees tells right geometries from accidents: of a pair that fits by chance, a
handful of further features does.
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
LARGEST = 2048  # features compared all with all
FEWEST_AT_FIRST = 8  # matches that a geometry is worth a second look from
MOST_PIXELS = 4.0  # off the geometry (sfm.features.tolerance), COLMAP's
FEWEST = 15  # matches in the end, COLMAP's
# RANSAC's trials: where a quarter of the matches is right, 2,000 find five right ones in six cases of seven; the 10,000
# of COLMAP's defaults are spent on pairs that show different places
MOST_TRIALS = 2000
PHOTOS_IN_MEMORY = 100  # pairs are sorted and neighbours near, so that few photos are prepared twice


def match_pairs(database: Path, pairs: Sequence[tuple[str, str]], threads: int, send: Send) -> None:
    """Match pairs of photo names into `database`; what is there when the process is ended stays usable.

    `send` gets the share of pairs done, 0..1.
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
    """The geometry of two photos with all matches that follow it, or None where they do not show the same."""
    matches = nearest_both_ways(first.vectors[:LARGEST], second.vectors[:LARGEST])
    if len(matches) < FEWEST_AT_FIRST:
        return None
    options = pycolmap.TwoViewGeometryOptions(min_num_inliers=FEWEST_AT_FIRST)
    options.ransac.random_seed = RANDOM_SEED
    options.ransac.max_num_trials = MOST_TRIALS
    long_side = max(second_camera.width, second_camera.height)
    band = options.ransac.max_error = tolerance(MOST_PIXELS, long_side)
    geometry = pycolmap.estimate_two_view_geometry(
        first_camera, first.places, second_camera, second.places, matches, options
    )
    if len(geometry.inlier_matches) < FEWEST_AT_FIRST:
        return None
    ways = matching_lines(geometry, first_camera, second_camera, first.places)
    geometry.inlier_matches = match_along_lines(first, second, ways, long_side, band)
    return geometry if len(geometry.inlier_matches) >= FEWEST else None


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
    """What the database holds of photos, by name, from any thread."""

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
