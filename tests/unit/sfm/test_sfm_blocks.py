"""Dividing a flight into blocks: equal, complete, never too small, and every photo cropped to what shows its block."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from numpy.typing import NDArray

from contract.blocks import MIN_BLOCK_PHOTOS, BlockPhoto, BlockPlan
from contract.schemas import schemas
from contract.split import hold_out
from geo.boxes import in_box
from sfm.block_models import ModelCutter
from sfm.blocks import (
    MIN_SHOWN,
    UPRIGHT,
    axes_of_plane,
    block_photos,
    block_warnings,
    cut,
    plan_blocks,
    seam_at,
    trained_points,
    wide_points,
    write_blocks,
)
from sfm.flight import Flight, flight_of
from tests.unit.sfm.models import flight as flown
from tests.unit.sfm.models import lens

SIZE, FOCAL, HEIGHT = (640, 480), 640.0, 50.0  # a photo covers 50 by 37.5 metres


def grid(across: int, down: int, spacing: float = 12.0, at: tuple[float, float] = (0.0, 0.0)) -> NDArray[np.float64]:
    """Cameras' positions (P, 2) in rows."""
    x, y = np.meshgrid(np.arange(across) * spacing, np.arange(down) * spacing)
    return np.stack([x.ravel() + at[0], y.ravel() + at[1]], axis=1)


def nadir(places: NDArray[np.float64], ground: NDArray[np.float64]) -> Flight:
    """Photos from 50 m above `places` (P, 2), straight down, of the points `ground` (N, 3)."""
    points, photos, pixels = [], [], []
    for number, (x, y) in enumerate(places):
        depth = HEIGHT - ground[:, 2]
        seen = np.stack([(ground[:, 0] - x) / depth * FOCAL + 320, (y - ground[:, 1]) / depth * FOCAL + 240], axis=1)
        rows = np.flatnonzero(((seen >= 0) & (seen < SIZE)).all(axis=1))
        points.append(rows)
        photos.append(np.full(len(rows), number))
        pixels.append(seen[rows])
    centres = np.column_stack([places, np.full(len(places), HEIGHT)])
    names = [f"{number:06d}.jpg" for number in range(len(places))]
    sizes = np.tile(np.array(SIZE), (len(places), 1))
    joined = np.concatenate(points), np.concatenate(photos), np.concatenate(pixels)
    return Flight(names, sizes, centres, SIZE[0] / FOCAL * HEIGHT, np.arange(len(ground)), ground, *joined)


def field(places: NDArray[np.float64], count: int = 6000, seed: int = 0) -> NDArray[np.float64]:
    """Points (N, 3) on the ground around the cameras."""
    rng = np.random.default_rng(seed)
    low, high = places.min(axis=0) - 20, places.max(axis=0) + 20
    return np.column_stack([rng.uniform(low, high, (count, 2)), rng.normal(0, 1, count)])


@pytest.fixture(scope="module")
def square() -> Flight:
    places = grid(18, 18)
    return nadir(places, field(places))


def test_blocks_are_nearly_equal_and_hold_each_point_once(square: Flight) -> None:
    plan = plan_blocks(square, 4, georeferenced=True)
    assert len(plan.blocks) == 4
    assert plan.axes == UPRIGHT
    held = np.array([in_box(block.box, square.positions) for block in plan.blocks])
    assert (held.sum(axis=0) == 1).all()
    assert sum(block.weight for block in plan.blocks) == pytest.approx(1)
    assert max(block.weight for block in plan.blocks) < 1.1 / 4
    assert [block.id for block in plan.blocks] == [1, 2, 3, 4]


def test_the_parts_show_every_point_that_a_block_trains_and_little_more(square: Flight) -> None:
    plan = plan_blocks(square, 4, georeferenced=True)
    for block in plan.blocks:
        wide = wide_points(square, plan, block.box)
        parts = {photo.name: photo.rect for photo in block_photos(square, wide)}
        kept = np.zeros(len(square.positions), int)
        for point, photo, pixel in zip(square.points, square.photos, square.pixels, strict=True):
            rect = parts.get(square.names[photo])
            kept[point] += rect is not None and rect[0] <= pixel[0] < rect[2] and rect[1] <= pixel[1] < rect[3]
        often = np.bincount(square.points, minlength=len(kept)) >= 6
        assert (kept[wide & often] >= 3).mean() > 0.995
        assert all(0 <= left < right <= 640 and 0 <= top < low <= 480 for left, top, right, low in parts.values())
    cut_to = sum(block.pixels for block in plan.blocks) / (len(square.names) * SIZE[0] * SIZE[1])
    whole = sum(block.photos for block in plan.blocks) / len(square.names)
    assert 1.0 < cut_to < 1.25 < 1.4 < whole


