"""Distorted photos become pinhole photos: the models are COLMAP's, and straight lines are straight."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pycolmap
import pytest
from PIL import Image

from contract.colmap import DISTORTING
from splat.camera import Camera
from stage.errors import StageError
from tests.unit.trainer.synthetic import HEIGHT, WIDTH, make_scene
from trainer.dataset import load_scene
from trainer.distortion import Distortion, pinhole_in_place, undistorted
from trainer.photo_store import PhotoStore

TERMS = {
    2: [-0.1],
    3: [-0.2, 0.05],
    4: [-0.2, 0.05, 0.001, -0.002],
    5: [0.02, -0.01, 0.002, -0.0005],
    6: [-0.2, 0.05, 0.001, -0.002, 0.01, 0.02, -0.01, 0.001],
    8: [0.03],
    9: [0.02, -0.004],
}


def camera_of(focal: float = 300.0) -> Camera:
    return Camera(400, 300, focal, focal, 205.0, 148.0, np.eye(4))


@pytest.mark.parametrize("model", sorted(DISTORTING))
def test_every_model_distorts_as_colmap_does(model: int) -> None:
    name, focals, terms = DISTORTING[model]
    peer = pycolmap.Camera.create_from_model_name(1, name, 300.0, 400, 300)
    peer.params = [300.0] * focals + [205.0, 148.0] + TERMS[model]
    assert len(TERMS[model]) == terms
    assert int(pycolmap.CameraModelId.__members__[name]) == model
    distortion = Distortion.of(model, TERMS[model])
    assert distortion is not None
    rays = np.random.default_rng(0).uniform(-0.7, 0.7, (200, 2))
    expected = np.asarray(peer.img_from_cam(np.column_stack([rays, np.ones(200)])), dtype=np.float64)
    np.testing.assert_allclose(distortion.applied(rays) * 300 + (205, 148), expected, atol=1e-9)


def test_terms_of_zero_are_no_distortion() -> None:
    assert Distortion.of(4, [0.0] * 4) is None


@pytest.mark.parametrize("model", [5, 8, 9])
def test_a_fisheye_lens_without_terms_is_no_pinhole(model: int) -> None:
    distortion = Distortion.of(model, [0.0] * len(TERMS[model]))
    assert distortion is not None
    ray = np.array([[0.6, 0.45]])
    radius = float(np.hypot(*ray[0]))
    np.testing.assert_allclose(distortion.applied(ray), ray * np.arctan(radius) / radius, atol=1e-9)


def test_rays_beyond_the_fold_are_not_shown() -> None:
    distortion = Distortion(False, (-0.3,))  # the radius grows only up to 1 / sqrt(0.9)
    assert np.isnan(distortion.applied(np.array([[1.2, 0.0]]))).all()
    assert np.isfinite(distortion.applied(np.array([[1.0, 0.0]]))).all()


@pytest.mark.parametrize("terms", [(-0.2, 0.05), (0.15, 0.0)])
def test_a_picture_is_straightened(terms: tuple[float, float]) -> None:
    camera, distortion = camera_of(), Distortion(False, terms)
    pinhole = pinhole_in_place(camera, distortion)
    rows, columns = np.mgrid[0:300, 0:400] + 0.5
    # the distorted photo of a pattern that is smooth in the ideal picture, by inverting the model
    ideal = np.stack([(columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy], axis=-1).reshape(-1, 2)
    rays = ideal.copy()
    for _ in range(60):
        rays += 0.7 * (ideal - distortion.applied(rays))

    def pattern(places: np.ndarray) -> np.ndarray:
        return np.asarray(127 + 60 * np.sin(9 * places[:, 0]) + 60 * np.cos(7 * places[:, 1]))

    photo = np.rint(pattern(rays)).reshape(300, 400).astype(np.uint8)
    found = undistorted(photo, pinhole, camera, distortion)
    seen = np.stack([(columns - pinhole.cx) / pinhole.fx, (rows - pinhole.cy) / pinhole.fy], axis=-1).reshape(-1, 2)
    assert np.abs(found.ravel() - pattern(seen)).max() < 2
    assert pinhole.fx == camera.fx if terms[0] < 0 else pinhole.fx > camera.fx


def as_text(folder: Path, model: str, terms: str) -> None:
    """The scene's model as text, with cameras of another model."""
    sparse = folder / "sparse/0"
    found = pycolmap.Reconstruction(sparse)
    for path in sparse.iterdir():
        path.unlink()
    found.write_text(str(sparse))
    lines = (sparse / "cameras.txt").read_text().splitlines()
    with (sparse / "cameras.txt").open("w") as stream:
        for line in lines:
            if not line.startswith("#"):
                number, _, width, height, fx, _, cx, cy = line.split()
                line = f"{number} {model} {width} {height} {fx} {cx} {cy} {terms}"
            stream.write(line + "\n")


@pytest.mark.parametrize(("model", "terms"), [("SIMPLE_RADIAL", "-0.15"), ("RADIAL_FISHEYE", "0.02 -0.004")])
def test_a_scene_of_distorted_photos_is_trained_on_straight_ones(tmp_path: Path, model: str, terms: str) -> None:
    make_scene(tmp_path)
    as_text(tmp_path, model, terms)
    scene = load_scene(tmp_path, 96)
    photo = scene.photos[0]
    assert (photo.camera.width, photo.camera.height) == (WIDTH, HEIGHT)
    straight = PhotoStore().picture(photo)
    with Image.open(photo.path) as picture:
        distorted = np.asarray(picture.convert("RGB"))
    assert straight.shape == distorted.shape
    assert np.abs(straight.astype(int) - distorted).max() > 20


def test_a_model_that_is_not_known_is_named(tmp_path: Path) -> None:
    make_scene(tmp_path)
    as_text(tmp_path, "FOV", "0.5")
    with pytest.raises(StageError, match="FOV"):
        load_scene(tmp_path, 96)
