"""A large scene that is uploaded with its cameras: divided into blocks as a flight of photos is, in its own
coordinates."""

from __future__ import annotations

import errno
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap
import pytest
from PIL import Image

from sfm.entry import work
from sfm.given import _figures, read_given
from stage.contract import run_stage
from stage.errors import StageError
from tests.support.schemas import file_faults
from tests.unit.sfm.models import SIZE, flight, lens

PHOTOS = [f"{number}.jpg" for number in range(16)]
FAR = np.array([500_000.0, 5_000_000.0, 300.0])


def silent(_share: float) -> None:
    pass


def make(folder: Path) -> pycolmap.Reconstruction:
    """Sixteen photos of noise with their cameras, one of them half transparent, one smaller, one with a mask."""
    model = flight(lens("RADIAL", 700.0, 0.05, 0.0))
    model.transform(pycolmap.Sim3d(1.0, pycolmap.Rotation3d(), FAR))
    (folder / "sparse" / "0").mkdir(parents=True)
    model.write(folder / "sparse" / "0")
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    rng = np.random.default_rng(0)
    for name in PHOTOS:
        picture = Image.fromarray(np.kron(rng.integers(0, 256, (30, 40, 3), np.uint8), np.ones((20, 20, 1), np.uint8)))
        assert picture.size == SIZE
        if name == "3.jpg":
            picture.putalpha(Image.fromarray(np.repeat(np.array([[0, 255]], np.uint8), 600, 0).repeat(400, 1)))
            picture.save(folder / "images" / name, "PNG")
        elif name == "4.jpg":
            picture.resize((400, 300)).save(folder / "images" / name)
        else:
            picture.save(folder / "images" / name, quality=95)
    Image.fromarray(np.repeat(np.array([[255], [0]], np.uint8), 300, 0).repeat(800, 1)).save(
        folder / "masks" / "5.jpg.png"
    )
    return model


def zipped(folder: Path, archive: Path) -> Path:
    with zipfile.ZipFile(archive, "w") as stream:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                stream.write(path, Path("my scene") / path.relative_to(folder))
    return archive


def cut(root: Path, blocks: int = 2) -> int:
    variables = {"ML_ROOT": str(root), "PIPELINE_STEP": "scene", "BLOCKS": str(blocks)}
    return run_stage("sfm", lambda folders: folders.processing_output, work, variables)


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pycolmap.Reconstruction]:
    """What the stage writes for the scene in a ZIP, and the scene's model."""
    root = tmp_path_factory.mktemp("ml")
    model = make(root / "made")
    (root / "made" / "images" / "9.jpg").unlink()
    channel = root / "processing" / "input" / "upload"
    channel.mkdir(parents=True)
    zipped(root / "made", channel / "upload.zip")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sfm.blocks.MIN_BLOCK_PHOTOS", 6)
        patch.setattr("contract.blocks.MIN_BLOCK_PHOTOS", 6)
        assert cut(root, blocks=5) == 0, (root / "output" / "message").read_text()
    return root / "processing" / "output", model


def test_the_scene_is_left_as_structure_from_motion_leaves_one(left: tuple[Path, pycolmap.Reconstruction]) -> None:
    output, _ = left
    assert file_faults(output, "sfm", "photos", "georeference", "blocks") == []
    counts = read_json(output / "result.json")["counts"]
    assert (counts["photos"], counts["registered"], counts["blocks"]) == (16, 15, 2)
    rows = read_json(output / "photos.json")
    assert [row["original"] for row in rows] == sorted(set(PHOTOS) - {"9.jpg"})
    assert all((output / "images" / row["name"]).is_file() for row in rows)
    skipped, fewer = read_json(output / "result.json")["warnings"]
    assert (skipped["code"], len(skipped["names"])) == ("PHOTOS_SKIPPED", 1)
    assert (fewer["code"], fewer["message"]) == ("FEWER_BLOCKS", "2 of 5 blocks")
    assert {"cameras.png", "overlap.png", "cloud.json", "thumbnails.jpg"} <= {path.name for path in output.iterdir()}
    for block in (1, 2):
        assert pycolmap.Reconstruction(output / "blocks" / f"{block:02d}" / "sparse" / "0").num_points3D() > 50


def test_points_and_cameras_stay_where_they_were(left: tuple[Path, pycolmap.Reconstruction]) -> None:
    output, model = left
    names = {row["name"]: row["original"] for row in read_json(output / "photos.json")}
    whole = {image.name: image for image in model.images.values()}
    scene = pycolmap.Reconstruction(output / "sparse" / "0")
    assert {camera.model.name for camera in scene.cameras.values()} == {"PINHOLE"}
    for image in scene.images.values():
        before = whole[names[image.name]]
        np.testing.assert_allclose(image.projection_center(), before.projection_center(), atol=1e-6)
        camera = scene.camera(image.camera_id)
        off = [
            image.project_point(scene.point3D(seen.point3D_id).xyz) - seen.xy
            for seen in image.points2D
            if seen.has_point3D()
        ]
        assert np.sqrt(np.mean(np.square(off))) < 0.5
        if names[image.name] == "4.jpg":
            assert camera.width < 401
    expected = {tuple(np.round(point.xyz, 6)) for point in model.points3D.values()}
    assert {tuple(np.round(point.xyz, 6)) for point in scene.points3D.values()} <= expected
    assert scene.num_points3D() > 0.9 * model.num_points3D()