def test_no_photo_is_trained_in_one_block_and_held_out_in_another(square: Flight) -> None:
    plan = plan_blocks(square, 4, georeferenced=True)
    flight = dict(zip(square.names, hold_out(len(square.names)), strict=True))
    for block in plan.blocks:
        for photo in block_photos(square, wide_points(square, plan, block.box)):
            assert photo.split == flight[photo.name]
            assert photo.points >= MIN_SHOWN


def test_no_block_has_too_few_photos() -> None:
    places = grid(10, 13)
    plan = plan_blocks(nadir(places, field(places)), 12, georeferenced=True)
    assert 1 < len(plan.blocks) < 12
    assert all(block.photos >= MIN_BLOCK_PHOTOS for block in plan.blocks)


def test_two_sites_are_cut_between() -> None:
    near, far = grid(12, 12), grid(13, 13, at=(1000.0, 0.0))
    ground = np.concatenate([field(near, 3000), field(far, 3700, seed=1)])
    (first, second) = plan_blocks(nadir(np.concatenate([near, far]), ground), 2, georeferenced=True).blocks
    assert first.box.high[0] is not None
    assert 200 < first.box.high[0] < 950
    assert (first.photos, second.photos) == (144, 169)


def test_a_strip_of_five_kilometres_is_cut_across() -> None:
    places = grid(420, 2)
    plan = plan_blocks(nadir(places, field(places, 40_000)), 6, georeferenced=True)
    assert len(plan.blocks) == 6
    assert all(block.box.low[1] is None and block.box.high[1] is None for block in plan.blocks)
    pixels = sum(block.pixels for block in plan.blocks)
    assert pixels < 1.25 * len(places) * SIZE[0] * SIZE[1]


def test_ground_without_texture_is_in_the_block_beside_it() -> None:
    places = grid(18, 18)
    ground = field(places)
    lake = ground[:, 0] > 110
    shore = nadir(places, ground[~lake | (np.arange(len(ground)) % 25 == 0)])
    plan = plan_blocks(shore, 4, georeferenced=True)
    assert len(plan.blocks) == 4
    assert max(block.weight for block in plan.blocks) < 0.3
    assert all(block.photos >= MIN_BLOCK_PHOTOS for block in plan.blocks)


def test_without_a_georeference_the_ground_is_the_plane_of_the_points(square: Flight) -> None:
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    outliers = np.random.default_rng(4).normal(0, 3000, (60, 3))
    moved = replace(square, positions=square.positions @ turn.T + 7, centres=square.centres @ turn.T + 7)
    axes = np.array(axes_of_plane(np.concatenate([moved.positions, outliers]), moved.centres))
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(axes) == pytest.approx(1)
    assert axes[2] @ turn[:, 2] > 0.999
    plan = plan_blocks(moved, 4, georeferenced=False)
    assert max(block.weight for block in plan.blocks) < 1.1 / 4


def test_the_hull_leaves_far_points_out(square: Flight) -> None:
    far = np.array([[9000.0, 0, 300], [-9000, 50, 200], [80, 90, 900]])
    plan = plan_blocks(replace(square, positions=np.concatenate([square.positions, far])), 4, georeferenced=True)
    assert plan.hull.high[0] < 300
    assert plan.hull.low[0] > -100
    assert plan.hull.high[2] < 20


@settings(deadline=None)
@given(
    places=st.lists(st.tuples(st.floats(-100, 100), st.floats(-100, 100)), min_size=1, max_size=60),
    wanted=st.integers(1, 9),
)
def test_any_points_are_cut_into_boxes_that_tile_the_ground(places: list[tuple[float, float]], wanted: int) -> None:
    points = np.array(places)
    boxes = cut(points, wanted, 5.0, lambda _box: True)
    assert 1 <= len(boxes) <= wanted
    assert (np.sum([in_box(box, points) for box in boxes], axis=0) == 1).all()


@given(values=st.lists(st.floats(-100, 100), min_size=2, max_size=60))
def test_a_seam_lies_among_the_points(values: list[float]) -> None:
    assert min(values) <= seam_at(np.array(values), 5.0) <= max(values)


def test_a_models_arrays_are_those_of_its_photos() -> None:
    model = flown(lens("SIMPLE_PINHOLE", 700.0))
    found = flight_of(model)
    assert found.names == sorted(image.name for image in model.images.values())
    assert len(found.positions) == model.num_points3D()
    assert len(found.points) == model.compute_num_observations()
    assert 25 < found.footprint < 80
    name = found.names[3]
    (image,) = [image for image in model.images.values() if image.name == name]
    np.testing.assert_allclose(found.centres[3], image.projection_center())
    for point, pixel in zip(found.points[found.photos == 3][:5], found.pixels[found.photos == 3][:5], strict=True):
        np.testing.assert_allclose(image.project_point(found.positions[point]), pixel, atol=1)


