"""Photos of textured surfaces with exact depth, by ray casting: a ground, and a box on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom

from splat.camera import Camera, look_at
from trainer.stereo.geometry import Look, StereoPhoto
from trainer.stereo.settings import SETTINGS, StereoSettings

WIDTH, HEIGHT = 240, 180
BOX = (0.25, 0.2)  # half of its side, and its height


@dataclass(frozen=True)
class Cast:
    """A picture (h, w, 3) 0..255 and the depth (h, w) of what it shows, inf if it shows nothing."""

    picture: NDArray[np.uint8]
    depth: NDArray[np.float64]


def texture(place: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    """Grey values 0..1 of places (N, 2) within 3 units: noise of several sizes, smooth enough to be sampled."""
    rng = np.random.default_rng(seed)
    value = np.zeros(len(place))
    for cells, weight in ((12, 0.5), (40, 0.3), (120, 0.2)):
        noise = zoom(rng.random((cells, cells)), 8, order=1, grid_mode=True, mode="nearest")
        index = np.clip(((place + 3) / 6 * noise.shape[0]).astype(int), 0, noise.shape[0] - 1)
        value += weight * noise[index[:, 1], index[:, 0]]
    return np.asarray((0.5 + 1.8 * (value - 0.5)).clip(0, 1))


def cast(camera: Camera, box: bool = False) -> Cast:
    """The ground z = 0 and, on request, the box, seen by `camera`; four rays per pixel."""
    pictures, depth = [], np.zeros(0)
    for dx, dy in ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75), (0.5, 0.5)):
        x, y = np.meshgrid(np.arange(camera.width) + dx, np.arange(camera.height) + dy)
        ray = np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones_like(x)], axis=-1)
        rays = ray.reshape(-1, 3) @ camera.rotation
        depth, grey = _hit(camera.position, rays, box)
        pictures.append(grey)
    grey = np.mean(pictures[:4], axis=0).reshape(camera.height, camera.width)
    picture = np.repeat((255 * grey[..., None]).round().astype(np.uint8), 3, axis=2)
    return Cast(picture, depth.reshape(camera.height, camera.width))


def _hit(
    origin: NDArray[np.float64], rays: NDArray[np.float64], box: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = np.where(rays[:, 2] < 0, -origin[2] / rays[:, 2], np.inf)
    place = origin + rays * np.where(np.isfinite(depth), depth, 0)[:, None]
    grey = np.where(np.isfinite(depth), texture(place[:, :2]), 0.5)
    if box:
        half, height = BOX
        low, high = np.array([-half, -half, 0.0]), np.array([half, half, height])
        with np.errstate(divide="ignore", invalid="ignore"):
            near, far = np.sort(np.stack([(low - origin) / rays, (high - origin) / rays]), axis=0)
        enter, leave = near.max(axis=1), far.min(axis=1)
        hit = (enter < leave) & (enter > 0) & (enter < depth)
        side = near.argmax(axis=1)
        touched = origin + rays * np.where(hit, enter, 0)[:, None]
        across = np.where(side == 0, touched[:, 1], touched[:, 0])
        along = np.where(side == 2, touched[:, 1], touched[:, 2])
        shown = texture(np.stack([across, along], axis=1) + 0.7 * side[:, None], seed=1)
        depth, grey = np.where(hit, enter, depth), np.where(hit, shown, grey)
    return depth, grey


def grid(rows: int, columns: int, step: float = 0.25, height: float = 1.0, size: float = 1.0) -> list[Camera]:
    """Cameras in a grid about the origin that look straight down; every length is multiplied by `size`."""
    cameras = []
    for row in range(rows):
        for column in range(columns):
            x, y = step * (column - (columns - 1) / 2), step * (row - (rows - 1) / 2)
            eye = np.array([x, y, height])
            camera = look_at(eye, (x, y, 0), (0, 1, 0), width=WIDTH, height=HEIGHT)
            matrix = camera.world_to_camera.copy()
            matrix[:3, 3] *= size
            cameras.append(Camera(camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy, matrix))
    return cameras


def photographed(
    cameras: list[Camera],
    casts: list[Cast],
    points: NDArray[np.float64],
    masks: list[NDArray[np.bool_] | None] | None = None,
    settings: StereoSettings = SETTINGS,
) -> list[StereoPhoto]:
    """The casts in stereo's format, all levels at full size; each photo observes the points in its picture."""
    photos = []
    for index, (camera, shot) in enumerate(zip(cameras, casts, strict=True)):
        pixels, depths = camera.project(points)
        inside = (depths > 0) & (pixels >= 0).all(axis=1) & (pixels < (camera.width, camera.height)).all(axis=1)
        mask = masks[index] if masks else None
        look = Look(camera, shot.picture[..., 0], mask)
        photos.append(StereoPhoto(f"{index:03d}", (look,) * len(settings.levels), shot.picture, np.flatnonzero(inside)))
    return photos


def ground_points(size: float = 1.0, count: int = 400) -> NDArray[np.float64]:
    """Sparse points on the ground, none on the box."""
    place = np.random.default_rng(2).uniform(-1.2, 1.2, (count, 2))
    place = place[np.abs(place).max(axis=1) > 1.2 * BOX[0]]
    return np.column_stack([place, np.zeros(len(place))]) * size
