"""Ground control points: the list's format, and a model georeferenced by them."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import numpy as np
import pycolmap
import pytest
from pyproj import Transformer
from scipy.spatial.transform import Rotation

from sfm.control import TooFewControlPointsError, are_checks, fit_control_points
from sfm.exif import Metadata
from sfm.gcp import ControlPoint, Mark, UnusableGcpFileError, names_of_photos, parse_gcp_list, read_text
from sfm.geodesy import LocalFrame
from sfm.photos import Photo
from sfm.placing import place
from sfm.position import GeoPosition
from sfm.vertical import Heights, heights_of_control_points
from stage.archive import UnpackedFile
from tests.support.schemas import faults

PHOTOS = {"dji_1.jpg": "000001.jpg", "dji_2.jpg": "000002.jpg"}
# 48° N on the central meridian of zone 32, by the series of the meridian's arc (Snyder 1987, 3-21) times 0.9996
UTM = (500_000.0, 5_316_300.29)


@pytest.mark.parametrize(
    "header", ["EPSG:32632", "WGS84 UTM 32N", "wgs84 utm 32n", "+proj=utm +zone=32 +datum=WGS84 +units=m +no_defs"]
)
def test_marks_of_one_place_are_one_point(header: str) -> None:
    lines = f"{UTM[0]} {UTM[1]} 520.5 100.5 200 DJI_1.JPG church\n{UTM[0]} {UTM[1]} 520.5 300 400 sub/DJI_2.JPG church"
    (point,), _ = parse_gcp_list(f"{header}\n# a remark\n\n{lines}\n", PHOTOS)
    assert point.name == "church"
    assert (point.position.latitude, point.position.longitude) == pytest.approx((48.0, 9.0), abs=1e-5)
    assert point.position.altitude == 520.5
    assert point.marks == (Mark("000001.jpg", 100.5, 200.0), Mark("000002.jpg", 300.0, 400.0))


@pytest.mark.parametrize(
    ("header", "metres", "heights"),
    [
        ("EPSG:25832", 520.5, Heights("that of the control points")),
        ("EPSG:5555", 520.5, Heights("DHHN92 height", 5783)),
        ("EPSG:8718", 520.5 * 1200 / 3937, Heights("North American Vertical Datum 1988")),
        ("+proj=utm +zone=32 +vunits=ft", 520.5 * 0.3048, Heights("the ellipsoid")),
    ],
)
def test_heights_in_feet_become_metres(header: str, metres: float, heights: Heights) -> None:
    (point,), system = parse_gcp_list(f"{header}\n300000 200000 520.5 1 2 dji_1.jpg", PHOTOS)
    assert point.position.altitude == pytest.approx(metres, rel=1e-9)
    assert heights_of_control_points(system) == heights


def test_the_guides_example_is_a_list_of_three_control_points_and_a_check_point() -> None:
    page = (Path(__file__).parents[3] / "docs" / "uploads.md").read_text(encoding="utf-8")
    text = page.partition("## Control points\n")[2].split("```\n")[1]
    names = {f"dji_{number:04}.jpg": f"{number:06}.jpg" for number in range(12, 27)}
    points, system = parse_gcp_list(text, names)
    assert system.to_epsg() == 32632
    assert [len(point.marks) for point in points] == [2, 2, 2, 2]
    assert are_checks([point.name for point in points]).tolist() == [False, False, False, True]


def test_of_two_marks_in_one_photo_the_last_counts() -> None:
    lines = [
        f"500000 5316300 520 {column} 200 {photo}.jpg A" for column, photo in ((1, "dji_1"), (2, "dji_2"), (3, "dji_1"))
    ]
    (point,), _ = parse_gcp_list("\n".join(["EPSG:32632", *lines]), PHOTOS)
    assert point.marks == (Mark("000001.jpg", 3.0, 200.0), Mark("000002.jpg", 2.0, 200.0))


def test_geographic_tabs_spaces_in_names_and_strangers() -> None:
    text = "\ufeffEPSG:4326\r\n11.5\t48.1\t500\t1\t2\tmy photo.jpg\tA\r\n11.6\t48.1\t500\t1\t2\tnot here.jpg\tB\r\n"
    (point,), _ = parse_gcp_list(text, {"my photo.jpg": "000007.jpg"})
    assert point == ControlPoint("A", GeoPosition(48.1, 11.5, 500.0), (Mark("000007.jpg", 1.0, 2.0),))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("somewhere in Europe\n1 2 3 4 5 a.jpg", "not a coordinate system"),
        ("EPSG:4326\n1 2 3 4 5", "line 2"),
        ("EPSG:4326\n\n11.5 x 3 4 5 a.jpg", "line 3"),
        ("EPSG:4326\n11 48 nan 4 5 dji_1.jpg", "a value that is not a finite number"),
        ("EPSG:32632\n9e30 48 3 4 5 dji_1.jpg", "outside the list's coordinate system"),
        ("EPSG:4326\n11 5000000 3 4 5 dji_1.jpg", "outside the list's coordinate system"),
    ],
)
def test_a_list_that_cannot_be_read_says_why(text: str, words: str) -> None:
    with pytest.raises(UnusableGcpFileError, match=words):
        parse_gcp_list(text, PHOTOS)


def test_names_that_two_photos_share_identify_neither_without_their_folders() -> None:
    names = names_of_photos({"a/1.JPG": "x", "b/1.jpg": "y", "c/2.jpg": "z"})
    assert names == {"2.jpg": "z", "a/1.jpg": "x", "b/1.jpg": "y", "c/2.jpg": "z"}


@pytest.mark.parametrize(
    ("listed", "photo"),
    [("a/IMG_1.JPG", "x"), ("a/img_1.jpg", "y"), ("A/Img_1.jpg", None), ("img_1.jpg", None), ("A/IMG_2.jpg", "z")],
)
def test_photos_whose_paths_differ_in_case_alone_are_found_by_the_path_as_it_is_written(
    listed: str, photo: str | None
) -> None:
    names = names_of_photos({"a/IMG_1.JPG": "x", "a/img_1.jpg": "y", "a/img_2.jpg": "z"})
    found, _ = parse_gcp_list(f"EPSG:4326\n11.5 48.1 500 1 2 {listed} P\n", names)
    assert [mark.photo for point in found for mark in point.marks] == ([photo] if photo else [])


TYPED = {
    "Dachfläche_01.JPG": "000001.jpg",
    "Flug 3:4 Süd/photo 2.jpg": "000002.jpg",
    "空撮03_予定表.JPG": "000003.jpg",
    "photo.jpg": "000004.jpg",
}


@pytest.mark.parametrize(
    ("listed", "photo", "point"),
    [
        ("Dachfläche_01.JPG P1", "000001.jpg", "P1"),
        (unicodedata.normalize("NFD", "Dachfläche_01.JPG") + " P1", "000001.jpg", "P1"),
        ("DACHFLÄCHE_01.jpg", "000001.jpg", "point 1"),
        ("photo 2.jpg P2", "000002.jpg", "P2"),
        ("Flug 3:4 Süd/photo 2.jpg   P2 more", "000002.jpg", "P2"),
        ("Flug 3:4 Süd\\photo 2.jpg P2", "000002.jpg", "P2"),
        ("空撮03_予定表.JPG P3", "000003.jpg", "P3"),
        ("photo.jpg 2.jpg", "000004.jpg", "2.jpg"),
    ],
)
def test_marks_find_photos_by_the_names_that_pilots_type(listed: str, photo: str, point: str) -> None:
    (found,), _ = parse_gcp_list(f"EPSG:4326\n11.5 48.1 500 1 2 {listed}\n", names_of_photos(TYPED))
    assert (found.name, found.marks) == (point, (Mark(photo, 1.0, 2.0),))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp932", "latin-1", "cp437"])
def test_lists_are_read_in_the_encoding_that_finds_their_photos(tmp_path: Path, encoding: str) -> None:
    photo = "空撮03_予定表.JPG" if encoding == "cp932" else "Dachfläche_01.JPG"
    names = names_of_photos(TYPED)
    (tmp_path / "gcp_list.txt").write_bytes(f"EPSG:4326\n11.5 48.1 500 1 2 {photo} P\n".encode(encoding))
    (point,), _ = parse_gcp_list(read_text(tmp_path / "gcp_list.txt", names), names)
    assert [mark.photo for mark in point.marks] == [TYPED[photo]]


def test_the_work_to_tell_an_encoding_grows_with_the_list_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = names_of_photos({f"Süd_{n:04d}.JPG": f"{n:06d}.jpg" for n in range(500)})
    lines = [f"11.5 48.1 500 1 2 Süd_{n:04d}.JPG P{n}" for n in range(500)]
    (tmp_path / "gcp_list.txt").write_bytes("\n".join(["EPSG:4326", *lines]).encode("cp437"))
    normalised: list[int] = []

    def counted(form: Literal["NFC"], text: str) -> str:
        normalised.append(len(text))
        return unicodedata.normalize(form, text)

    monkeypatch.setattr("sfm.gcp.unicodedata", SimpleNamespace(normalize=counted))
    points, _ = parse_gcp_list(read_text(tmp_path / "gcp_list.txt", names), names)
    assert sum(len(point.marks) for point in points) == 500
    assert sum(normalised) < 20 * (tmp_path / "gcp_list.txt").stat().st_size


def test_old_editors_and_huge_files(tmp_path: Path) -> None:
    (tmp_path / "gcp_list.txt").write_bytes("Kirche Süd".encode("latin-1"))
    assert read_text(tmp_path / "gcp_list.txt", {}) == "Kirche Süd"
    (tmp_path / "gcp_list.txt").write_bytes(b"0" * (5 << 20))
    with pytest.raises(UnusableGcpFileError, match="larger than"):
        read_text(tmp_path / "gcp_list.txt", {})


@pytest.mark.parametrize(
    "header",
    [
        "+init=/etc/passwd:key",
        "+proj=longlat +nadgrids=/etc/passwd", "+proj=utm +zone=3 +geoidgrids=http://a.b/c",
        "+proj=pipeline +step +proj=unitconvert", "+proj=longlat +datum=WGS84 +nadgrids=../../a.gsb",
        "+proj=utm +zone=32 +zone=33", "+proj=utm +zone=32/../x", "init=epsg:4326", "urn:ogc:def:crs:EPSG::32632",
        'GEOGCRS["x",' + "[" * 9000, "/etc/passwd", "file:///etc/passwd", "EPSG:99999999999", "+proj=",
        "+proj=utm " + "+k=1 " * 9000, "EPSG:0", "WGS84 UTM 99N", "{}",
    ],
)  # fmt: skip
def test_a_coordinate_system_opens_no_file(header: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("sfm.crs.CRS.from_proj4", lambda text: asked.append(text))
    with pytest.raises(UnusableGcpFileError, match="not a coordinate system"):
        parse_gcp_list(f"{header}\n1 2 3 4 5 dji_1.jpg", PHOTOS)
    assert asked == []


@pytest.mark.parametrize(
    "header",
    [
        "+proj=longlat +datum=WGS84 +no_defs +type=crs", "epsg: 4326", "WGS84 UTM 5S",
        "+proj=tmerc +lat_0=0 +lon_0=9 +k=1 +x_0=3500000 +y_0=0 +ellps=bessel +towgs84=598.1,73.7,418.2 +units=m",
        "+proj=merc +a=6378137 +b=6378137 +lat_ts=0 +lon_0=0 +x_0=0 +y_0=0 +k=1 +units=m +nadgrids=@null +no_defs",
    ],
)  # fmt: skip
def test_honest_coordinate_systems_are_taken(header: str) -> None:
    assert parse_gcp_list(header, PHOTOS)[0] == []


FRAME = LocalFrame(47.0, 8.0, 400.0)
GROUND = np.array([[-20.0, -15, 0], [22, -12, 3], [18, 20, -2], [-17, 16, 5], [0, 2, 8.0]])


def flight() -> pycolmap.Reconstruction:
    """Six photos of the ground from 40 m, first in metres, then moved, rotated and scaled as models are."""
    options = pycolmap.SyntheticDatasetOptions(num_frames_per_rig=2, num_points3D=50)
    options.num_rigs, options.num_cameras_per_rig = 1, 1
    model = pycolmap.Reconstruction()
    camera = pycolmap.Camera.create_from_model_name(1, "SIMPLE_RADIAL", 700, 800, 600)
    camera.params = [700.0, 405.0, 298.0, 0.04]
    model.add_camera_with_trivial_rig(camera)
    rng = np.random.default_rng(3)
    for index in range(6):
        centre = np.array([-10.0 + 10 * (index % 3), -8.0 + 16 * (index // 3), 40.0])
        down = Rotation.from_rotvec(rng.normal(0, 0.05, 3)).as_matrix() @ np.diag([1.0, -1.0, -1.0])
        pixels = camera.img_from_cam((GROUND - centre) @ down.T)
        image = pycolmap.Image(name=f"{index}.jpg", keypoints=pixels, camera_id=1, image_id=index + 1)
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(pycolmap.Rotation3d(down), -down @ centre))
    for row, xyz in enumerate(GROUND):
        track = pycolmap.Track()
        for image_id in range(1, 7):
            track.add_element(image_id, row)
        model.add_point3D(xyz, track, np.zeros(3, np.uint8))
    turn = pycolmap.Rotation3d(Rotation.from_rotvec([0.4, -1.1, 0.3]).as_matrix())
    model.transform(pycolmap.Sim3d(0.07, turn, np.array([3.0, -2.0, 1.0])))
    return model


def surveyed(model: pycolmap.Reconstruction, noise: float = 0.0) -> list[ControlPoint]:
    """The ground's points as a surveyor measures and a patient customer marks them."""
    rng = np.random.default_rng(5)
    points = []
    for row, xyz in enumerate(GROUND):
        latitude = FRAME.latitude + xyz[1] / 111_177.0
        longitude = FRAME.longitude + xyz[0] / 76_057.0
        marks = tuple(
            Mark(image.name, *(image.point2D(row).xy + rng.normal(0, noise, 2))) for image in model.images.values()
        )
        points.append(ControlPoint(f"P{row}", GeoPosition(latitude, longitude, 400.0 + xyz[2]), marks))
    return points