def test_masks_and_transparency_are_not_learnt(left: tuple[Path, pycolmap.Reconstruction]) -> None:
    output, _ = left
    names = {row["original"]: row["name"] for row in read_json(output / "photos.json")}
    assert {path.name for path in (output / "masks").iterdir()} == {f"{names[n]}.png" for n in ("3.jpg", "5.jpg")}
    transparent = np.asarray(Image.open(output / "masks" / f"{names['3.jpg']}.png"))
    assert (transparent[:, :100].max(), transparent[:, -100:].min()) == (0, 255)
    masked = np.asarray(Image.open(output / "masks" / f"{names['5.jpg']}.png"))
    assert (masked[:100].min(), masked[-100:].max()) == (255, 0)


def test_a_scene_with_a_place_keeps_it_and_its_exposures(tmp_path: Path) -> None:
    folder = tmp_path / "processing" / "input" / "upload"
    make(folder)
    (folder / "georeference.json").write_text('{"version": 1, "georeferenced": true}')
    (folder / "photos.json").write_text(json.dumps([{"name": "2.jpg", "stops": 3.5}, {"name": "5.jpg"}]))
    assert cut(tmp_path, 1) == 0, (tmp_path / "output" / "message").read_text()
    output = tmp_path / "processing" / "output"
    assert read_json(output / "georeference.json")["georeferenced"] is True
    stops = {row["original"]: row.get("stops") for row in read_json(output / "photos.json")}
    assert (stops["2.jpg"], stops["5.jpg"]) == (3.5, None)
    assert read_json(output / "result.json")["counts"]["blocks"] == 1
    assert not (output / "blocks.json").exists()


def test_a_photo_that_is_cut_off_is_left_out_and_named(tmp_path: Path) -> None:
    folder = tmp_path / "processing" / "input" / "upload"
    make(folder)
    photo = folder / "images" / "2.jpg"
    photo.write_bytes(photo.read_bytes()[: photo.stat().st_size * 2 // 3])
    assert cut(tmp_path, 1) == 0, (tmp_path / "output" / "message").read_text()
    (skipped,) = read_json(tmp_path / "processing" / "output" / "result.json")["warnings"]
    assert (skipped["code"], skipped["names"]) == (
        "PHOTOS_SKIPPED",
        ["2.jpg is cut off: part of the file is missing"],
    )


def test_a_full_disk_is_no_fault_of_the_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "scene")

    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="No space left"):
        read_given(tmp_path / "scene", tmp_path / "photos", tmp_path / "model", silent)


def test_a_photo_whose_name_is_a_folders_is_left_out(tmp_path: Path) -> None:
    make(tmp_path / "scene")
    photo = tmp_path / "scene" / "images" / "9.jpg"
    photo.unlink()
    photo.mkdir()
    given = read_given(tmp_path / "scene", tmp_path / "photos", tmp_path / "model", silent)
    assert (len(given.names), len(given.missing)) == (15, 1)


def test_the_overlap_is_measured_on_the_ground_wherever_the_origin_lies(tmp_path: Path) -> None:
    found = []
    for height in (0.0, -40.0, 300.0):
        model = flight(lens("SIMPLE_PINHOLE", 700.0))
        model.transform(pycolmap.Sim3d(1.0, pycolmap.Rotation3d(), np.array([0.0, 0.0, height])))
        folder = tmp_path / str(height)
        (folder / "images").mkdir(parents=True)
        for name in PHOTOS:
            Image.new("RGB", SIZE).save(folder / "images" / name)
        figures = _figures(folder, model, georeferenced=False)
        found.append((figures["meanOverlap"], figures["overlapShare"]))
    assert found[0][0] > 2
    assert found[1] == found[2] == found[0]


@pytest.mark.parametrize("fault", ["no photos", "no points", "another shape", "a broken model", "no model"])
def test_a_scene_that_cannot_be_trained_on_is_invalid(tmp_path: Path, fault: str) -> None:
    folder = tmp_path / "processing" / "input" / "upload"
    model = make(folder)
    if fault == "no photos":
        for name in PHOTOS[:9]:
            (folder / "images" / name).unlink()
    elif fault == "no points":
        for identifier in list(model.points3D):
            model.delete_point3D(identifier)
        model.write(folder / "sparse" / "0")
    elif fault == "another shape":
        for name in PHOTOS:
            Image.new("RGB", (500, 500)).save(folder / "images" / name)
    elif fault == "a broken model":
        path = folder / "sparse" / "0" / "points3D.bin"
        path.write_bytes(path.read_bytes()[:100])
    else:
        (folder / "sparse" / "0" / "images.bin").unlink()
    assert cut(tmp_path) == 1
    assert (tmp_path / "output" / "message").read_text().startswith("INVALID_SCENE: ")


def test_of_several_models_the_one_with_the_most_photos_is_cut(tmp_path: Path) -> None:
    model = make(tmp_path / "scene")
    for identifier in sorted(model.images)[:6]:
        model.deregister_frame(model.image(identifier).frame_id)
    (tmp_path / "scene" / "sparse" / "1").mkdir()
    model.write(tmp_path / "scene" / "sparse" / "1")
    given = read_given(tmp_path / "scene", tmp_path / "photos", tmp_path / "model", silent)
    assert (len(given.names), given.models) == (16, 2)
    for path in (tmp_path / "scene" / "images").iterdir():
        path.unlink()
    with pytest.raises(StageError, match="INVALID_SCENE: 16 of 16"):
        read_given(tmp_path / "scene", tmp_path / "none", tmp_path / "nothing", silent)
