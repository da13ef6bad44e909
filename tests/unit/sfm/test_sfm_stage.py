"""The whole stage on a small flight with known poses, through its entry point."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pycolmap
import pytest
from PIL import Image

from contract.archive import Entry, entries_of
from sfm.cloud import cloud_json
from sfm.geodesy import LocalFrame
from sfm.position import GeoPosition
from sfm.stage import reconstruct_scene
from stage.contract import run_stage
from tests.support.schemas import faults, file_faults

REPOSITORY = Path(__file__).parents[3]


def upload(root: Path, photos: dict[str, bytes]) -> Path:
    folder = root / "processing" / "input" / "upload"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "photos.zip", "w") as archive:
        for name, data in photos.items():
            archive.writestr(name, data)
    return folder / "photos.zip"


def run(root: Path) -> int:
    return run_stage("sfm", lambda folders: folders.processing_output, reconstruct_scene, {"ML_ROOT": str(root)})


def reason(root: Path) -> str:
    return (root / "output" / "message").read_text()


def evidence(root: Path) -> Path:
    return root / "processing" / "evidence"


@pytest.fixture(scope="module")
def scene(flight: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of one run: the flight, one truncated photo, one photo twice."""
    root = tmp_path_factory.mktemp("ml")
    first = flight.photos["DJI_8.JPG"]
    upload(root, {**flight.photos, "cut.jpg": first[: len(first) // 2], "sub/copy.jpg": first, "notes.txt": b"hello"})
    assert run(root) == 0, reason(root)
    return root / "processing" / "output"


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def test_every_good_photo_is_registered_and_counted(scene: Path) -> None:
    result = read_json(scene / "result.json")
    assert result["stage"] == "sfm"
    counts, metrics = result["counts"], result["metrics"]
    assert (counts["photos"], counts["usable"], counts["registered"]) == (10, 8, 8)
    assert counts["points"] > 500
    assert metrics["reprojectionError"] < 0.6
    assert metrics["meanTrackLength"] > 2.5
    assert metrics["gpsRms"] < 0.2
    assert set(result["timings"]) >= {"unpack", "ingest", "features", "matching", "mapping", "undistort"}


def test_the_survey_figures_are_those_of_the_flight(scene: Path) -> None:
    """Eight photos from 40 m with 500 pixels of focal length over blocks 4 to 11 m high; GPS within centimetres."""
    found = read_json(scene / "survey.json")
    assert found["gsd_metres"] == pytest.approx(38 / 500, rel=0.08)
    assert found["flight_height_metres"] == pytest.approx(40, abs=5)
    assert 0 < found["area_square_metres"]["seen_by_three"] < found["area_square_metres"]["seen"] < 90 * 90
    (camera,) = found["cameras"]
    assert (camera["photos"], camera["width"], camera["height"]) == (8, 640, 480)
    assert camera["focal_pixels"] == pytest.approx(500, rel=0.03)
    counts = read_json(scene / "result.json")["counts"]
    assert sum(row["points"] for row in found["track_lengths"]) == counts["points"]
    seen = sum(row["points"] * row["photos"] for row in found["track_lengths"])
    assert sum(found["reprojection_pixels"]["counts"]) == seen
    assert found["systematic_pixels"] is None or found["systematic_pixels"] < found["reprojection_pixels"]["rms"] * 2
    assert found["observations_median"] == pytest.approx(seen / 8, rel=0.3)
    assert found["reprojection_pixels"]["mean"] < 0.6
    assert found["gps"]["count"] == 8
    assert max(found["gps"]["rms_metres"]) < 0.3
    assert found["control"] is None
    place = read_json(scene / "georeference.json")
    assert place["projected"]["epsg"] == 32615
    assert place["heights"]["datum"].startswith("sea level")


def test_the_cloud_shows_every_camera_where_the_model_has_it(scene: Path) -> None:
    model = pycolmap.Reconstruction(scene / "sparse" / "0")
    cloud = read_json(scene / "cloud.json")
    images = {image.name: image for image in model.images.values()}
    assert {camera["name"] for camera in cloud["cameras"]} == set(images)
    for camera in cloud["cameras"]:
        image = images[camera["name"]]
        assert np.allclose(np.add(camera["position"], cloud["centre"]), image.projection_center(), atol=2e-3)
        assert np.allclose(camera["forward"], image.viewing_direction(), atol=1e-3)
    positions = np.frombuffer(base64.b64decode(cloud["points"]["positions"]), "<f4").reshape(-1, 3)
    colors = np.frombuffer(base64.b64decode(cloud["points"]["colors"]), np.uint8).reshape(-1, 3)
    assert len(positions) == len(colors) == cloud["points"]["count"] == model.num_points3D()
    known = np.array([point.xyz for point in model.points3D.values()])
    assert np.allclose(np.sort(positions[:, 0] + cloud["centre"][0]), np.sort(known[:, 0]), atol=1e-3)


def test_a_large_cloud_is_subsampled_evenly() -> None:
    points = np.linspace(0, 1, 50_000)[:, None] * np.ones(3)
    cloud = cloud_json(["a.jpg"], np.zeros((1, 3)), np.ones((1, 3)), points, 255 * points, metric=False)
    positions = np.frombuffer(base64.b64decode(cloud["points"]["positions"]), "<f4").reshape(-1, 3)
    assert len(positions) == 20_000
    assert np.abs(np.diff(positions[:, 0]) - 1 / 20_000).max() < 4e-5


def test_the_contact_sheet_holds_the_photos_in_order(scene: Path) -> None:
    with Image.open(scene / "thumbnails.jpg") as sheet, Image.open(scene / "images/000003.jpg") as photo:
        assert sheet.size == (8 * 160, 120)
        small = photo.convert("RGB")
        small.thumbnail((160, 120))
        left, top = 2 * 160 + (160 - small.width) // 2, (120 - small.height) // 2
        cell = sheet.crop((left, top, left + small.width, top + small.height))
        coarse = [np.asarray(picture.resize((16, 12), Image.Resampling.BOX), float) for picture in (cell, small)]
        assert np.abs(coarse[0] - coarse[1]).mean() < 4


def test_the_cut_photo_and_the_copy_are_named(scene: Path) -> None:
    account = {row["original"]: row for row in read_json(scene / "photos.json")}
    assert len(account) == 10
    assert not account["cut.jpg"]["registered"]
    assert "cut off" in account["cut.jpg"]["reason"]
    assert account["sub/copy.jpg"]["reason"] == "same photo as DJI_8.JPG"
    row = account["DJI_15.JPG"]
    assert (row["name"], row["registered"], row["blurred"]) == ("000008.jpg", True, False)
    assert row["features"] > 500
    (warning,) = [w for w in read_json(scene / "result.json")["warnings"] if w["code"] == "PHOTOS_SKIPPED"]
    assert warning["names"] == ["cut.jpg", "sub/copy.jpg"]


def test_the_files_are_those_of_the_contract(scene: Path) -> None:
    files = {path.relative_to(scene).as_posix() for path in scene.rglob("*") if path.is_file()}
    images = {f"images/{i:06d}.jpg" for i in range(1, 9)}
    model = {f"sparse/0/{name}.bin" for name in ("cameras", "images", "points3D")}
    pictures = {"cameras.png", "overlap.png", "cloud.json", "thumbnails.jpg"}
    assert files == images | model | {"photos.json", "georeference.json", "survey.json", "result.json", *pictures}
    assert {row["path"] for row in read_json(scene / "result.json")["files"]} == files - {"result.json"}


def test_what_it_leaves_keeps_to_the_schemas(scene: Path) -> None:
    assert file_faults(scene, "sfm", "photos", "georeference", "survey") == []


def test_cameras_are_where_they_were_metric_and_north_up(scene: Path, flight: Any) -> None:
    georeference = read_json(scene / "georeference.json")
    assert georeference["georeferenced"] is True
    origin = LocalFrame(*georeference["origin"].values())
    from_truth = origin.to_enu(GeoPosition(46.84, -91.99, 150.0))  # the flight's own origin
    model = pycolmap.Reconstruction(scene / "sparse" / "0")
    images = sorted(model.images.values(), key=lambda image: image.name)
    centres = np.array([image.projection_center() for image in images])
    np.testing.assert_allclose(centres, flight.centres + from_truth, atol=1.0)
    rotations = np.array([image.cam_from_world().rotation.matrix() for image in images])
    traces = np.einsum("nij,nij->n", rotations, flight.rotations)
    assert np.rad2deg(np.arccos(np.clip((traces - 1) / 2, -1, 1))).max() < 1.5
    heights = np.array([point.xyz[2] for point in model.points3D.values()])
    assert np.median(heights) == pytest.approx(0, abs=0.3)
    assert 8 < np.percentile(heights, 99.5) < 13  # the highest block is 11 m above the ground


def test_images_are_pinhole_without_exif_and_points_project_where_they_were_seen(scene: Path) -> None:
    model = pycolmap.Reconstruction(scene / "sparse" / "0")
    for camera in model.cameras.values():
        assert camera.model_name == "PINHOLE"
        assert camera.focal_length_x == pytest.approx(500, rel=0.05)
    errors = []
    for image in model.images.values():
        with Image.open(scene / "images" / image.name) as photo:
            assert dict(photo.getexif()) == {}
            assert photo.size == (image.camera.width, image.camera.height)
        for observed in image.get_observation_points2D():
            projected = image.project_point(model.point3D(observed.point3D_id).xyz)
            errors.append(float(np.linalg.norm(projected - observed.xy)))
    assert np.mean(errors) < 0.7


def test_the_picture_shows_something(scene: Path) -> None:
    with Image.open(scene / "cameras.png") as picture:
        assert picture.width > 600
        colours = picture.convert("RGB").getcolors(1 << 24)
        assert colours is not None
        assert len(colours) > 100
    with Image.open(scene / "overlap.png") as picture:
        assert picture.width > 600
    metrics = read_json(scene / "result.json")["metrics"]
    assert 2 < metrics["meanOverlap"] < 8
    assert 0.4 < metrics["overlapShare"] <= 1


def test_points_have_the_colours_of_the_photos(scene: Path) -> None:
    model = pycolmap.Reconstruction(scene / "sparse" / "0")
    (image,) = [image for image in model.images.values() if image.name == "000001.jpg"]
    observed = image.get_observation_points2D()
    with Image.open(scene / "images" / image.name) as photo:
        pixels = np.asarray(photo.convert("RGB"), float)
    seen = np.array([pixels[int(p.xy[1]), int(p.xy[0])] for p in observed])
    stored = np.array([model.point3D(p.point3D_id).color for p in observed], float)
    assert np.corrcoef(seen.ravel(), stored.ravel())[0, 1] > 0.9


def test_two_photos_are_too_few_and_nothing_is_left_behind(tmp_path: Path, flight: Any) -> None:
    upload(tmp_path, dict(list(flight.photos.items())[:2]))
    assert run(tmp_path) == 1
    assert reason(tmp_path).startswith("TOO_FEW_PHOTOS: 2 of 2 photos can be used")
    assert list((tmp_path / "processing" / "output").iterdir()) == []
    rows = read_json(evidence(tmp_path) / "photos.json")
    assert [(row["registered"], "features" in row, "reason" in row) for row in rows] == [(False, False, False)] * 2
    assert {path.name for path in evidence(tmp_path).iterdir()} == {"photos.json", "thumbnails.jpg"}


def test_no_photos_and_no_zip(tmp_path: Path) -> None:
    upload(tmp_path / "a", {"readme.txt": b"hello"})
    assert run(tmp_path / "a") == 1
    assert reason(tmp_path / "a").startswith("NO_PHOTOS")
    upload(tmp_path / "b", {}).write_bytes(b"not a zip")
    assert run(tmp_path / "b") == 1
    assert reason(tmp_path / "b").startswith("NOT_A_ZIP")
    assert run(tmp_path / "c") == 1
    assert reason(tmp_path / "c").startswith("NOT_A_ZIP: expected one uploaded file")


def test_the_list_of_an_archive_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[BinaryIO] = []

    def listed(archive: BinaryIO) -> list[Entry]:
        read.append(archive)
        return entries_of(archive)

    monkeypatch.setattr("stage.archive.entries_of", listed)
    upload(tmp_path, {"readme.txt": b"hello", "cut.jpg": b"\xff\xd8\xff"})
    assert run(tmp_path) == 1
    assert len(read) == 1


def test_unrelated_photos_do_not_overlap(tmp_path: Path, unrelated: dict[str, bytes]) -> None:
    upload(tmp_path, unrelated)
    assert run(tmp_path) == 1
    assert reason(tmp_path).startswith("NO_OVERLAP: no two of the 4 photos")
    assert list((tmp_path / "processing" / "output").iterdir()) == []
    rows = read_json(evidence(tmp_path) / "photos.json")
    assert ["matches no other photo" in row["reason"] for row in rows] == [True] * 4
    assert {path.name for path in evidence(tmp_path).iterdir()} == {"photos.json", "thumbnails.jpg"}


def test_an_upload_of_too_few_photos_that_fit_together_leaves_what_became_of_each(
    tmp_path: Path, flight: Any, unrelated: dict[str, bytes]
) -> None:
    upload(tmp_path, {**dict(list(flight.photos.items())[:4]), **{f"other/{n}": data for n, data in unrelated.items()}})
    assert run(tmp_path) == 1
    assert reason(tmp_path).startswith("LOW_REGISTRATION: 4 of 8 photos placed")
    assert list((tmp_path / "processing" / "output").iterdir()) == []
    rows = read_json(evidence(tmp_path) / "photos.json")
    assert [row["original"] for row in rows if row["registered"]] == list(flight.photos)[:4]
    assert all("matches no other photo" in row["reason"] for row in rows if not row["registered"])
    assert faults("photos", rows) == []
    assert len(read_json(evidence(tmp_path) / "cloud.json")["cameras"]) == 4
    for name in ("overlap.png", "cameras.png"):
        with Image.open(evidence(tmp_path) / name) as shown:
            assert np.asarray(shown.convert("L")).std() > 5
    with Image.open(evidence(tmp_path) / "thumbnails.jpg") as sheet:
        pixels = np.asarray(sheet.convert("RGB"), int)
    framed = [
        (np.abs(pixels[58:62, 160 * n : 160 * n + 6] - (255, 90, 90)).max(axis=2) < 60).any() for n in range(len(rows))
    ]
    assert framed == [not row["registered"] for row in rows]


def test_what_goes_wrong_with_the_evidence_does_not_hide_the_reason(
    tmp_path: Path, unrelated: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("sfm.evidence.write_thumbnails", full)
    upload(tmp_path, unrelated)
    assert run(tmp_path) == 1
    assert reason(tmp_path).startswith("NO_OVERLAP")


def test_sigterm_leaves_soon_with_a_reason_and_no_output(tmp_path: Path, flight: Any) -> None:
    upload(tmp_path, flight.photos)
    path = os.pathsep.join(str(REPOSITORY / part) for part in ("containers", "containers/sfm"))
    process = subprocess.Popen(
        [sys.executable, "-m", "sfm"],
        env={**os.environ, "ML_ROOT": str(tmp_path), "PYTHONPATH": path},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    process.stderr.readline()  # the first progress event: the stage is running
    process.send_signal(signal.SIGTERM)
    start = time.monotonic()
    process.communicate(timeout=60)
    assert process.returncode == 1
    assert time.monotonic() - start < 30
    assert reason(tmp_path).startswith("INTERRUPTED")
    assert list((tmp_path / "processing" / "output").iterdir()) == []


def test_version_is_printed() -> None:
    path = os.pathsep.join(str(REPOSITORY / part) for part in ("containers", "containers/sfm"))
    shown = subprocess.run(
        [sys.executable, "-m", "sfm", "--version"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.startswith("spaceport sfm ")