def test_control_points_give_metres_heading_and_tilt() -> None:
    model = flight()
    fit = fit_control_points(model, surveyed(model, noise=0.3))
    model.transform(pycolmap.Sim3d(fit.scale, pycolmap.Rotation3d(fit.rotation), fit.translation))
    assert fit.rms_metres < 0.05
    assert [residual.used for residual in fit.residuals] == 5 * [True]
    offset = fit.frame.to_enu(GeoPosition(FRAME.latitude, FRAME.longitude, FRAME.altitude))
    found = np.array([model.point3D(i).xyz for i in sorted(model.points3D)])
    np.testing.assert_allclose(found, GROUND + offset, atol=0.08)


def test_a_wrong_mark_is_left_out_and_named() -> None:
    model = flight()
    points = surveyed(model)
    wrong = points[4].position
    points[4] = ControlPoint("P4", GeoPosition(wrong.latitude, wrong.longitude, 430.0), points[4].marks)
    fit = fit_control_points(model, points)
    assert [residual.used for residual in fit.residuals] == [True, True, True, True, False]
    assert fit.residuals[4].metres == pytest.approx(22.0, abs=0.5)
    assert fit.rms_metres < 0.02


def test_what_cannot_place_a_model_says_why() -> None:
    model = flight()
    points = surveyed(model)
    with pytest.raises(TooFewControlPointsError, match="2 of 2"):
        fit_control_points(model, points[:2])
    once = [ControlPoint(p.name, p.position, p.marks[:1]) for p in points]
    with pytest.raises(TooFewControlPointsError, match="0 of 5"):
        fit_control_points(model, once)
    line = [ControlPoint(p.name, GeoPosition(47.0 + 1e-4 * i, 8.0, 400.0), p.marks) for i, p in enumerate(points)]
    with pytest.raises(TooFewControlPointsError, match="one line"):
        fit_control_points(model, line)
    mixed = [ControlPoint(p.name, points[-1 - i].position, p.marks) for i, p in enumerate(points[:4])]
    with pytest.raises(TooFewControlPointsError, match="contradict"):
        fit_control_points(model, mixed)


