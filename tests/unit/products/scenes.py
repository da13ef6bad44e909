"""A small scene for products: textured ground with a box on it, photographed from known positions, and its splat."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from plyfile import PlyData, PlyElement

from splat.camera import Camera, View, look_at, write_views
from splat.gaussians import Gaussians
from splat.ply import write_ply

GROUND, BOX_TOP = 0.0, 3.0
BOX = (-2.0, 2.0)  # metres, east and north
HALF = 8.0  # metres: half the width of the ground
ORIGIN = {"latitude": 47.3612, "longitude": 8.5306, "altitude": 466.0}
GEOREFERENCE: dict[str, Any] = {
    "version": 1,
    "georeferenced": True,
    "origin": ORIGIN,
    "crs": "ENU metres about origin",
    "rms_metres": 0.3,
    "outliers": [],
    "reason": None,
}


def heights(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.where((np.abs(x) < BOX[1]) & (np.abs(y) < BOX[1]), BOX_TOP, GROUND)


def colours(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(…, 3), 0 to 1: smooth waves, redder on the box."""
    on_box = heights(x, y) > 1
    waves = 0.5 + 0.2 * np.sin(1.1 * x) * np.cos(0.9 * y)
    return np.stack([np.where(on_box, 0.9, waves), waves, np.where(on_box, 0.2, 0.3 + 0.02 * x)], axis=-1)


def cameras(count: int = 9) -> list[Camera]:
    places = [(x, y) for x in (-5.0, 0.0, 5.0) for y in (-5.0, 0.0, 5.0)][:count]
    return [
        look_at((x, y, 16.0), (x * 0.6, y * 0.6, 0.0), (0, 1, 0), width=320, height=240, field_of_view=55)
        for x, y in places
    ]


def photograph(camera: Camera) -> np.ndarray:
    """(H, W, 3) bytes: along each ray, the nearer of the box's top and the ground; walls have the ground's colour."""
    y, x = np.mgrid[: camera.height, : camera.width] + 0.5
    rays = np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones_like(x)], -1) @ camera.rotation
    picture = np.zeros((camera.height, camera.width, 3))
    for level in (GROUND, BOX_TOP):
        places = camera.position + rays * ((level - camera.position[2]) / rays[..., 2])[..., None]
        hit = heights(places[..., 0], places[..., 1]) == level if level else np.ones(x.shape, bool)
        picture[hit] = colours(places[..., 0], places[..., 1])[hit]
    return np.rint(255 * picture).astype(np.uint8)


def surface(step: float) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 3) on the ground and the box's top, `step` metres apart, and their colours."""
    along = np.arange(-HALF, HALF, step) + step / 2
    x, y = (part.ravel() for part in np.meshgrid(along, along))
    return np.column_stack([x, y, heights(x, y)]), colours(x, y)


def gaussians(step: float = 0.2) -> Gaussians:
    points, rgb = surface(step)
    count = len(points)
    return Gaussians(
        means=points,
        quats=np.tile([1.0, 0, 0, 0], (count, 1)),
        scales=np.log(np.tile([step * 0.7, step * 0.7, 0.005], (count, 1))),
        opacities=np.full(count, 3.0),
        sh0=((rgb - 0.5) / 0.28209479).astype(np.float32),
        shN=np.zeros((count, 0, 3), np.float32),
    )


def write_scene(folder: Path, georeference: dict[str, Any] | None = None) -> tuple[Path, Path]:
    """Writes the output folders of training and structure from motion for the scene."""
    model, scene = folder / "model", folder / "cameras"
    (scene / "images").mkdir(parents=True)
    model.mkdir()
    write_ply(model / "scene.ply", gaussians())
    views = []
    for number, camera in enumerate(cameras(), start=1):
        name = f"{number:06d}.jpg"
        Image.fromarray(photograph(camera)).save(scene / "images" / name, quality=95)
        views.append(View(name, "train", camera.scaled(0.5)))  # training used smaller photos
    write_views(model / "views.json", views)
    write_dense(model / "dense.ply")
    (model / "georeference.json").write_text(json.dumps(georeference or GEOREFERENCE))
    exposure = {"photos": [{"name": "000001.jpg", "gain": [1.0, 1.0, 1.0]}]}
    (model / "result.json").write_text(json.dumps({"metrics": {"exposure": exposure}}))
    return model, scene


def write_dense(path: Path) -> None:
    points, rgb = surface(0.15)
    vertices = np.zeros(
        len(points),
        [
            *((name, "<f4") for name in "xyz"),
            *((name, "u1") for name in ("red", "green", "blue", "agree")),
            ("sigma", "<f4"),
        ],
    )
    for axis, name in enumerate("xyz"):
        vertices[name] = points[:, axis]
    for channel, name in enumerate(("red", "green", "blue")):
        vertices[name] = np.rint(255 * rgb[:, channel])
    vertices["agree"], vertices["sigma"] = 5, 0.02
    PlyData([PlyElement.describe(vertices, "vertex")], byte_order="<").write(str(path))
