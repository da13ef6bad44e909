"""The camera model follows the lens: by the photos' metadata, and by the residuals of the simplest model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap
import pytest

from contract.warning_codes import WarningCode
from sfm.calibrate import finished
from sfm.database import write_database
from sfm.exif import Metadata, focal_in_pixels
from sfm.features import Features
from sfm.lens import begin_with_lenses, fitting_lens, write_lenses
from sfm.lens_tags import Lens, lens_of
from sfm.photos import Photo
from sfm.position import GeoPosition
from sfm.remarks import camera_warnings
from sfm.shutter import speed_of
from sfm.undistort import undistortion_of
from tests.unit.sfm.models import SIZE, as_simple, flight, lens

DEWARP = "2021-11-16;3666.66,3672.4,5.6,-20.7,-0.2663,0.1120,0.0003,0.00004,-0.0349"


def fitted(truth: pycolmap.Reconstruction) -> pycolmap.Reconstruction | None:
    simple = as_simple(truth)
    return fitting_lens(simple, finished(simple, 1), 1)


def centre_error(model: pycolmap.Reconstruction, truth: pycolmap.Reconstruction) -> float:
    """Error of the camera centres as a share of the flight's size, after the best similarity."""
    ours, theirs = (
        np.array([image.projection_center() for _, image in sorted(m.images.items())]) for m in (model, truth)
    )
    a, b = ours - ours.mean(axis=0), theirs - theirs.mean(axis=0)
    u, s, vt = np.linalg.svd(b.T @ a)
    sign = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    placed = a @ (u @ np.diag(sign) @ vt).T * (s @ sign) / np.square(a).sum()
    return float(np.linalg.norm(placed - b, axis=1).mean() / np.abs(b).max())


def test_a_fisheye_gets_a_camera_that_follows_it() -> None:
    truth = flight(lens("RADIAL_FISHEYE", 300.0, 0.01, -0.003))
    found = fitted(truth)
    assert found is not None
    assert found.camera(1).model_name == "RADIAL_FISHEYE"
    assert found.camera(1).params[0] == pytest.approx(300, rel=0.01)
    assert found.compute_mean_reprojection_error() < 0.2
    assert 4 * centre_error(found, truth) < centre_error(as_simple(truth), truth)
    view = undistortion_of(found.camera(1))
    assert view.camera.model_name == "PINHOLE"


def test_an_ordinary_lens_keeps_the_simplest_camera() -> None:
    for camera in (lens("SIMPLE_RADIAL", 500.0, 0.0), lens("SIMPLE_RADIAL", 450.0, -0.08)):
        assert fitted(flight(camera)) is None


def test_strong_distortion_of_a_rectilinear_lens_gets_two_terms() -> None:
    found = fitted(flight(lens("RADIAL", 420.0, -0.27, 0.11)))
    assert found is not None
    assert found.camera(1).model_name == "RADIAL"
    assert found.camera(1).params[3:].tolist() == pytest.approx([-0.27, 0.11], abs=0.02)


@pytest.mark.parametrize(
    ("xmp", "name", "expected"),
    [
        (f'<a drone-dji:DewarpData="{DEWARP}" drone-dji:DewarpFlag="0"/>', "", Lens("RADIAL", (-0.2663, 0.112))),
        (f'<a drone-dji:DewarpData="{DEWARP}"/>', "", Lens("RADIAL", (-0.2663, 0.112))),
        (f'<a drone-dji:DewarpData="{DEWARP}" drone-dji:DewarpFlag="1"/>', "", None),
        ('<a drone-dji:DewarpData="2021;1,2,x"/>', "", None),
        ('<a drone-dji:DewarpData="2021-01-01;0,0,0,0,0,0,0,0,0"/>', "", None),
        ('<Camera:ModelType>fisheye</Camera:ModelType>', "", Lens("RADIAL_FISHEYE")),
        ('<a Camera:ModelType="perspective"/>', "", None),
        ("", "EF8-15mm f/4L FISHEYE USM", Lens("RADIAL_FISHEYE")),
        ("", "", None),
    ],
)  # fmt: skip
def test_what_photos_say_of_their_lens(xmp: str, name: str, expected: Lens | None) -> None:
    assert lens_of(xmp, name) == expected


def photos(*metadata: Metadata) -> list[Photo]:
    return [Photo(f"{i}.jpg", f"{i}.JPG", Path(), *SIZE, data) for i, data in enumerate(metadata)]


