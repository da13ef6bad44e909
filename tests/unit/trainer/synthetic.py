"""A small scene with photos rendered from known Gaussians, written as structure from motion would."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from splat.camera import Camera, look_at
from splat.gaussians import Gaussians
from splat.render import render
from tests.support.gaussians import gaussians_of
from trainer.backdrop import Backdrop
from trainer.farfield import FarField

WIDTH, HEIGHT = 96, 72
BOUNDLESS = FarField(np.array([0.0, 0.0, 1.0]), np.inf, np.eye(3))  # no place is in the air
BEHIND = (0.2, 0.5, 0.8)  # the colour of `PlainBackdrop`


class PlainBackdrop(Backdrop):
    """One colour behind every photo, drawn 40 pixels wide."""

    long_edge = 40

    def __init__(self) -> None:
        pass

    def behind(self, camera: Camera, width: int, height: int, device: torch.device) -> torch.Tensor:
        return torch.tensor(BEHIND, device=device).expand(height, width, 3)


@dataclass(frozen=True)
class SyntheticScene:
    """Cameras by photo name, and the true Gaussians; `origin` is where the scene lies in the world."""

    cameras: dict[str, Camera]
    truth: Gaussians


def make_truth(origin: tuple[float, float, float] = (0, 0, 0), size: float = 1.0, count: int = 500) -> Gaussians:
    """A patch of ground with sides of 2 · `size`, coloured by position, with some height."""
    rng = np.random.default_rng(1)
    plane = rng.uniform(-1, 1, (count, 2))
    height = 0.15 * np.sin(3 * plane[:, 0])
    colours = 0.5 + 0.4 * np.stack(
        [np.sin(5 * plane[:, 0]), np.cos(4 * plane[:, 1]), np.sin(6 * plane.sum(axis=1))], axis=1
    )
    return gaussians_of(
        means=np.column_stack([plane, height]) * size + origin,
        quats=np.tile([1.0, 0, 0, 0], (count, 1)),
        scales=np.full((count, 3), np.log(0.06 * size)),
        opacities=np.full(count, 3.0),
        sh0=(colours - 0.5) / 0.28209479,
        shN=np.zeros((count, 0, 3)),
    )


def make_scene(
    folder: Path, photos: int = 9, origin: tuple[float, float, float] = (0, 0, 0), size: float = 1.0
) -> SyntheticScene:
    """Write sparse/0 and images/ below `folder`; every photo sees every point."""
    truth = make_truth(origin, size)
    (folder / "images").mkdir(parents=True)
    cameras = {}
    for index in range(photos):
        angle = 2 * np.pi * index / photos
        eye = np.array([0.7 * np.cos(angle), 0.7 * np.sin(angle), 2.0]) * size + origin
        name = f"{index + 1:06d}.png"
        cameras[name] = look_at(eye, origin, (0, 1, 0), width=WIDTH, height=HEIGHT)
        picture = (render(truth, cameras[name]).clip(0, 1) * 255 + 0.5).astype(np.uint8)
        Image.fromarray(picture).save(folder / "images" / name)
    colours = (truth.sh0 * 0.28209479 + 0.5).clip(0, 1) * 255
    write_model(folder / "sparse" / "0", cameras, truth.means[::2].astype(np.float64), colours[::2].astype(np.uint8))
    return SyntheticScene(cameras, truth)


def write_model(folder: Path, cameras: dict[str, Camera], points: np.ndarray, colours: np.ndarray) -> None:
    """COLMAP's three files: one PINHOLE camera per photo, every point seen by every photo."""
    folder.mkdir(parents=True, exist_ok=True)
    identifiers = range(1, len(cameras) + 1)
    with (folder / "cameras.bin").open("wb") as stream:
        stream.write(struct.pack("<Q", len(cameras)))
        for identifier, camera in zip(identifiers, cameras.values(), strict=True):
            parameters = (camera.fx, camera.fy, camera.cx, camera.cy)
            stream.write(struct.pack("<IiQQ4d", identifier, 1, camera.width, camera.height, *parameters))
    with (folder / "images.bin").open("wb") as stream:
        stream.write(struct.pack("<Q", len(cameras)))
        for identifier, (name, camera) in zip(identifiers, cameras.items(), strict=True):
            x, y, z, w = Rotation.from_matrix(camera.rotation).as_quat()
            stream.write(struct.pack("<I7dI", identifier, w, x, y, z, *camera.translation, identifier))
            stream.write(name.encode() + b"\0" + struct.pack("<Q", len(points)))
            pixels, _ = camera.project(points)
            for index, (u, v) in enumerate(pixels):
                stream.write(struct.pack("<ddq", u, v, index))
    with (folder / "points3D.bin").open("wb") as stream:
        stream.write(struct.pack("<Q", len(points)))
        for index, (point, colour) in enumerate(zip(points, colours, strict=True)):
            stream.write(struct.pack("<Q3d3BdQ", index, *point, *colour.tolist(), 0.5, len(cameras)))
            for identifier in identifiers:
                stream.write(struct.pack("<II", identifier, index))
