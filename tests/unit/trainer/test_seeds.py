"""The first Gaussians: on the surfaces, over all that photos show, flat, within the cap, with equalised exposures."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from splat.camera import Camera, look_at
from splat.harmonics import SH_C0
from tests.unit.trainer.surfaces import BOX, HEIGHT, WIDTH, cast, grid, ground_points, photographed
from tests.unit.trainer.synthetic import BOUNDLESS, write_model
from trainer.apron import CELL, REACH, apron
from trainer.dataset import Frame, load_scene
from trainer.initialise import from_seeds, seed_points
from trainer.photo_store import PhotoStore
from trainer.seeds import Start, start, turning_z_to
from trainer.stereo import kernels
from trainer.stereo.geometry import StereoPhoto
from trainer.stereo.maps import Stereo, reconstruct
from trainer.stereo.points import PRODUCT_CELL, DensePoints, fuse, fuse_at_most, without_specks, write_points

CAP = 3000
CPU = torch.device("cpu")
ORIGIN = np.array([500.0, -200.0, 30.0])
SIZE = 40.0


@dataclass(frozen=True)
class Flight:
    photos: list[StereoPhoto]
    stereo: Stereo


@pytest.fixture(scope="module")
def flight() -> Flight:
    cameras = grid(2, 3)
    photos = photographed(cameras, [cast(camera, box=True) for camera in cameras], ground_points())
    return Flight(photos, reconstruct(photos, ground_points()))


def write_flight(folder: Path) -> None:
    """The flight as structure from motion would leave it, `SIZE` times as large, at `ORIGIN`."""
    (folder / "images").mkdir(parents=True)
    cameras = {}
    for number, camera in enumerate(grid(2, 3)):
        name = f"{number + 1:06d}.png"
        Image.fromarray(cast(camera, box=True).picture).save(folder / "images" / name)
        cameras[name] = moved(camera)
    points = ground_points() * SIZE + ORIGIN
    write_model(folder / "sparse" / "0", cameras, points, np.full((len(points), 3), 128, np.uint8))


def moved(camera: Camera) -> Camera:
    matrix = camera.world_to_camera.copy()
    matrix[:3, 3] = camera.translation * SIZE - camera.rotation @ ORIGIN
    return replace(camera, world_to_camera=matrix)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flight")
    write_flight(folder)
    return folder


@pytest.fixture(scope="module")
def begun(folder: Path) -> Start:
    return start(load_scene(folder, WIDTH), PhotoStore(), CAP, 1, CPU, BOUNDLESS)


def off_surface(points: np.ndarray) -> np.ndarray:
    """Distance of points (P, 3) from ground and box."""
    half, height = BOX
    inside = np.abs(points[:, :2]).max(axis=1) < half
    outward = np.linalg.norm(np.maximum(np.abs(points[:, :2]) - half, 0), axis=1)
    below_roof = np.abs(np.maximum(points[:, 2] - height, 0))
    wall = np.where(inside, half - np.abs(points[:, :2]).max(axis=1), np.hypot(outward, below_roof))
    roof = np.where(inside, np.abs(points[:, 2] - height), np.inf)
    nearest: np.ndarray = np.minimum(np.minimum(np.abs(points[:, 2]), roof), wall)
    return nearest


def test_points_lie_on_the_surfaces_and_say_how_they_lie(flight: Flight) -> None:
    points = fuse(flight.stereo, flight.photos, 3)
    assert np.quantile(off_surface(points.positions), 0.95) < 0.02
    flat = np.abs(points.positions[:, :2]).max(axis=1) > BOX[0] + 0.1
    assert np.median(points.normals[flat, 2]) > 0.99
    np.testing.assert_allclose(np.linalg.norm(points.normals, axis=1), 1, atol=1e-4)
    assert (points.sigma > 0).all()
    assert np.median(points.sigma) < 0.01
    assert (points.agree >= 1).all()


def test_what_several_photos_show_is_there_once(flight: Flight) -> None:
    points = fuse(flight.stereo, flight.photos, 4)
    distance, _ = cKDTree(points.positions).query(points.positions, k=2)
    assert (distance[:, 1] > 0.3 * points.spacing).mean() > 0.9
    ground = np.stack(np.meshgrid(np.linspace(-0.5, 0.5, 30), np.linspace(-0.4, 0.4, 30), [0.0]), axis=-1).reshape(
        -1, 3
    )
    ground = ground[np.abs(ground[:, :2]).max(axis=1) > 1.3 * BOX[0]]
    away, _ = cKDTree(points.positions).query(ground)
    assert np.quantile(away, 0.98) < 2 * np.median(points.spacing)


def test_photos_of_different_places_are_not_compared(flight: Flight, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise each of 5,000 photos would be compared with every other."""
    compared: list[Any] = []
    cover: Callable[..., None] = kernels.cover

    def counted(*arguments: Any) -> None:
        compared.append(arguments)
        cover(*arguments)

    monkeypatch.setattr(kernels, "cover", counted)
    once = fuse(flight.stereo, flight.photos, 4)
    of_one_place = len(compared)
    away = [None if one is None else replace(one, camera=one.camera.about((0, 500, 0))) for one in flight.stereo.maps]
    both = Stereo([*flight.stereo.maps, *away], [])
    assert len(fuse(both, [*flight.photos, *flight.photos], 4)) == 2 * len(once)
    assert len(compared) - of_one_place == 2 * of_one_place


