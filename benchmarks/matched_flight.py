"""Make a flight as it is after matching: a database of photos of rolling ground with exact matches, without pictures.

With it, the cost and quality of mapping hundreds of photos can be measured without rendering, features or matching.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pycolmap
from numpy.typing import NDArray

SIZE = (800, 600)
FOCAL, DISTORTION = 640.0, -0.03  # SIMPLE_RADIAL's
EXIF_FOCAL = 600.0  # as far off as a drone's
HEIGHT = 60.0  # metres above ground
POINTS_PER_PHOTO = 220
FORWARD, SIDEWAYS = 0.25, 0.35  # of the footprint, from one photo to the next
NOISE_PIXELS = 0.3
RELIEF = 6.0  # metres
MIN_SHARED = 25  # matches of a pair
NEIGHBOURS = 12


def write_matched_flight(path: Path, count: int, seed: int = 0) -> NDArray[np.float64]:
    """Write the database of `count` photos straight down, in strips; returns their true centres (count, 3).

    The photos are named `0000.jpg` and so on. Each is matched with its NEIGHBOURS nearest.
    """
    rng = np.random.default_rng(seed)
    wide, deep = (HEIGHT * side / FOCAL for side in SIZE)
    columns = max(round(math.sqrt(count * FORWARD * deep / (SIDEWAYS * wide))), 1)
    index = np.arange(count)
    strip, place = index % columns, index // columns
    centres = np.column_stack([strip * SIDEWAYS * wide, place * FORWARD * deep, np.full(count, HEIGHT)])
    centres += rng.normal(0, [1.0, 1.0, 1.5], centres.shape)
    footprint = np.array([wide, deep])
    low, high = centres[:, :2].min(axis=0) - footprint, centres[:, :2].max(axis=0) + footprint
    ground = rng.uniform(low, high, (int(POINTS_PER_PHOTO * np.prod(high - low) / (wide * deep)), 2))
    heights = RELIEF * np.sin(ground[:, 0] / 17) * np.cos(ground[:, 1] / 23) + rng.uniform(0, RELIEF / 2, len(ground))
    points = np.column_stack([ground, heights])
    seen = [_photograph(points, centre, rng) for centre in centres]
    with pycolmap.Database.open(path) as database, pycolmap.DatabaseTransaction(database):
        _write_photos(database, seen)
        for first in range(count):
            near = np.argsort(np.linalg.norm(centres - centres[first], axis=1))[1 : NEIGHBOURS + 1]
            for second in near[near > first].tolist():
                _write_pair(database, seen, first, second)
    return centres


Seen = tuple[NDArray[np.int64], NDArray[np.float64]]  # of a photo: the points' rows, ascending, and their pixels


def _photograph(points: NDArray[np.float64], centre: NDArray[np.float64], rng: np.random.Generator) -> Seen:
    near = np.flatnonzero((np.abs(points[:, :2] - centre[:2]) < HEIGHT).all(axis=1))
    local = points[near] - centre
    rays = local[:, :2] * [1, -1] / -local[:, 2:]
    pixels = np.array(SIZE) / 2 + FOCAL * rays * (1 + DISTORTION * (rays**2).sum(axis=1, keepdims=True))
    inside = ((pixels > 0) & (pixels < SIZE)).all(axis=1)
    return near[inside], pixels[inside] + rng.normal(0, NOISE_PIXELS, (int(inside.sum()), 2))


def _write_photos(database: pycolmap.Database, seen: list[Seen]) -> None:
    camera = pycolmap.Camera.create_from_model_name(0, "SIMPLE_RADIAL", EXIF_FOCAL, *SIZE)
    camera.has_prior_focal_length = True
    camera.camera_id = database.write_camera(camera)
    rig = pycolmap.Rig()
    rig.add_ref_sensor(camera.sensor_id)
    rig_id = database.write_rig(rig)
    for index, (_, pixels) in enumerate(seen):
        image = pycolmap.Image(name=f"{index:04d}.jpg", camera_id=camera.camera_id)
        image.image_id = database.write_image(image)
        frame = pycolmap.Frame()
        frame.rig_id = rig_id
        frame.add_data_id(image.data_id)
        database.write_frame(frame)
        database.write_keypoints(image.image_id, pixels.astype(np.float32))


def _write_pair(database: pycolmap.Database, seen: list[Seen], first: int, second: int) -> None:
    _, here, there = np.intersect1d(seen[first][0], seen[second][0], assume_unique=True, return_indices=True)
    if len(here) >= MIN_SHARED:
        geometry = pycolmap.TwoViewGeometry()
        geometry.config = int(pycolmap.TwoViewGeometryConfiguration.CALIBRATED)
        geometry.inlier_matches = np.column_stack([here, there]).astype(np.uint32)
        database.write_two_view_geometry(first + 1, second + 1, geometry)
