"""The command itself with a small scene: files, truth, determinism."""

import io
import json
import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sample import __main__ as command
from sample.archive import GPS_SIGMA, ORIGIN, name_photos
from sample.buildings import HousePlan, house, roof_corner
from sample.camera import Camera, world_to_camera
from sample.exif import gps_of
from sample.flight import Plan, Shot, orbit_count, texel_for
from sample.geodesy import Geodetic, geodetic_to_enu
from sample.render import view_of
from sample.solids import placed
from sample.visibility import Primitives, look

PHOTOS, WIDTH = 8, 160


def make(folder: Path, *extra: str) -> Path:
    arguments = ["sample", str(folder), "--photos", str(PHOTOS), "--width", str(WIDTH), *extra]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", arguments)
        command.main()
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("sample"))


def test_the_same_seed_gives_the_same_bytes(made: Path, tmp_path: Path) -> None:
    again = make(tmp_path)
    assert (again / "sample.zip").read_bytes() == (made / "sample.zip").read_bytes()
    assert (again / "poses.json").read_bytes() == (made / "poses.json").read_bytes()
    assert sorted(path.name for path in again.iterdir()) == ["poses.json", "sample.zip"]


def test_photos_and_truth_agree(made: Path) -> None:
    truth = json.loads((made / "poses.json").read_text())
    assert Geodetic(**truth["origin"]) == ORIGIN
    stamps = []
    with zipfile.ZipFile(made / "sample.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [photo["name"] for photo in truth["photos"]]
        assert len(archive.namelist()) == PHOTOS
        for photo in truth["photos"]:
            picture = Image.open(io.BytesIO(archive.read(photo["name"])))
            assert picture.size == (photo["width"], photo["height"]) == (WIDTH, WIDTH * 3 // 4)
            exif = picture.getexif()
            stamps.append(exif.get_ifd(0x8769)[0x9003])
            # EXIF's position, in ENU, is the truth except for the receiver's noise.
            error = geodetic_to_enu(gps_of(exif), ORIGIN) - photo["centre"]
            noted = geodetic_to_enu(Geodetic(**photo["gps"]), ORIGIN) - photo["centre"]
            assert error == pytest.approx(noted, abs=2e-3)
            assert np.abs(error).max() < 3.0
            transform = np.array(photo["world_to_camera"])
            assert transform @ [*photo["centre"], 1] == pytest.approx([0, 0, 0, 1], abs=1e-9)
            assert (photo["cx"], photo["cy"]) == (WIDTH / 2, WIDTH * 3 / 8)
    assert stamps == sorted(set(stamps))


def test_pictures_have_detail_and_daylight(made: Path) -> None:
    with zipfile.ZipFile(made / "sample.zip") as archive:
        for name in archive.namelist():
            pixels = np.asarray(Image.open(io.BytesIO(archive.read(name))), np.float64)
            assert 60 < pixels.mean() < 170
            assert pixels.std() > 25


def shots_over(places: np.ndarray) -> list[Shot]:
    """A shot straight down from each place (N, 3)."""
    down, north = np.array([0, 0, -1.0]), np.array([0, 1.0, 0])
    cameras = [Camera(64, 48, 40.0, 40.0, 32.0, 24.0, world_to_camera(place, down, north)) for place in places]
    return [Shot(camera, 2.0 * index) for index, camera in enumerate(cameras)]


def test_gps_noise_is_as_large_as_asked() -> None:
    shots = shots_over(np.random.default_rng(1).uniform(-100, 100, (600, 3)))
    centres = np.array([shot.camera.centre for shot in shots])

    def errors(sigma: tuple[float, float, float]) -> np.ndarray:
        photos = name_photos(shots, sigma, seed=5)
        measured: np.ndarray = np.array([geodetic_to_enu(photo.gps, ORIGIN) for photo in photos])
        off: np.ndarray = measured - centres
        return off

    assert errors((0.0, 0.0, 0.0)) == pytest.approx(np.zeros((600, 3)), abs=1e-6)
    assert errors(GPS_SIGMA).std(axis=0) == pytest.approx([0.3, 0.3, 0.5], rel=0.12)
    assert errors(GPS_SIGMA).mean(axis=0) == pytest.approx([0, 0, 0], abs=0.08)


def test_gimbal_angles_say_which_way_is_up(made: Path) -> None:
    poses = json.loads((made / "poses.json").read_text())["photos"]
    with zipfile.ZipFile(made / "sample.zip") as archive:
        for pose in poses:
            with Image.open(archive.open(pose["name"])) as photo:
                packet = photo.info["xmp"].decode()
            degrees = dict(re.findall(r'drone-dji:Gimbal(\w+)Degree="([+-][\d.]+)"', packet))
            pitch, roll, yaw = (np.radians(float(degrees[axis])) for axis in ("Pitch", "Roll", "Yaw"))
            rotation = np.array(pose["world_to_camera"])[:3, :3]
            up = [-np.sin(roll) * np.cos(pitch), -np.cos(roll) * np.cos(pitch), np.sin(pitch)]
            forward = [np.sin(yaw) * np.cos(pitch), np.cos(yaw) * np.cos(pitch), np.sin(pitch)]
            np.testing.assert_allclose(rotation[:, 2], up, atol=0.004)
            np.testing.assert_allclose(rotation[2], forward, atol=0.004)


def test_a_corner_of_the_house_is_drawn_where_its_pose_says(made: Path) -> None:
    truth = json.loads((made / "poses.json").read_text())
    corner = np.array(truth["landmarks"]["west end of the ridge"])
    faces = placed(house(HousePlan()), corner - roof_corner(HousePlan())).corners
    # Only the roof faces that meet in the corner: the corner is the extreme point of what they cover.
    roof = faces[[np.abs(face - corner).max(axis=1).min() < 1e-9 for face in faces]]
    triangles = np.concatenate([roof[:, [0, 1, 2]], roof[:, [0, 2, 3]]])
    met = 0
    for photo in truth["photos"][-orbit_count(Plan(PHOTOS)) :]:
        size = 1600
        grown = size / photo["width"]
        fx, fy, cx, cy = (grown * photo[key] for key in ("fx", "fy", "cx", "cy"))
        camera = Camera(size, size * 3 // 4, fx, fy, cx, cy, np.array(photo["world_to_camera"]))
        pixels, depth = camera.project(corner[None])
        seen = look(Primitives(triangles, len(triangles)), view_of(camera, 1))
        rows, columns = np.nonzero(seen.owner >= 0)
        gap = np.hypot(columns + 0.5 - pixels[0, 0], rows + 0.5 - pixels[0, 1])
        nearest = gap.argmin()
        if gap[nearest] < 1.0:
            met += 1
            assert 1 / seen.nearness[rows[nearest], columns[nearest]] == pytest.approx(depth[0], abs=0.12)
    assert met == orbit_count(Plan(PHOTOS))


@pytest.mark.parametrize("words", [["--photos", "3"], ["--width", "161"], ["--seed", "-1"], ["--gps-noise", "-2"]])
def test_nonsense_is_refused(words: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        command.arguments([str(tmp_path), *words])


def test_textures_are_as_fine_as_the_pixels() -> None:
    assert texel_for(1600) == pytest.approx(0.029, abs=0.002)
    assert texel_for(3200) == pytest.approx(texel_for(1600) / 2)
