"""Calibration and undistortion of models with known truth (COLMAP's own synthetic scenes)."""

from __future__ import annotations

import tracemalloc
import weakref
from pathlib import Path

import cv2
import numpy as np
import pycolmap
import pytest
from scipy.spatial.transform import Rotation

from sfm.calibrate import calibrate, finished, view_spread_degrees, without_outliers
from sfm.undistort import Undistortion, Views, undistort_photo, undistorted_model, undistortion_of
from tests.unit.sfm.models import add_tracks


def nadir_flight(focal: float, tilt: float = 0.0, seed: int = 0) -> pycolmap.Reconstruction:
    """Twelve photos straight down of rolling ground, with a tenth of a pixel of noise, the camera tilted at random
    with a standard deviation of `tilt` degrees.

    Without any tilt, focal length and height above ground cannot be distinguished at all.
    """
    rng = np.random.default_rng(seed)
    model = pycolmap.Reconstruction()
    camera = pycolmap.Camera.create_from_model_name(1, "SIMPLE_RADIAL", focal, 800, 600)
    model.add_camera_with_trivial_rig(camera)
    ground = np.column_stack([rng.uniform(-50, 50, (700, 2)), rng.normal(0, 1.5, 700)])
    seen: list[list[tuple[int, int]]] = [[] for _ in ground]
    for index in range(12):
        centre = np.array([-18.0 + 12 * (index % 4), -12.0 + 12 * (index // 4), 40.0]) + rng.normal(0, 0.5, 3)
        down = Rotation.from_rotvec(np.deg2rad(rng.normal(0, tilt, 3))).as_matrix() @ np.diag([1.0, -1.0, -1.0])
        pose = pycolmap.Rigid3d(pycolmap.Rotation3d(down), -down @ centre)
        local = (ground - centre) @ down.T
        pixels = camera.img_from_cam(local) + rng.normal(0, 0.1, (len(ground), 2))
        inside = np.flatnonzero(((pixels > 0) & (pixels < [800, 600])).all(axis=1))
        for row, point in enumerate(inside):
            seen[point].append((index + 1, row))
        image = pycolmap.Image(name=f"{index}.jpg", keypoints=pixels[inside], camera_id=1, image_id=index + 1)
        model.add_image_with_trivial_frame(image, pose)
    add_tracks(model, ground, seen)
    return model


def squashed(model: pycolmap.Reconstruction, factor: float) -> pycolmap.Reconstruction:
    """The same photos explained by a focal length `factor` times as long and heights to match."""
    result = pycolmap.Reconstruction(model)
    result.camera(1).focal_length = model.camera(1).focal_length * factor
    stretch = np.diag([1.0, 1.0, factor])
    for point in result.points3D.values():
        point.xyz = stretch @ point.xyz
    for image in result.images.values():
        rotation = image.cam_from_world().rotation
        centre = stretch @ image.projection_center()
        image.frame.rig_from_world = pycolmap.Rigid3d(rotation, -rotation.matrix() @ centre)
    options = pycolmap.BundleAdjustmentOptions(refine_focal_length=False, print_summary=False)
    pycolmap.bundle_adjustment(result, options)
    return result


def test_a_drifted_focal_length_comes_back_towards_exif() -> None:
    drifted = squashed(nadir_flight(700), 1.12)
    calibrated, what = calibrate(finished(drifted, 1), {1: 700.0}, 1)
    assert what == "focal length towards EXIF"
    assert calibrated.camera(1).focal_length == pytest.approx(700, rel=1e-9)
    assert calibrated.compute_mean_reprojection_error() <= 1.005 * drifted.compute_mean_reprojection_error()


def test_a_wrong_exif_focal_length_is_refused_by_the_photos() -> None:
    model = nadir_flight(700, tilt=4.0)
    calibrated, _ = calibrate(finished(model, 1), {1: 1400.0}, 1)
    assert calibrated.camera(1).focal_length < 720
    assert calibrated.num_points3D() == model.num_points3D()


def test_an_unfinished_model_gives_a_wrong_exif_no_freedom() -> None:
    model = nadir_flight(700, tilt=4.0)
    rng = np.random.default_rng(1)
    for point in model.points3D.values():
        point.xyz = point.xyz + rng.normal(0, 0.1, 3)
    model.update_point_3d_errors()
    calibrated, _ = calibrate(finished(model, 1), {1: 770.0}, 1)
    assert calibrated.camera(1).focal_length < 720


def test_without_exif_a_nadir_model_is_only_finished() -> None:
    model = nadir_flight(700)
    model.update_point_3d_errors()
    calibrated, what = calibrate(finished(model, 1), {}, 1)
    assert what == "none"
    assert calibrated.compute_mean_reprojection_error() <= model.compute_mean_reprojection_error()
    assert (calibrated.camera(1).principal_point_x, calibrated.camera(1).principal_point_y) == (400, 300)


def test_photos_that_fit_exactly_have_nothing_to_gain_from_another_principal_point() -> None:
    options = pycolmap.SyntheticDatasetOptions(
        num_rigs=1, num_cameras_per_rig=1, num_frames_per_rig=6, num_points3D=60, num_points2D_without_point3D=0
    )
    exact = finished(pycolmap.synthesize_dataset(options), 1)
    assert exact.compute_mean_reprojection_error() == 0
    assert calibrate(exact, {}, 1) == (exact, "none")


def test_oblique_photos_give_away_the_principal_point() -> None:
    options = pycolmap.SyntheticDatasetOptions(
        num_rigs=1, num_cameras_per_rig=1, num_frames_per_rig=12, num_points3D=300, num_points2D_without_point3D=0
    )
    options.camera_params = [1280.0, 532.0, 372.0, 0.05]  # 20 px right of the middle, 12 px above it
    model = pycolmap.synthesize_dataset(options)
    noise = pycolmap.SyntheticNoiseOptions(point2D_stddev=0.2)
    pycolmap.synthesize_noise(noise, model)
    (camera,) = model.cameras.values()
    true_point = (camera.principal_point_x, camera.principal_point_y)
    camera.principal_point_x, camera.principal_point_y = 512.0, 384.0
    pycolmap.bundle_adjustment(model, pycolmap.BundleAdjustmentOptions(print_summary=False))
    calibrated, what = calibrate(finished(model, 1), {}, 1)
    assert what == "principal point"
    (camera,) = calibrated.cameras.values()
    assert (camera.principal_point_x, camera.principal_point_y) == pytest.approx(true_point, abs=2.0)


def test_a_short_ring_that_looks_down_alike_keeps_the_principal_point() -> None:
    """There, a shifted principal point looks the same as cameras with a slightly different pitch."""
    rng = np.random.default_rng(3)
    model = pycolmap.Reconstruction()
    camera = pycolmap.Camera.create_from_model_name(1, "SIMPLE_RADIAL", 830, 1200, 900)
    model.add_camera_with_trivial_rig(camera)
    points = np.column_stack([rng.uniform(-9, 9, (400, 2)), rng.uniform(0, 3, 400)])
    seen: list[list[tuple[int, int]]] = [[] for _ in points]
    for number, angle in enumerate(np.deg2rad(np.linspace(0, 110, 8)), start=1):
        centre = np.array([35 * np.cos(angle), 35 * np.sin(angle), 20.0])
        forward = -centre / np.linalg.norm(centre)
        right = np.cross(forward, [0.0, 0, 1])
        right /= np.linalg.norm(right)
        rotation = np.array([right, np.cross(forward, right), forward])
        local = (points - centre) @ rotation.T
        pixels = local[:, :2] / local[:, 2:] * 830 + [600, 450] + rng.normal(0, 0.3, (400, 2))
        pose = pycolmap.Rigid3d(pycolmap.Rotation3d(rotation), -rotation @ centre)
        image = pycolmap.Image(name=f"{number}.jpg", keypoints=pixels, camera_id=1, image_id=number)
        model.add_image_with_trivial_frame(image, pose)
        for index in range(400):
            seen[index].append((number, index))
    add_tracks(model, points, seen)
    calibrated, what = calibrate(finished(model, 1), {}, 1)
    assert what == "none"
    assert (calibrated.camera(1).principal_point_x, calibrated.camera(1).principal_point_y) == (600, 450)
    assert calibrated.camera(1).focal_length == pytest.approx(830, rel=0.005)


@pytest.mark.parametrize(("width", "loses"), [(800, True), (3200, False)])
def test_observations_that_stand_out_are_left_out(width: int, loses: bool) -> None:
    """Two pixels are far for a photo whose features were found at full size, near if it was twice that size."""
    model = nadir_flight(700)
    model.camera(1).width = width
    image = model.image(1)
    first = image.get_observation_point2D_idxs()[0]
    image.point2D(first).xy = np.add(image.point2D(first).xy, (2.0, 0.0))
    kept = without_outliers(model)
    assert model.compute_num_observations() - kept.compute_num_observations() == int(loses)
    assert kept.num_points3D() >= model.num_points3D() - int(loses)


def test_view_spread() -> None:
    assert view_spread_degrees(np.tile([0.0, 0, -1], (5, 1))) == pytest.approx(0, abs=1e-5)
    turns = np.deg2rad(np.arange(0, 360, 45))
    ring = np.column_stack([np.cos(turns), np.sin(turns), -np.ones(8)]) / np.sqrt(2)
    assert view_spread_degrees(ring) == pytest.approx(45)
    assert view_spread_degrees(np.array([[1.0, 0, 0], [-1, 0, 0]])) == 180


def distorted_camera() -> pycolmap.Camera:
    camera = pycolmap.Camera.create_from_model_name(1, "SIMPLE_RADIAL", 500, 640, 480)
    camera.params = [500.0, 332.0, 231.0, -0.12]
    return camera


def test_what_is_straight_in_the_world_is_straight_in_the_picture(tmp_path: Path) -> None:
    camera = distorted_camera()
    view = undistortion_of(camera)
    columns, rows = np.meshgrid(np.arange(640) + 0.5, np.arange(480) + 0.5)
    plane = camera.cam_from_img(np.column_stack([columns.ravel(), rows.ravel()])).reshape(480, 640, 2)
    # stripes at x = −0.2 and 0.25 of the plane in front of the camera
    stripes = sum(np.exp(-((plane[..., 0] - x) ** 2) / (2 * 0.004**2)) for x in (-0.2, 0.25))
    cv2.imwrite(str(tmp_path / "in.png"), np.repeat((stripes * 220)[..., None], 3, axis=2).astype(np.uint8))
    undistort_photo(tmp_path / "in.png", tmp_path / "out.jpg", view)
    written = cv2.imread(str(tmp_path / "out.jpg"), cv2.IMREAD_GRAYSCALE)
    assert written is not None
    result = written.astype(float)
    assert result.shape == (view.camera.height, view.camera.width)
    for x in (-0.2, 0.25):
        expected = x * view.camera.focal_length_x + view.camera.principal_point_x
        window = slice(int(expected) - 8, int(expected) + 9)
        weights = result[:, window]
        found = (weights * (np.arange(window.start, window.stop) + 0.5)).sum(axis=1) / weights.sum(axis=1)
        assert np.abs(found - expected).max() < 0.25


def test_a_large_photo_takes_little_more_memory_than_its_tables() -> None:
    camera = pycolmap.Camera.create_from_model_name(1, "SIMPLE_RADIAL", 3500, 4000, 3000)
    camera.params = [3500.0, 2000.0, 1500.0, -0.05]
    tracemalloc.start()
    view = undistortion_of(camera)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * (view.coordinates.nbytes + view.fractions.nbytes)


def test_of_many_cameras_few_have_their_tables_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    model, alive, most = pycolmap.Reconstruction(), weakref.WeakSet[Undistortion](), [0]
    for number in range(1, 13):
        camera = distorted_camera()
        camera.camera_id = number
        model.add_camera_with_trivial_rig(camera)

    def counted(camera: pycolmap.Camera) -> Undistortion:
        view = undistortion_of(camera)
        alive.add(view)
        most[0] = max(most[0], len(alive))
        return view

    monkeypatch.setattr("sfm.undistort.undistortion_of", counted)
    views = Views(model, 2)
    for number in range(1, 13):
        view = views.of(number)
        assert views.of(number) is view
        assert view.camera.camera_id == number
    assert most[0] <= 3


@pytest.mark.parametrize(
    ("model", "params", "same"),
    [
        ("SIMPLE_RADIAL", [700.0, 402.5, 298.0, 2e-4], True),  # 0.09 px at a corner
        ("SIMPLE_RADIAL", [700.0, 402.5, 298.0, 5e-3], False),
        ("PINHOLE", [700.0, 690.0, 402.5, 298.0], True),
        ("OPENCV", [700.0, 690.0, 402.5, 298.0, 0.0, 0.0, 0.0, 0.0], True),
        ("OPENCV_FISHEYE", [400.0, 400.0, 400.0, 300.0, 0.0, 0.0, 0.0, 0.0], False),
    ],
)
def test_a_photo_without_distortion_stays_as_it_is(tmp_path: Path, model: str, params: list[float], same: bool) -> None:
    camera = pycolmap.Camera.create_from_model_name(1, model, 700, 800, 600)
    camera.params = params
    view = undistortion_of(camera)
    photo = np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "in.png"), photo)
    written = undistort_photo(tmp_path / "in.png", tmp_path / "out.jpg", view)
    assert (written.shape == photo.shape and bool((written == photo).all())) == same
    if same:
        focal = [view.camera.focal_length_x, view.camera.focal_length_y]
        assert focal == [params[0], 690.0 if len(params) > 4 or model == "PINHOLE" else params[0]]
        assert (view.camera.principal_point_x, view.camera.principal_point_y) == (402.5, 298.0)


def test_the_undistorted_model_keeps_its_geometry() -> None:
    model = nadir_flight(700)
    model.camera(1).params = [700.0, 410.0, 305.0, 0.03]
    images = sorted(model.images.values(), key=lambda image: image.name)
    view = undistortion_of(model.camera(1))
    result = undistorted_model(model, images, {1: view.camera})
    assert result.num_points3D() == model.num_points3D()
    assert result.compute_num_observations() == model.compute_num_observations()
    before = {image.name: image for image in images}
    for image in result.images.values():
        old = before[image.name]
        np.testing.assert_allclose(image.cam_from_world().matrix(), old.cam_from_world().matrix())
        seen = [point.xy for point in old.get_observation_points2D()]
        expected = [model.camera(1).cam_from_img(xy) for xy in seen]
        got = [result.camera(1).cam_from_img(point.xy) for point in image.get_observation_points2D()]
        np.testing.assert_allclose(got, expected, atol=1e-9)
