"""The input of a training run: splits, frames, photos, and errors in them."""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from contract.blocks import BlockPhoto
from contract.split import hold_out
from contract.warning_codes import WarningCode
from splat.camera import Camera
from stage.errors import StageError
from tests.unit.trainer.synthetic import HEIGHT, WIDTH, make_scene, write_model
from trainer import dataset
from trainer.colmap import read_model
from trainer.dataset import Frame, Listed, find_scene, load_scene, training_frame, views_per_point
from trainer.photo_store import PhotoStore


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    make_scene(tmp_path / "scene")
    return tmp_path / "scene"


@given(count=st.integers(0, 500))
def test_about_an_eighth_is_held_out(count: int) -> None:
    splits = hold_out(count)
    held_out = splits.count("test")
    assert len(splits) == count
    assert held_out == 0 if count < 4 else 1 <= held_out <= count / 8 + 1
    assert splits.count("train") >= min(count, 2)


@given(count=st.integers(4, 500))
def test_the_folds_hold_each_photo_out_once(count: int) -> None:
    folds = [hold_out(count, fold) for fold in range(8)]
    assert all(splits.count("test") == 1 for splits in zip(*folds, strict=True))
    assert hold_out(count) == folds[3]


def test_photos_are_scaled_to_the_requested_edge(scene: Path) -> None:
    full, small = load_scene(scene, 10_000), load_scene(scene, 48)
    assert (full.photos[0].camera.width, small.photos[0].camera.width) == (WIDTH, WIDTH // 2)
    store = PhotoStore()
    assert store.picture(small.photos[0]).shape == (HEIGHT // 2, WIDTH // 2, 3)
    quarter = small.photos[0].camera.scaled(0.5)
    target = store.target(small.photos[0], quarter)
    assert target.planes.shape == (3, HEIGHT // 4, WIDTH // 4)
    mean = np.asarray(Image.open(small.photos[0].path)).mean() / 255
    assert target.planes.mean() == pytest.approx(mean, abs=0.005)


def test_a_bounded_store_gives_the_same(scene: Path) -> None:
    photos = load_scene(scene, 96).photos
    tight, ample = PhotoStore(cache_bytes=1), PhotoStore()
    for photo in photos + photos[::-1]:
        np.testing.assert_array_equal(tight.picture(photo), ample.picture(photo))


def test_the_frame_puts_the_scene_at_the_origin_at_distance_one(tmp_path: Path) -> None:
    made = make_scene(tmp_path, origin=(1000, -2000, 300), size=40)
    scene = load_scene(tmp_path, 96)
    assert np.abs(scene.frame.points(scene.positions)).max() < 1.5
    camera = made.cameras["000001.png"]
    framed = scene.frame.camera(camera)
    pixels, depths = framed.project(scene.frame.points(scene.positions))
    expected, far = camera.project(scene.positions)
    np.testing.assert_allclose(pixels, expected, atol=1e-6)
    np.testing.assert_allclose(depths * scene.frame.scale, far)
    assert np.median(depths) == pytest.approx(1, abs=0.1)


def test_views_per_point_counts_the_pictures_it_falls_into(tmp_path: Path) -> None:
    made = make_scene(tmp_path, photos=4)
    cameras = list(made.cameras.values())
    middle, behind = np.zeros((1, 3)), np.array([[0, 0, 100.0]])
    assert views_per_point(cameras, middle) == 4
    assert views_per_point(cameras, behind) == 0
    assert views_per_point(cameras, np.concatenate([middle, behind])) == 2


def test_of_many_points_some_tell_the_scale_and_how_often_a_place_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On 5,000 cameras, each looking at all of four million points takes hours."""
    made = make_scene(tmp_path, photos=4)
    cameras = list(made.cameras.values())
    positions = np.random.default_rng(0).normal(0, 0.4, (3000, 3))
    exact = views_per_point(cameras, positions), training_frame(cameras, positions).scale
    monkeypatch.setattr(dataset, "_MAX_LOOKED_AT", 300)
    seen, project = list[int](), Camera.project

    def counted(camera: Camera, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen.append(len(points))
        return project(camera, points)

    monkeypatch.setattr(Camera, "project", counted)
    found = views_per_point(cameras, positions), training_frame(cameras, positions).scale
    assert set(seen) == {300}
    assert found == pytest.approx(exact, rel=0.1)


def test_each_photos_points_are_those_of_its_tracks(tmp_path: Path) -> None:
    made = make_scene(tmp_path)
    scene = load_scene(tmp_path, 96)
    model = read_model(tmp_path / "sparse" / "0")
    for image in model.images:
        rows = [
            point
            for point, of in zip(model.points.track_points, model.points.track_images, strict=True)
            if of == image.identifier
        ]
        expected = {tuple(model.points.positions[row]) for row in rows}
        found = {tuple(scene.positions[row]) for row in scene.observed[image.name]}
        assert found == expected & {tuple(row) for row in scene.positions}
    assert len(scene.observed) == len(made.cameras)


def test_masks_of_another_blocks_photos_are_not_reported(scene: Path) -> None:
    (scene / "masks").mkdir()
    Image.new("L", (WIDTH, HEIGHT), 255).save(scene / "masks" / "000009.png.png")
    names = [f"00000{number}.png" for number in range(1, 6)]
    part = {name: BlockPhoto(name, "train", (0, 0, WIDTH, HEIGHT), 9) for name in names}
    loaded = load_scene(scene, 96, listed=Listed(scene / "sparse" / "0", part, np.zeros(3)))
    assert loaded.warnings == []


def test_a_frame_of_no_scale_changes_nothing() -> None:
    points = np.random.default_rng(0).normal(size=(4, 3))
    np.testing.assert_array_equal(Frame(np.zeros(3), 1.0).points(points), points)


def test_held_out_photos_give_no_points_away(tmp_path: Path) -> None:
    made = make_scene(tmp_path)
    extra = np.array([[0.0, 0.0, 5.0]])
    truth = made.truth.means[::2].astype(np.float64)
    everything = np.concatenate([truth, extra])
    write_model(tmp_path / "sparse" / "0", made.cameras, everything, np.zeros((len(everything), 3), np.uint8))
    # the last point's track: only the held-out photo (the fourth) and one other
    content = bytearray((tmp_path / "sparse/0/points3D.bin").read_bytes())
    track = 8 * len(made.cameras)
    for k in range(len(made.cameras)):
        content[len(content) - track + 8 * k : len(content) - track + 8 * k + 4] = (4 if k else 1).to_bytes(4, "little")
    (tmp_path / "sparse/0/points3D.bin").write_bytes(content)
    scene = load_scene(tmp_path, 96)
    assert [photo.name for photo in scene.split("test")] == ["000004.png"]
    assert len(scene.positions) == len(truth)
    assert (scene.observed["000001.png"] < len(truth)).all()


def zipped(scene: Path, tmp_path: Path) -> Path:
    """The folder into which a ZIP of `scene` is unpacked."""
    return find_scene(channel_of(scene, tmp_path / "channel"), tmp_path / "scratch")[0]


def channel_of(scene: Path, channel: Path, below: str = "") -> Path:
    """A channel with one ZIP, which holds the files of `scene` in a folder `below`."""
    channel.mkdir()
    with zipfile.ZipFile(channel / "scene.zip", "w") as archive:
        for path in sorted(scene.rglob("*")):
            if path.is_file():
                archive.write(path, Path(below) / path.relative_to(scene))
    return channel


def test_a_zip_of_a_scene_is_a_scene(scene: Path, tmp_path: Path) -> None:
    channel = channel_of(scene, tmp_path / "channel", "any folder")
    found, warnings = find_scene(channel, tmp_path / "scratch")
    assert len(load_scene(found, 96).photos) == 9
    assert warnings == []
    assert find_scene(scene, tmp_path / "scratch2") == (scene, [])


def test_what_is_not_read_of_a_zip_is_named(scene: Path, tmp_path: Path) -> None:
    channel = channel_of(scene, tmp_path / "channel")
    with zipfile.ZipFile(channel / "scene.zip", "a") as archive:
        archive.writestr("more.zip", b"PK")
        archive.writestr("masks/000001.png.png", b"0123456789")
    whole = (channel / "scene.zip").read_bytes()
    (channel / "scene.zip").write_bytes(whole.replace(b"0123456789", b"0123456780"))
    _, warnings = find_scene(channel, tmp_path / "scratch")
    assert [(warning.code, warning.names) for warning in warnings] == [
        (WarningCode.NESTED_ARCHIVES, ["more.zip"]),
        (WarningCode.MASKS_UNUSED, ["masks/000001.png.png"]),
    ]


def test_no_scene_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="INVALID_SCENE"):
        find_scene(tmp_path, tmp_path / "scratch")


def test_photos_that_are_missing_damaged_or_of_another_shape_are_left_out(scene: Path) -> None:
    images = scene / "images"
    Image.new("RGB", (10, 10)).save(images / "000002.png")
    (images / "000005.png").write_bytes(b"no picture")
    (images / "000007.png").unlink()
    loaded = load_scene(scene, 96)
    assert len(loaded.photos) == 6
    assert len(loaded.split("test")) == 1
    (warning,) = loaded.warnings
    assert warning.code == WarningCode.PHOTOS_SKIPPED
    assert [why[:10] for why in warning.names] == ["000002.png", "000005.png", "the model "]


def test_a_scene_without_most_of_its_photos_is_refused(scene: Path) -> None:
    for number in range(1, 6):
        (scene / "images" / f"{number:06d}.png").unlink()
    with pytest.raises(StageError, match=r"INVALID_SCENE.*5 of 9 photos.*000001\.png"):
        load_scene(scene, 96)


def test_photos_smaller_than_their_cameras_by_one_factor_scale_them(scene: Path) -> None:
    whole = load_scene(scene, 10_000)
    for path in (scene / "images").iterdir():
        Image.open(path).resize((WIDTH // 2 + 1, HEIGHT // 2)).save(path)
    half = load_scene(scene, 10_000)
    camera, full = half.photos[0].camera, whole.photos[0].camera
    assert (camera.width, camera.height) == (WIDTH // 2 + 1, HEIGHT // 2)
    assert camera.fx / camera.width == pytest.approx(full.fx / full.width)
    assert camera.fy / camera.height == pytest.approx(full.fy / full.height)
    assert half.warnings == []


def test_a_grey_photo_of_16_bits_is_stretched_over_its_range(scene: Path) -> None:
    path = scene / "images" / "000001.png"
    grey = np.asarray(Image.open(path).convert("L")).astype(np.uint16)
    Image.fromarray(grey * 40 + 3000).save(path)
    picture = PhotoStore().picture(load_scene(scene, 96).photos[0])
    assert picture.min() == 0
    assert picture.max() == 255
    expected = np.clip((grey - np.percentile(grey, 0.1)) / np.ptp(np.percentile(grey, (0.1, 99.9))) * 255, 0, 255)
    np.testing.assert_allclose(picture[..., 1], expected, atol=2)


@pytest.mark.parametrize("suffix", ["webp", "tif"])
def test_photos_of_every_format_are_unpacked_and_read(scene: Path, tmp_path: Path, suffix: str) -> None:
    for path in sorted((scene / "images").iterdir()):
        Image.open(path).save(path.with_suffix(f".{suffix}"))
        path.unlink()
    model = read_model(scene / "sparse" / "0")
    made = {image.name.replace("png", suffix): image.camera for image in model.images}
    write_model(scene / "sparse" / "0", made, model.points.positions, model.points.colours)
    loaded = load_scene(zipped(scene, tmp_path), 96)
    assert [photo.name for photo in loaded.photos][:1] == [f"000001.{suffix}"]
    assert PhotoStore().picture(loaded.photos[0]).std() > 10


@pytest.mark.parametrize("folder", ["sparse", "sparse/1", "colmap/sparse/0"])
def test_the_layouts_of_other_tools_are_found(scene: Path, tmp_path: Path, folder: str) -> None:
    moved = tmp_path / "moved"
    shutil.move(scene / "sparse" / "0", moved)
    shutil.rmtree(scene / "sparse")
    (scene / folder).parent.mkdir(parents=True, exist_ok=True)
    shutil.move(moved, scene / folder)
    loaded = load_scene(zipped(scene, tmp_path), 96)
    assert len(loaded.photos) == 9
    assert loaded.warnings == []


def test_the_model_with_the_most_photos_is_trained_on(scene: Path) -> None:
    model = read_model(scene / "sparse" / "0")
    shutil.move(scene / "sparse" / "0", scene / "sparse" / "1")
    few = {image.name: image.camera for image in model.images[:2]}
    write_model(scene / "sparse" / "0", few, model.points.positions, model.points.colours)
    loaded = load_scene(scene, 96)
    assert len(loaded.photos) == 9
    assert [(warning.code, warning.names) for warning in loaded.warnings] == [
        (WarningCode.SMALLER_MODELS, ["sparse/0"])
    ]


def test_a_photo_cut_short_is_refused_when_it_is_decoded(scene: Path) -> None:
    photo = load_scene(scene, 96).photos[0]
    photo.path.write_bytes(photo.path.read_bytes()[:2000])
    with pytest.raises(StageError, match=r"INVALID_SCENE.*000001\.png"):
        PhotoStore().picture(photo)


def test_too_little_to_train_on_is_refused(tmp_path: Path) -> None:
    made = make_scene(tmp_path)
    model = tmp_path / "sparse" / "0"
    points, grey = made.truth.means.astype(np.float64), np.zeros((500, 3), np.uint8)
    first = dict(list(made.cameras.items())[:1])
    for cameras, positions, says in (
        (first, points, "1 posed photos"),
        (made.cameras, points[:3], "3 usable points"),
        (made.cameras, points * np.nan, "0 usable points"),
        (made.cameras, points + np.array([0, 0, 100.0]), "no camera sees"),
    ):
        shutil.rmtree(model)
        write_model(model, cameras, positions, grey[: len(positions)])
        with pytest.raises(StageError, match=f"INVALID_SCENE.*{says}"):
            load_scene(tmp_path, 96)


UTM = (500_000.0, 5_200_000.0, 400.0)


def test_a_model_in_survey_coordinates_is_trained_about_its_middle(tmp_path: Path) -> None:
    near = make_scene(tmp_path / "near", origin=(0.0, 0.0, 0.0))
    make_scene(tmp_path / "far")
    shifted = {}
    for name, camera in near.cameras.items():
        matrix = camera.world_to_camera.copy()
        matrix[:3, 3] -= camera.rotation @ UTM
        shifted[name] = replace(camera, world_to_camera=matrix)
    points = near.truth.means[::2].astype(np.float64)
    write_model(tmp_path / "far/sparse/0", shifted, points + UTM, np.full((len(points), 3), 128, np.uint8))
    own, moved = load_scene(tmp_path / "near", 96), load_scene(tmp_path / "far", 96)
    assert not any(own.offset)
    rest = np.subtract(UTM, moved.offset)
    assert np.abs(rest).max() < 2
    np.testing.assert_allclose(moved.positions, own.positions + rest, atol=1e-6)
    for mine, other in zip(own.photos, moved.photos, strict=True):
        np.testing.assert_allclose(other.camera.position, mine.camera.position + rest, atol=1e-6)
        np.testing.assert_allclose(other.camera.rotation, mine.camera.rotation, atol=1e-9)