def test_the_smallest_cell_within_the_limit_is_taken(flight: Flight) -> None:
    points, cell = fuse_at_most(flight.stereo, flight.photos, 2000)
    assert 700 < len(points) <= 2000
    assert len(fuse(flight.stereo, flight.photos, cell - 1)) > 2000


def test_colours_are_divided_by_the_photos_gains(flight: Flight) -> None:
    plain = fuse(flight.stereo, flight.photos, 6)
    gains = {photo.name: np.array([2.0, 1.0, 0.5]) for photo in flight.photos}
    evened = fuse(flight.stereo, flight.photos, 6, gains)
    np.testing.assert_allclose(evened.colours * (2.0, 1.0, 0.5), plain.colours, rtol=1e-5)


def test_dense_seeds_lie_flat_on_the_surface(begun: Start, folder: Path) -> None:
    frame = load_scene(folder, WIDTH).frame
    means = begun.gaussians.means[: begun.dense].astype(np.float64)
    local = (frame.centre + frame.scale * means - ORIGIN) / SIZE
    assert np.quantile(off_surface(local), 0.95) < 0.02
    scales = np.exp(begun.gaussians.scales[: begun.dense])
    np.testing.assert_allclose(scales[:, 2] / scales[:, 0], 0.2, rtol=1e-3)
    axes = Rotation.from_quat(begun.gaussians.quats[: begun.dense][:, [1, 2, 3, 0]]).as_matrix()[:, :, 2]
    ground = local[:, 2] < 0.02
    assert np.median(np.abs(axes[ground, 2])) > 0.98


def test_the_cap_is_kept_and_half_of_it_is_dense(begun: Start) -> None:
    assert CAP / 6 < begun.dense <= CAP / 2
    assert len(begun.gaussians) <= CAP
    assert begun.gaussians.sh_degree == 1


def test_a_tight_cap_drops_sparse_seeds_not_dense_ones(folder: Path) -> None:
    scene = load_scene(folder, WIDTH)
    tight = start(scene, PhotoStore(), 200, 0, CPU, BOUNDLESS)
    assert tight.dense <= 100
    assert len(tight.gaussians) == 200


def test_the_start_repeats_itself(begun: Start, folder: Path) -> None:
    again = start(load_scene(folder, WIDTH), PhotoStore(), CAP, 1, CPU, BOUNDLESS)
    for name in ("means", "quats", "scales", "opacities", "sh0", "shN"):
        assert getattr(again.gaussians, name).tobytes() == getattr(begun.gaussians, name).tobytes(), name


def test_held_out_photos_are_not_looked_at(begun: Start, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "other")
    held_out = [photo for photo in load_scene(folder, WIDTH).photos if photo.split == "test"]
    assert held_out
    for photo in held_out:
        assert photo.name not in begun.gains
        Image.new("RGB", (WIDTH, HEIGHT), (255, 0, 0)).save(tmp_path / "other" / "images" / photo.name)
    again = start(load_scene(tmp_path / "other", WIDTH), PhotoStore(), CAP, 1, CPU, BOUNDLESS)
    assert again.gaussians.means.tobytes() == begun.gaussians.means.tobytes()
    assert again.gaussians.sh0.tobytes() == begun.gaussians.sh0.tobytes()


