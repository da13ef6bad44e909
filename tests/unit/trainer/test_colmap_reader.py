"""The reader of COLMAP's binary files, with files from a writer of our own and from COLMAP's."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from contract.colmap import MAX_POINTS
from contract.counts import MAX_PHOTOS
from splat.camera import look_at
from stage.errors import StageError
from tests.unit.trainer.synthetic import write_model
from trainer import colmap
from trainer.colmap import read_model

POINTS = np.random.default_rng(0).normal(size=(20, 3))
COLOURS = np.random.default_rng(1).integers(0, 255, (20, 3)).astype(np.uint8)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    cameras = {
        "b.jpg": look_at((3, 1, 2), (0, 0, 0), width=64, height=48),
        "a ü.jpg": look_at((-3, 1, 2), (0, 0, 1), width=80, height=60),
    }
    write_model(tmp_path, cameras, POINTS, COLOURS)
    return tmp_path


def test_cameras_poses_and_points_are_read(model: Path) -> None:
    found = read_model(model)
    assert [image.name for image in found.images] == ["a ü.jpg", "b.jpg"]
    camera = found.images[1].camera
    expected = look_at((3, 1, 2), (0, 0, 0), width=64, height=48)
    assert (camera.width, camera.height, camera.fx, camera.cy) == (64, 48, expected.fx, 24)
    np.testing.assert_allclose(camera.world_to_camera, expected.world_to_camera, atol=1e-12)
    np.testing.assert_array_equal(found.points.positions, POINTS)
    np.testing.assert_array_equal(found.points.colours, COLOURS)
    assert len(found.points.track_points) == 40
    assert set(found.points.track_images[found.points.track_points == 3].tolist()) == {1, 2}


@pytest.mark.parametrize("form", ["binary", "text"])
def test_colmaps_own_files_are_read(tmp_path: Path, form: str) -> None:
    pycolmap = pytest.importorskip("pycolmap")
    options = pycolmap.SyntheticDatasetOptions()
    options.num_rigs, options.num_cameras_per_rig, options.num_frames_per_rig, options.num_points3D = 1, 1, 4, 30
    options.camera_model_id = pycolmap.CameraModelId.PINHOLE
    options.camera_params = [500.0, 510.0, 320.0, 240.0]
    options.camera_width, options.camera_height = 640, 480
    truth = pycolmap.synthesize_dataset(options)
    truth.write(str(tmp_path))
    (tmp_path / "text").mkdir()
    truth.write_text(str(tmp_path / "text"))
    found = read_model(tmp_path if form == "binary" else tmp_path / "text")
    assert len(found.images) == 4
    assert len(found.points.track_points) == sum(point.track.length() for point in truth.points3D.values())
    for image in found.images:
        pose = truth.find_image_with_name(image.name).cam_from_world().matrix()
        np.testing.assert_allclose(image.camera.world_to_camera[:3], pose, atol=1e-9)
        assert (image.camera.fx, image.camera.fy) == (500, 510)
    ours = found.points.positions[np.lexsort(found.points.positions.T)]
    theirs = np.array([point.xyz for point in truth.points3D.values()])
    np.testing.assert_allclose(ours, theirs[np.lexsort(theirs.T)])


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin", "points3D.bin"])
def test_missing_cut_and_garbled_files_are_refused(model: Path, name: str) -> None:
    path = model / name
    content = path.read_bytes()
    for broken in (content[:-5], content[:11], b"", b"\xff" * 64):
        path.write_bytes(broken)
        with pytest.raises(StageError, match="INVALID_SCENE"):
            read_model(model)
    path.unlink()
    with pytest.raises(StageError, match=f"INVALID_SCENE.*{name}"):
        read_model(model)


def test_cameras_of_models_that_are_not_known_are_refused(model: Path) -> None:
    content = bytearray((model / "cameras.bin").read_bytes())
    content[12] = 7  # FOV
    (model / "cameras.bin").write_bytes(content)
    with pytest.raises(StageError, match="of model 7, not SIMPLE_PINHOLE"):
        read_model(model)


@pytest.mark.parametrize(
    "name", ["../../pwned.jpg", "/etc/passwd", "a/../../b.jpg", "..\\b.jpg", "C:/b.jpg", "a\x1bb.jpg"]
)
def test_photos_outside_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    cameras = {other: look_at((3, 1, 2), (0, 0, 0), width=64, height=48) for other in ("a.jpg", name)}
    write_model(tmp_path, cameras, POINTS, COLOURS)
    with pytest.raises(StageError, match=r"INVALID_SCENE.*(leads out|control characters)"):
        read_model(tmp_path)


@pytest.mark.parametrize(
    ("file", "limit"), [("cameras.bin", MAX_PHOTOS), ("images.bin", MAX_PHOTOS), ("points3D.bin", MAX_POINTS)]
)
def test_counts_are_bounded_whatever_the_file_holds(model: Path, file: str, limit: int) -> None:
    content = (model / file).read_bytes()
    (model / file).write_bytes(struct.pack("<Q", limit + 1) + content[8:])
    with pytest.raises(StageError, match=f"INVALID_SCENE.*{limit + 1} .* of at most {limit}"):
        read_model(model)


def test_files_and_pictures_are_bounded(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contract.colmap.MAX_PIXELS", 64 * 48)
    with pytest.raises(StageError, match="80 by 60 pixels are too many"):
        read_model(model)
    monkeypatch.setattr(colmap, "MAX_FILE_BYTES", 100)
    with pytest.raises(StageError, match="more than 100 bytes"):
        read_model(model)
