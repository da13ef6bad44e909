"""Compute a generated flight's truth for a surveyor: control points, and the property from straight above."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.flights import Flight, camera_of, photos_of, true_poses
from benchmarks.truth_views import MAPS, depths_of
from geo.projected import Place, Projected
from sample.camera import Camera, world_to_camera
from sample.render import photograph
from sample.scene import Scene

UPLOAD, LIST = "surveyed.zip", "gcp_list.txt"
SYSTEM = 25832  # ETRS89 / UTM zone 32N, which holds the sample's property
CONTROL, CHECKS = 6, 10
MARK_SIGMA = 0.4  # pixels by which a careful person misses a mark
_SAME = 0.01  # of the distance: what a photo sees there is the point
_FAR = 20_000.0  # metres up: rays are parallel to 1 cm at a 10 m roof, 24 m aside
_NO_HAZE = 1e9  # metres: the air between is no part of a map
_MIN_PHOTOS = 4
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Above:
    """The property from straight above in ENU metres: `picture` (h, w, 3) bytes and `heights` (h, w) metres; cells of
    `cell` metres from the corner (`west`, `north`).
    """

    west: float
    north: float
    cell: float
    picture: NDArray[np.uint8]
    heights: Vector


def from_above(scene: Scene, west: float, north: float, cell: float, width: int, height: int) -> Above:
    """Photograph the scene from so far up that the rays are parallel."""
    centre = np.array([west + 0.5 * width * cell, north - 0.5 * height * cell, _FAR])
    focal = _FAR / cell
    pose = world_to_camera(centre, np.array([0.0, 0, -1]), np.array([0.0, 1, 0]))
    picture = np.empty((height, width, 3), np.uint8)
    heights = np.empty((height, width))
    strip = 256
    for top in range(0, height, strip):
        rows = min(strip, height - top)
        part = Camera(width, rows, focal, focal, width / 2, height / 2 - top, pose)
        picture[top : top + rows] = photograph(scene, part, haze=_NO_HAZE)
        heights[top : top + rows] = _FAR - depths_of(scene, part)
    return Above(west, north, cell, picture, heights)


def surveyed_upload(flight: Flight, folder: Path, scene: Scene) -> Path:
    """The flight's ZIP with a gcp_list.txt: CONTROL points and CHECKS named `_check`, marked MARK_SIGMA off."""
    archive = photos_of(flight, folder)
    target = folder / UPLOAD
    if not target.is_file():
        partial = target.with_name("surveyed.partial")
        shutil.copyfile(archive, partial)
        with zipfile.ZipFile(partial, "a") as out:
            out.writestr(LIST, control_list(folder, scene))
        partial.replace(target)
    return target


def control_list(folder: Path, scene: Scene) -> str:
    """The list in EPSG:25832, heights as the origin's."""
    document = json.loads((folder / "poses.json").read_text(encoding="utf-8"))
    origin = document["origin"]
    frame = Projected.about(Place(origin["latitude"], origin["longitude"], origin["altitude"]), SYSTEM)
    poses = list(true_poses(folder).values())
    rng = np.random.default_rng(0)
    lines = [f"EPSG:{SYSTEM}"]
    for number, (place, marks) in enumerate(_marked_places(scene, poses, rng)):
        x, y, z = frame.from_enu(place[None])[0]
        name = f"C{number + 1}" if number < CONTROL else f"K{number + 1 - CONTROL}_check"
        for photo, (column, row) in marks:
            lines.append(f"{x:.4f}\t{y:.4f}\t{z:.4f}\t{column:.2f}\t{row:.2f}\t{photo}\t{name}")
    return "\n".join(lines) + "\n"


def _marked_places(
    scene: Scene, poses: list[dict[str, Any]], rng: np.random.Generator
) -> list[tuple[Vector, list[tuple[str, Vector]]]]:
    """Places spread over the flight that several photos see, with a mark in each: the spread ones first."""
    small = [camera_of(pose, MAPS) for pose in poses]
    maps = [depths_of(scene, camera) for camera in small]
    found: list[tuple[Vector, list[tuple[str, Vector]]]] = []
    for camera, depths in zip(small, maps, strict=True):
        for column, row in rng.uniform((20, 20), (camera.width - 20, camera.height - 20), (40, 2)).astype(int):
            patch = depths[row - 1 : row + 2, column - 1 : column + 2]
            # flat ground: neither an eave nor a leaf
            if not np.isfinite(patch).all() or np.ptp(patch) > 0.01 * patch.mean():
                continue
            depth = float(depths[row, column])
            local = np.array([(column + 0.5 - camera.cx) / camera.fx, (row + 0.5 - camera.cy) / camera.fy, 1.0]) * depth
            place = camera.world_to_camera[:3, :3].T @ (local - camera.world_to_camera[:3, 3])
            marks = []
            for other, view, seen in zip(poses, small, maps, strict=True):
                (pixel,), (z,) = view.project(place[None])
                inside = z > 0 and (pixel > 8).all() and (pixel < (view.width - 8, view.height - 8)).all()
                if inside and abs(seen[int(pixel[1]), int(pixel[0])] / z - 1) < _SAME:
                    (full,), _ = camera_of(other, other["width"]).project(place[None])
                    marks.append((str(other["name"]), full + rng.normal(0, MARK_SIGMA, 2)))
            if len(marks) >= _MIN_PHOTOS:
                found.append((place, marks))
    return _spread(found, CONTROL) + _spread(found[::-1], CHECKS + CONTROL)[CONTROL:]


def _spread(
    found: list[tuple[Vector, list[tuple[str, Vector]]]], count: int
) -> list[tuple[Vector, list[tuple[str, Vector]]]]:
    """`count` of them, each the farthest in plan from those before."""
    places = np.array([place[:2] for place, _ in found])
    chosen = [int(np.argmax(np.linalg.norm(places - places.mean(axis=0), axis=1)))]
    while len(chosen) < count:
        nearest = np.linalg.norm(places[:, None] - places[chosen][None], axis=2).min(axis=1)
        chosen.append(int(np.argmax(nearest)))
    return [found[index] for index in chosen]
