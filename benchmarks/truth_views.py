"""Compute the truth of a generated flight's views: their pictures, what training photos see of them, and empty air."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter

from benchmarks.flights import camera_of
from sample.camera import Camera
from sample.render import photograph, view_of
from sample.scene import Scene
from sample.visibility import look

Depths = NDArray[np.float32]
MAPS = 400  # pixels across a depth map
_SAME = 0.03  # of a place's distance: what another photo sees there is the same surface
_AIR = 0.97  # of the distance to the surface: nearer than that is air
_AROUND = 5  # pixels of a depth map whose nearest surface counts, so that leaves are no air


@dataclass(frozen=True)
class TrueView:
    """A view's picture (height, width, 3), bytes; MAPS pixels across: how many training photos see what it shows, and
    its depths, infinite in the sky.
    """

    camera: Camera
    picture: NDArray[np.uint8]
    seen_by: NDArray[np.uint8]
    depths: Depths

    def seen(self, least: int) -> NDArray[np.bool_]:
        """Which pixels of the picture at least that many training photos see."""
        step = self.picture.shape[1] // MAPS
        return (self.seen_by >= least).repeat(step, axis=0).repeat(step, axis=1)


def depths_of(scene: Scene, camera: Camera) -> Depths:
    """Along the viewing axis, metres; infinite where there is sky."""
    nearness = look(scene.primitives, view_of(camera, 1)).nearness
    return np.where(nearness > 0, 1 / np.maximum(nearness, 1e-9), np.inf).astype(np.float32)


def scaled(camera: Camera, width: int) -> Camera:
    """The same view in a picture `width` pixels wide."""
    factor = width / camera.width
    fx, fy, cx, cy = (factor * value for value in (camera.fx, camera.fy, camera.cx, camera.cy))
    return Camera(width, round(camera.height * factor), fx, fy, cx, cy, camera.world_to_camera)


class Witnesses:
    """The training photos with what they see, to ask of places."""

    def __init__(self, scene: Scene, poses: Iterable[dict[str, Any]]) -> None:
        cameras = [camera_of(pose, MAPS) for pose in poses]
        self.maps = [(camera, depths_of(scene, camera)) for camera in cameras]

    def count(self, places: NDArray[np.float64]) -> NDArray[np.uint8]:
        """(N,) how many of the photos see the places (N, 3)."""
        seen = np.zeros(len(places), np.uint8)
        for camera, depths in self.maps:
            pixels, z = camera.project(places)
            inside = np.flatnonzero((z > 0) & (pixels >= 0).all(1) & (pixels < (camera.width, camera.height)).all(1))
            column, row = pixels[inside].astype(int).T
            seen[inside] += np.abs(depths[row, column] / z[inside] - 1) < _SAME
        return seen


def true_view(scene: Scene, camera: Camera, witnesses: Witnesses) -> TrueView:
    """Photograph the view and ask the training photos about it."""
    small = scaled(camera, MAPS)
    depths = depths_of(scene, small)
    y, x = np.mgrid[: small.height, : small.width] + 0.5
    rays = np.stack([(x - small.cx) / small.fx, (y - small.cy) / small.fy, np.ones_like(x)], axis=-1)
    sky = ~np.isfinite(depths)
    local = (rays * np.where(sky, 1, depths)[..., None]).reshape(-1, 3)
    transform = camera.world_to_camera
    counted = witnesses.count((local - transform[:3, 3]) @ transform[:3, :3]).reshape(depths.shape)
    counted[sky] = 0
    return TrueView(camera, photograph(scene, camera), counted, depths)


def in_the_air(points: NDArray[np.float64], maps: Iterable[tuple[Camera, Depths]]) -> NDArray[np.bool_]:
    """Which points (N, 3) lie in empty air: some view looks through them at something clearly farther."""
    air = np.zeros(len(points), bool)
    for camera, depths in maps:
        nearest = minimum_filter(depths, size=_AROUND, mode="nearest")
        pixels, z = camera.project(points)
        inside = np.flatnonzero((z > 0) & (pixels >= 0).all(1) & (pixels < (camera.width, camera.height)).all(1))
        column, row = pixels[inside].astype(int).T
        air[inside] |= z[inside] < _AIR * nearest[row, column]
    return air


@dataclass(frozen=True)
class Truth:
    """A flight's true views by kind, and the training photos with the depths of what they show."""

    views: dict[str, list[TrueView]]
    photos: list[tuple[Camera, Depths]]

    @property
    def maps(self) -> list[tuple[Camera, Depths]]:
        """Depth maps of all views and training photos."""
        return self.photos + [(scaled(view.camera, MAPS), view.depths) for row in self.views.values() for view in row]


def rendered(scene: Scene, cameras: dict[str, list[Camera]], trained: list[dict[str, Any]]) -> Truth:
    """The truth of `cameras` by kind; `trained` are the training photos' poses."""
    witnesses = Witnesses(scene, trained)
    views = {kind: [true_view(scene, camera, witnesses) for camera in row] for kind, row in cameras.items()}
    return Truth(views, witnesses.maps)


def save(path: Path, truth: Truth) -> None:
    """Write the truth as one .npz, whole or not at all."""
    arrays: dict[str, NDArray[Any]] = {}
    for kind, row in truth.views.items():
        for number, view in enumerate(row):
            key = f"view/{kind}/{number:03d}"
            arrays |= {f"{key}/picture": view.picture, f"{key}/seen_by": view.seen_by, f"{key}/depths": view.depths}
            arrays |= {f"{key}/camera": packed(view.camera)}
    for number, (camera, depths) in enumerate(truth.photos):
        arrays |= {f"photo/{number:03d}/camera": packed(camera), f"photo/{number:03d}/depths": depths}
    partial = path.with_name("partial.npz")
    np.savez(partial, allow_pickle=False, **arrays)
    partial.replace(path)


def load(path: Path) -> Truth:
    """What `save` wrote."""
    views: dict[str, list[TrueView]] = {}
    photos = []
    with np.load(path) as kept:
        for key in sorted(name.removesuffix("/camera") for name in kept.files if name.endswith("/camera")):
            camera, depths = unpacked(kept[f"{key}/camera"]), kept[f"{key}/depths"]
            if key.startswith("photo/"):
                photos.append((camera, depths))
            else:
                view = TrueView(camera, kept[f"{key}/picture"], kept[f"{key}/seen_by"], depths)
                views.setdefault(key.split("/")[1], []).append(view)
    return Truth(views, photos)


def packed(camera: Camera) -> NDArray[np.float64]:
    numbers = (camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy)
    return np.concatenate([np.array(numbers, float), camera.world_to_camera.ravel()])


def unpacked(numbers: NDArray[np.float64]) -> Camera:
    width, height, fx, fy, cx, cy = numbers[:6].tolist()
    return Camera(int(width), int(height), fx, fy, cx, cy, numbers[6:].reshape(4, 4))