def database_of(path: Path, taken: list[Photo]) -> Path:
    nothing = Features(np.zeros((0, 4), np.float32), np.zeros((0, 128), np.uint8))
    write_database(path, taken, [nothing] * len(taken))
    return path


def cameras(path: Path) -> list[pycolmap.Camera]:
    with pycolmap.Database.open(path) as opened:
        return list(opened.read_all_cameras())


def test_mapping_begins_with_the_lens_that_photos_name(tmp_path: Path) -> None:
    taken = photos(Metadata(focal=700.0, lens=Lens("RADIAL", (-0.27, 0.11))), Metadata(focal=650.0))
    database = database_of(tmp_path / "colmap.db", taken)
    assert [camera.model_name for camera in cameras(database)] == ["SIMPLE_RADIAL"] * 2
    begin_with_lenses(database, taken)
    named, other = cameras(database)
    assert named.params.tolist() == [700, 400, 300, -0.27, 0.11]
    assert named.has_prior_focal_length
    assert other.model_name == "SIMPLE_RADIAL"


def test_the_second_mapping_begins_with_the_cameras_that_were_found(tmp_path: Path) -> None:
    database = database_of(tmp_path / "colmap.db", photos(Metadata(focal=700.0)))
    model = pycolmap.Reconstruction()
    model.add_camera_with_trivial_rig(lens("RADIAL_FISHEYE", 310.0, 0.02, 0.0))
    write_lenses(database, model)
    (camera,) = cameras(database)
    assert (camera.model_name, camera.params.tolist()) == ("RADIAL_FISHEYE", [310, 400, 300, 0.02, 0])


def test_every_zoom_setting_is_a_camera_of_its_own(tmp_path: Path) -> None:
    wide = Metadata(make="DJI", model="M3T", focal_tag=12.0)
    taken = photos(wide, wide, replace(wide, focal_tag=24.0), replace(wide, digital_zoom=2.0))
    assert len(cameras(database_of(tmp_path / "colmap.db", taken))) == 3


def test_a_digital_zoom_lengthens_the_focal_length_that_millimetres_give() -> None:
    details = {37386: 8.8, 41486: 5472 / 13.2, 41488: 4, 40962: 5472}
    assert focal_in_pixels({**details, 41988: 2.0}, "", 5472, 3648) == pytest.approx(2 * 3648)
    assert focal_in_pixels({**details, 41988: 0}, "", 5472, 3648) == pytest.approx(3648)
    assert focal_in_pixels({41989: 24, 41988: 2.0}, "", 3000, 2000) == pytest.approx(2000)


def flown(metres_per_second: float, model: str) -> list[Photo]:
    """A photo every two seconds, flying north."""
    return photos(
        *[
            Metadata(
                model=model,
                taken_at=f"2024:05:01 10:00:{2 * i:02d}",
                position=GeoPosition(47 + 2 * i * metres_per_second / 111_195, 8.0, 400.0),
            )
            for i in range(12)
        ]
    )


def test_speed_is_that_between_photos() -> None:
    assert speed_of(flown(8.0, "FC3582")) == pytest.approx(8.0, rel=0.01)
    assert speed_of(photos(Metadata(), Metadata(taken_at="yesterday"))) is None


@pytest.mark.parametrize(("model", "speed", "said"), [("FC3582", 8.0, True), ("FC3582", 0.5, False), ("M3E", 8, False)])
def test_a_rolling_shutter_on_a_fast_flight_is_named(model: str, speed: float, said: bool) -> None:
    found = camera_warnings(flight(lens("SIMPLE_RADIAL", 500.0, 0.0)), flown(speed, model), 0.02)
    assert [warning.code for warning in found] == ([WarningCode.ROLLING_SHUTTER] if said else [])
    if said:
        assert "26 ms" in found[0].message
        assert "10 pixels" in found[0].message


def test_a_lens_that_nothing_follows_is_named() -> None:
    model = flight(lens("SIMPLE_RADIAL", 500.0, 0.0))
    for point in model.points3D.values():
        point.xyz = point.xyz + np.random.default_rng(int(point.xyz[0] * 100) % 997).normal(0, 0.4, 3)
    model.update_point_3d_errors()
    assert [warning.code for warning in camera_warnings(model, [], None)] == [WarningCode.LENS_UNFITTED]
