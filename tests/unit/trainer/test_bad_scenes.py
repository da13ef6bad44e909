"""A customer's scene that cannot be trained ends at once, with its code and without output."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage

from stage.contract import Folders, run_stage
from tests.unit.trainer.synthetic import make_scene, write_model
from trainer.colmap import read_model
from trainer.stage import result_folder, train_scene


def rewrite(scene: Path, photos: int, points: Callable[[np.ndarray], np.ndarray] = lambda points: points) -> None:
    """Replaces the scene's model by one with its first `photos` cameras and with other points."""
    model = read_model(scene / "sparse" / "0")
    cameras = {image.name: image.camera for image in model.images[:photos]}
    positions = points(model.points.positions)
    write_model(scene / "sparse" / "0", cameras, positions, model.points.colours[: len(positions)])


def without_model(scene: Path) -> None:
    shutil.rmtree(scene / "sparse")


def with_empty_files(scene: Path) -> None:
    for path in (scene / "sparse" / "0").iterdir():
        path.write_bytes(b"")


def without_images(scene: Path) -> None:
    shutil.rmtree(scene / "images")


def with_one_camera(scene: Path) -> None:
    rewrite(scene, 1)


def without_a_camera(scene: Path) -> None:
    rewrite(scene, 0)


def with_nan_points(scene: Path) -> None:
    rewrite(scene, 9, lambda points: np.full_like(points, np.nan))


def without_points(scene: Path) -> None:
    rewrite(scene, 9, lambda points: points[:0])


def with_points_that_no_camera_sees(scene: Path) -> None:
    rewrite(scene, 9, lambda points: points + np.array([0, 0, 1000.0]))


@pytest.mark.parametrize(
    "spoil",
    [
        without_model,
        with_empty_files,
        without_images,
        with_one_camera,
        without_a_camera,
        with_nan_points,
        without_points,
        with_points_that_no_camera_sees,
    ],
)
def test_a_scene_that_cannot_be_trained_on_is_invalid(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    scene = tmp_path / "input" / "data" / "scene"
    make_scene(scene)
    spoil(scene)
    environment = {"ML_ROOT": str(tmp_path), "TRAINING_STEPS": "10"}
    assert run_stage("3dgs", result_folder, train_scene, environment) == 1
    assert (tmp_path / "output" / "failure").read_text().startswith("INVALID_SCENE: ")
    assert list(Folders(tmp_path).model.iterdir()) == []
    assert not Folders(tmp_path).checkpoints.exists()


def test_a_few_nan_points_among_good_ones_are_left_out(tmp_path: Path) -> None:
    def spoilt(points: np.ndarray) -> np.ndarray:
        points = points.copy()
        points[::3] = np.nan
        return points

    scene = tmp_path / "input" / "data" / "scene"
    make_scene(scene)
    rewrite(scene, 9, spoilt)
    environment = {"ML_ROOT": str(tmp_path), "TRAINING_STEPS": "4", "MAX_GAUSSIANS": "300"}
    assert run_stage("3dgs", result_folder, train_scene, environment) == 0


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A scene in place of a ZIP's contents, in which the model names the first photo by a path to a picture outside
    images/."""
    scene = tmp_path / "input" / "data" / "scene"
    make_scene(scene)
    shutil.copyfile(scene / "images" / "000001.png", tmp_path / "secret.png")
    return scene


@pytest.mark.parametrize("climbs", [True, False])
def test_photos_outside_the_scene_are_neither_read_nor_written(
    outside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, climbs: bool
) -> None:
    model = read_model(outside / "sparse" / "0")
    name = "../../../../secret.png" if climbs else str(tmp_path / "secret.png")
    cameras = {name if index == 3 else image.name: image.camera for index, image in enumerate(model.images)}
    write_model(outside / "sparse" / "0", cameras, model.points.positions, model.points.colours)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.setattr(PILImage, "open", lambda *_, **__: pytest.fail("a picture was opened"))
    assert run_stage("3dgs", result_folder, train_scene, {"ML_ROOT": str(tmp_path), "TRAINING_STEPS": "10"}) == 1
    assert "leads out of its folder" in (tmp_path / "output" / "failure").read_text()
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {path for path in after if before.get(path) != after[path]} <= set((tmp_path / "output").iterdir())


def test_a_mask_is_told_by_content_too(tmp_path: Path) -> None:
    scene = tmp_path / "input" / "data" / "scene"
    make_scene(scene)
    (scene / "masks").mkdir()
    with PILImage.open(scene / "images" / "000001.png") as photo:
        photo.save(scene / "masks" / "000001.png.png", "GIF")
    environment = {"ML_ROOT": str(tmp_path), "TRAINING_STEPS": "4", "MAX_GAUSSIANS": "300"}
    assert run_stage("3dgs", result_folder, train_scene, environment) == 0
    (warning,) = json.loads((Folders(tmp_path).model / "result.json").read_text())["warnings"]
    assert warning["code"] == "PHOTOS_SKIPPED"
    assert "000001.png.png is not a photo" in warning["names"][0]


def test_a_photo_left_out_is_named_in_the_result(tmp_path: Path) -> None:
    scene = tmp_path / "input" / "data" / "scene"
    make_scene(scene)
    (scene / "images" / "000002.png").unlink()
    environment = {"ML_ROOT": str(tmp_path), "TRAINING_STEPS": "4", "MAX_GAUSSIANS": "300"}
    assert run_stage("3dgs", result_folder, train_scene, environment) == 0
    result = json.loads((Folders(tmp_path).model / "result.json").read_text())
    (warning,) = result["warnings"]
    assert warning["code"] == "PHOTOS_SKIPPED"
    assert "000002.png" in warning["names"][0]
    assert result["counts"]["trainViews"] + result["counts"]["heldOutViews"] == 8