def test_what_undistortion_cut_off_a_picture_shows_no_block() -> None:
    model = flown(lens("SIMPLE_PINHOLE", 700.0))
    whole = flight_of(model)
    model.camera(1).width, model.camera(1).height = 500, 400
    found = flight_of(model)
    assert 0 < len(found.points) < len(whole.points)
    assert (found.pixels < (500, 400)).all()
    cut_off = np.ones(len(whole.positions), np.bool_)
    cut_off[found.points[found.photos == 3]] = False  # of the others, photo 3 saw some outside its new borders
    assert np.count_nonzero(cut_off[whole.points[whole.photos == 3]]) >= MIN_SHOWN
    assert found.names[3] not in {photo.name for photo in block_photos(found, cut_off)}
    for photo in block_photos(found, cut_off):
        assert BlockPhoto.from_json(asdict(photo)) == photo


def test_a_plan_is_written_beside_the_scene_and_none_for_a_small_flight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model").mkdir()
    flown(lens("SIMPLE_PINHOLE", 700.0)).write(tmp_path / "model")
    assert write_blocks(tmp_path, tmp_path / "model", 4, georeferenced=False) == 1
    assert not (tmp_path / "blocks.json").exists()
    monkeypatch.setattr("sfm.blocks.MIN_BLOCK_PHOTOS", 4)
    blocks = write_blocks(tmp_path, tmp_path / "model", 2, georeferenced=False)
    document = json.loads((tmp_path / "blocks.json").read_text())
    Draft202012Validator(schemas()["blocks.schema.json"]).validate(document)
    assert blocks == len(BlockPlan.from_json(document).blocks) == 2
    for name in ("blocks/01", "blocks/02", "coarse"):
        rows = json.loads((tmp_path / name / "photos.json").read_text())
        Draft202012Validator(schemas()["block-photos.schema.json"]).validate(rows)
        assert rows
    assert all(row["rect"] == [0, 0, 800, 600] for row in rows)
    assert len(rows) == 16
    for block in BlockPlan.from_json(document).blocks:
        part = pycolmap.Reconstruction(tmp_path / "blocks" / f"{block.id:02d}" / "sparse" / "0")
        assert part.num_images() == block.photos
        assert part.num_points3D() >= 0.9 * block.points


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_any_part_of_a_model_is_read_back_as_it_is_in_the_whole(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    model = flown(lens("SIMPLE_PINHOLE", 700.0))
    flight, rng = flight_of(model), np.random.default_rng(seed)
    chosen = rng.random(len(flight.positions)) < rng.random()
    names = {name for name in flight.names if rng.random() < 0.6}
    folder = tmp_path_factory.mktemp("part") / "sparse"
    ModelCutter(model, flight).write(folder, names, chosen)
    part = pycolmap.Reconstruction(folder)
    assert {image.name for image in part.images.values()} == names
    seen = {point for point, photo in zip(flight.points, flight.photos, strict=True) if flight.names[photo] in names}
    expected = sorted(tuple(flight.positions[point]) for point in seen if chosen[point])
    assert sorted(tuple(point.xyz) for point in part.points3D.values()) == expected
    by_place = {tuple(point.xyz): point for point in model.points3D.values()}
    for point in part.points3D.values():
        whole = by_place[tuple(point.xyz)]
        assert (point.color == whole.color).all()
        tracks = [
            {(of.image(e.image_id).name, *of.image(e.image_id).points2D[e.point2D_idx].xy) for e in one.track.elements}
            for of, one in ((part, point), (model, whole))
        ]
        assert tracks[0] == {element for element in tracks[1] if element[0] in names}
    for image in part.images.values():
        whole_image = model.image(image.image_id)
        np.testing.assert_allclose(image.cam_from_world().matrix(), whole_image.cam_from_world().matrix(), atol=1e-12)
        assert part.camera(image.camera_id).params_to_string() == model.camera(image.camera_id).params_to_string()


def test_a_blocks_model_holds_what_it_trains_and_not_the_flight(square: Flight) -> None:
    plan = plan_blocks(square, 4, georeferenced=True)
    for block in plan.blocks:
        trained = trained_points(square, plan, block.box)
        assert (trained >= wide_points(square, plan, block.box)).all()
        assert trained.mean() < 0.45


@pytest.mark.parametrize("requested", [None, 1, 3])
def test_as_many_blocks_as_were_requested_are_no_warning(requested: int | None) -> None:
    assert block_warnings(3, requested) == []