def test_a_check_point_is_measured_and_never_fitted() -> None:
    model = flight()
    points = surveyed(model)
    raised = points[4].position
    points[4] = ControlPoint(
        "P4_check", GeoPosition(raised.latitude, raised.longitude, (raised.altitude or 0) + 0.3), points[4].marks
    )
    fit = fit_control_points(model, points)
    assert [residual.check for residual in fit.residuals] == [False] * 4 + [True]
    assert [residual.used for residual in fit.residuals] == [True] * 4 + [False]
    np.testing.assert_allclose(fit.residuals[4].offset, [0, 0, -0.3], atol=0.02)
    assert max(residual.metres for residual in fit.residuals[:4]) < 0.02
    # 0.3 m up, seen from 32 m with a focal length of 700 pixels, at most about ten metres off-centre
    assert 0.5 < fit.residuals[4].pixels < 8
    assert max(residual.pixels for residual in fit.residuals[:4]) < 0.5
    with pytest.raises(TooFewControlPointsError, match="check points"):
        fit_control_points(
            model, [ControlPoint(f"{p.name} check", p.position, p.marks) for p in points[:3]] + points[3:]
        )


@pytest.mark.parametrize(
    ("names", "checks"),
    [
        (["a", "b_check", "Check 3", "checkered", "recheck", "d-CHECK"], [1, 2, 5]),
        (["checkpoint1", "CheckPoint_2", "check point", "e_checkpoint", "checkpointed", "check"], [0, 1, 2, 3, 5]),
        ([f"P{i}" for i in range(8)], []),
        ([f"P{i}" for i in range(10)], [3, 7]),
        ([f"P{i}" for i in range(9)] + ["x_check"], [9]),
    ],
)
def test_which_points_are_check_points(names: list[str], checks: list[int]) -> None:
    assert np.flatnonzero(are_checks(names)).tolist() == checks