def test_nothing_dense_is_seeded_where_masks_hide(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "masked")
    (tmp_path / "masked" / "masks").mkdir()
    mask = np.full((HEIGHT, WIDTH), 255, np.uint8)
    mask[:, : WIDTH // 2] = 0
    for path in (tmp_path / "masked" / "images").iterdir():
        picture = np.asarray(Image.open(path)).copy()
        picture[:, : WIDTH // 2] = (255, 0, 0)
        Image.fromarray(picture).save(path)
        Image.fromarray(mask).save(tmp_path / "masked" / "masks" / f"{path.name}.png")
    begun = start(load_scene(tmp_path / "masked", WIDTH), PhotoStore(), CAP, 0, CPU, BOUNDLESS)
    assert begun.dense > 100
    colours = begun.gaussians.sh0[: begun.dense] * SH_C0 + 0.5
    assert (colours[:, 0] - colours[:, 1] < 0.5).all()


def test_without_any_match_the_sparse_seeds_are_all(tmp_path: Path) -> None:
    """Two photos from the same position: no parallax."""
    (tmp_path / "images").mkdir()
    camera = moved(grid(1, 1)[0])
    cameras = {"000001.png": camera, "000002.png": camera}
    for name in cameras:
        Image.fromarray(cast(grid(1, 1)[0]).picture).save(tmp_path / "images" / name)
    points = ground_points() * SIZE + ORIGIN
    write_model(tmp_path / "sparse" / "0", cameras, points, np.full((len(points), 3), 128, np.uint8))
    scene = load_scene(tmp_path, WIDTH)
    begun = start(scene, PhotoStore(), 900, 2, CPU, BOUNDLESS)
    sparse = from_seeds(seed_points(scene, PhotoStore(), 900, BOUNDLESS), 2)
    assert begun.dense == 0
    assert begun.gains == {}
    assert begun.gaussians.means.tobytes() == sparse.means.tobytes()
    assert begun.gaussians.scales.tobytes() == sparse.scales.tobytes()
    known = {"000001.png": np.full(3, 1.1)}
    kept = start(scene, PhotoStore(), 900, 2, CPU, BOUNDLESS, gains=known).gains
    assert kept == known, "a block's exposures are the flight's, whatever it can match"


def test_targets_with_gains_are_divided_by_them_and_plain_ones_stay(folder: Path) -> None:
    photo = load_scene(folder, WIDTH).photos[0]
    plain = PhotoStore()
    divided = plain.with_gains({photo.name: np.array([2.0, 1.0, 0.5])})
    before = plain.target(photo, photo.camera).planes
    after = divided.target(photo, photo.camera).planes
    np.testing.assert_allclose(after * np.array([2.0, 1.0, 0.5])[:, None, None], before, rtol=1e-5)
    assert divided.picture(photo) is plain.picture(photo)
    other = load_scene(folder, WIDTH).photos[1]
    np.testing.assert_array_equal(divided.target(other, other.camera).planes, plain.target(other, other.camera).planes)


def test_the_apron_goes_on_a_little_and_stays_out_of_the_pictures() -> None:
    points, cameras = ground_points(), grid(3, 3)
    around = apron(points, np.full((len(points), 3), 0.4), cameras)
    assert len(around.positions) > 100
    np.testing.assert_allclose(around.positions[:, 2], 0, atol=1e-6)
    np.testing.assert_allclose(around.colours, 0.4)
    away, _ = cKDTree(points).query(around.positions)
    assert away.max() < REACH + 3 * CELL
    for camera in cameras:
        pixels, depths = camera.project(around.positions)
        assert not ((depths > 0) & (pixels >= 0).all(axis=1) & (pixels < (WIDTH, HEIGHT)).all(axis=1)).any()


def test_there_is_no_apron_under_cameras_that_look_ahead() -> None:
    points = ground_points()
    colours = np.full((len(points), 3), 0.4)
    ahead = [look_at((x, -2, 0.6), (x, 0, 0.2), width=WIDTH, height=HEIGHT) for x in (-0.5, 0.0, 0.5)]
    assert len(apron(points, colours, ahead).positions) == 0
    beside = [look_at((x, -2, 0.01), (x, 0, 0), width=WIDTH, height=HEIGHT) for x in (-0.5, 0.0, 0.5)]
    assert len(apron(points, colours, beside).positions) == 0
    assert len(apron(points[:5], colours[:5], grid(3, 3)).positions) == 0


@given(arrays(np.float64, (4, 3), elements=st.floats(-1, 1)))
def test_quaternions_turn_z_to_the_normals(vectors: np.ndarray) -> None:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    normals = np.where(lengths > 1e-3, vectors / np.maximum(lengths, 1e-3), (0.0, 0.0, -1.0))
    quats = turning_z_to(normals)
    turned = Rotation.from_quat(quats[:, [1, 2, 3, 0]]).apply((0, 0, 1))
    np.testing.assert_allclose(turned, normals, atol=0.02)


def test_the_file_of_points_is_what_the_contract_says(tmp_path: Path) -> None:
    points = DensePoints(
        positions=np.array([[0.0, 0, 0], [1, 2, 3]]),
        normals=np.array([[0, 0, 1], [1, 0, 0]], np.float32),
        colours=np.array([[0, 0.5, 1], [2, 0, 0]], np.float32),
        spacing=np.ones(2, np.float32),
        slant=np.ones(2, np.float32),
        agree=np.array([2, 7], np.uint8),
        sigma=np.array([0.5, 0.25], np.float32),
    )
    write_points(tmp_path / "dense.ply", points, Frame(np.array([10.0, 20, 30]), 4.0))
    content = (tmp_path / "dense.ply").read_bytes()
    header, body = content.split(b"end_header\n")
    names = ["x", "y", "z", "nx", "ny", "nz", "red", "green", "blue", "agree", "sigma"]
    assert [line.split()[-1].decode() for line in header.splitlines() if line.startswith(b"property")] == names
    assert b"format binary_little_endian 1.0" in header
    assert b"element vertex 2" in header
    layout = np.dtype([(name, "u1" if name in ("red", "green", "blue", "agree") else "<f4") for name in names])
    first, second = np.frombuffer(body, layout)
    assert [first["x"], first["y"], first["z"]] == [10, 20, 30]
    assert [second["x"], second["y"], second["z"]] == [14, 28, 42]
    assert [second["red"], second["green"], second["blue"], second["agree"]] == [255, 0, 0, 7]
    assert first["green"] == 128
    assert first["sigma"] == 2.0


def places(positions: np.ndarray, agree: int, spacing: float) -> DensePoints:
    """Points on which `agree` maps agree."""
    count = len(positions)
    up = np.tile(np.array([0, 0, 1], np.float32), (count, 1))
    flat = np.ones(count, np.float32)
    return DensePoints(positions, up, up, spacing * flat, flat, np.full(count, agree, np.uint8), flat)


@pytest.mark.parametrize("scale", [0.01, 3.0])
def test_specks_that_few_photos_see_are_no_points(scale: float) -> None:
    """With cells of 2 pixels, and of 6 as for the seeds of a large flight."""
    rng = np.random.default_rng(4)
    step = np.arange(80) * 0.1
    ground = np.stack([*np.meshgrid(step, step), np.zeros((80, 80))], axis=-1).reshape(-1, 3)
    above = np.array([4.0, 4.0, 9.0]) + 0.1 * rng.normal(size=(12, 3))
    parts = [
        places(scale * ground, 2, scale * 0.1),
        places(scale * above, 2, scale * 0.1),
        places(scale * (above + np.array([3, 0, 0])), 3, scale * 0.1),  # a lamp that four photos see
    ]
    fused = joined_points(parts)
    whole = without_specks(fused, PRODUCT_CELL, fused)
    assert len(whole) == len(ground) + len(above)
    assert (whole.agree == 3).sum() == len(above)
    seeds = joined_points([places(scale * ground[::9], 2, scale * 0.3), places(scale * above[::9], 2, scale * 0.3)])
    assert len(without_specks(seeds, 3 * PRODUCT_CELL, whole)) == len(ground[::9])


def test_a_flight_of_few_points_keeps_them() -> None:
    few = places(np.random.default_rng(0).normal(size=(20, 3)), 2, 0.01)
    assert len(without_specks(few, PRODUCT_CELL, few)) == 20


def joined_points(parts: list[DensePoints]) -> DensePoints:
    names = [field.name for field in fields(DensePoints)]
    return DensePoints(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