class Sent:
    """An upload of the flight's photos and one list."""

    def __init__(self, path: Path) -> None:
        self.photos = [Photo(f"{i}.jpg", f"DJI_{i}.JPG", path, 800, 600, Metadata()) for i in range(6)]
        self.gcp_files = [UnpackedFile("gcp_list.txt", path)]


def test_the_list_in_the_upload_places_the_model_and_a_bad_one_is_reported(tmp_path: Path) -> None:
    model = flight()
    path = tmp_path / "gcp_list.txt"
    lines = [
        f"{point.position.longitude:.10f} {point.position.latitude:.10f} {point.position.altitude} "
        f"{mark.column} {mark.row} DJI_{mark.photo.removesuffix('.jpg')}.JPG {point.name}"
        for point in surveyed(model)
        for mark in point.marks
    ]
    path.write_text("\n".join(["EPSG:4326", *lines]))
    georegistration, warnings = place(model, Sent(path))
    assert warnings == []
    content = georegistration.as_json()
    rows = {row["name"]: row for row in content["control_points"]}
    frame = georegistration.origin
    assert frame is not None
    for point in surveyed(flight()):
        expected = frame.to_enu(point.position)
        assert rows[point.name]["position_metres"] == pytest.approx(expected.tolist(), abs=2e-3)
    assert (content["georeferenced"], content["source"]) == (True, "control points")
    assert content["rms_metres"] < 0.02
    assert [point["name"] for point in content["control_points"]] == [f"P{i}" for i in range(5)]
    heights = [point.xyz[2] for point in model.points3D.values()]
    assert np.median(heights) == pytest.approx(0, abs=1e-6)
    assert content["origin"]["altitude"] == pytest.approx(403.0, abs=0.1)
    assert content["projected"]["epsg"] == 32632  # degrees are not a map projection, so UTM is used
    assert content["heights"] == {"datum": "that of the control points", "epsg": None}
    assert faults("georeference", content) == []

    path.write_text("EPSG:4326\nnonsense")
    georegistration, (warning,) = place(flight(), Sent(path))
    assert warning.code == "CONTROL_POINTS_UNUSED"
    assert "line 2" in warning.message
    assert georegistration.as_json()["georeferenced"] is False


def test_a_surveyor_gets_his_own_system_back(tmp_path: Path) -> None:
    """The control points in EPSG:2056 with LN02 heights: a point of the model, projected, has the surveyor's
    coordinates."""
    model = flight()
    to_swiss = Transformer.from_crs(4326, 2056, always_xy=True)
    points = surveyed(model)
    written = [(*to_swiss.transform(p.position.longitude, p.position.latitude), p.position.altitude) for p in points]
    lines = [
        f"{x:.4f} {y:.4f} {z} {mark.column} {mark.row} DJI_{mark.photo.removesuffix('.jpg')}.JPG {point.name}"
        for point, (x, y, z) in zip(points, written, strict=True)
        for mark in point.marks
    ]
    path = tmp_path / "gcp_list.txt"
    path.write_text("\n".join(["EPSG:2056", *lines]))
    georegistration, _ = place(model, Sent(path))
    assert georegistration.projected is not None
    assert georegistration.projected.epsg == 2056
    found = np.array([model.point3D(i).xyz for i in sorted(model.points3D)])
    assert np.abs(georegistration.projected.from_enu(found) - np.array(written, dtype=np.float64)).max() < 0.02
