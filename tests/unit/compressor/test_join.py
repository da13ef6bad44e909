"""The blocks of a large flight become one scene, complete or with the coarse model in place of a missing block."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from plyfile import PlyData

from compressor import join
from compressor.deliver.parts import _part_of, write_parts
from compressor.deliver.photos import photos_of
from compressor.deliver.surroundings import default_surroundings
from compressor.encode.encoder import Coarseness
from compressor.encode.quality import held_out_photos
from compressor.framing import frame_scene
from compressor.join import Joined, is_divided, join_blocks
from compressor.sog.container import read_codes
from compressor.source import read_source
from contract.blocks import BlockPlan, Box, Hull
from geo.boxes import box_shares, hull_share
from splat.camera import View, orbit, read_views, write_views
from splat.errors import InvalidSplatError
from splat.fading import with_shares
from splat.gaussians import Gaussians, opacity_of
from splat.joined_ply import join_plys, vertices_of
from splat.ply import read_stored_ply, write_ply
from splat.stored import Marks
from stage.errors import StageError
from tests.support.blocks import plan_of, strip_of
from tests.support.gaussians import gaussians_of

BOXES = [Box((None, None), (0.0, None)), Box((0.0, None), (None, None))]
PLAN = plan_of(BOXES, fade=1.0, hull=Hull((-20.0, -20.0, -5.0), (20.0, 20.0, 30.0)))
MARKS = Marks(up=(0.0, 0.0, 1.0))


def scattered(seed: int, count: int = 400, reach: float = 60.0) -> Gaussians:
    rng = np.random.default_rng(seed)
    return gaussians_of(
        means=np.column_stack([rng.uniform(-reach, reach, (count, 2)), rng.uniform(-1, 1, count)]),
        quats=np.tile([1.0, 0, 0, 0], (count, 1)),
        scales=np.full((count, 3), -2.0),
        opacities=np.full(count, 1.0),
        sh0=rng.uniform(-1, 1, (count, 3)),
        shN=np.zeros((count, 3, 3)),
    )


WHOLE = {
    "metrics": {"exposure": {"photos": [{"name": "0.jpg", "gain": [1.0, 1.0, 1.0]}]}},
    "resources": {"wallSeconds": 300.0, "cpuSeconds": 600.0},
}


def points(path: Path, count: int) -> None:
    names = [(name, "<f4") for name in "xyz"]
    path.write_bytes(b"ply\nformat binary_little_endian 1.0\nelement vertex %d\n" % count)
    with path.open("ab") as stream:
        stream.write(b"".join(b"property float %s\n" % name.encode() for name, _ in names) + b"end_header\n")
        stream.write(np.arange(3 * count, dtype="<f4").tobytes())


@pytest.fixture
def divided(tmp_path: Path) -> Path:
    """Outputs of two blocks and of the coarse model, as their trainings write them."""
    folder = tmp_path / "model"
    for number, name in enumerate(("coarse", "blocks/01", "blocks/02")):
        (folder / name).mkdir(parents=True)
        splat = scattered(number)
        if number:
            places = splat.means.astype(np.float64)
            splat = with_shares(splat, box_shares(PLAN, places)[number - 1] * hull_share(PLAN, places))
        write_ply(folder / name / "scene.ply", splat, MARKS)
        points(folder / name / "dense.ply", 10 + number)
        (folder / name / "result.json").write_text("{}")
    (folder / "result.json").write_text(json.dumps(WHOLE))
    write_views(
        folder / "coarse" / "views.json",
        [
            View(f"{number}.jpg", "train", camera)
            for number, camera in enumerate(orbit((0, 0, 0), 30, 40, 4, width=64, height=48))
        ],
    )
    (folder / "coarse" / "georeference.json").write_text('{"version": 1, "georeferenced": false}')
    (folder / "coarse" / "blocks.json").write_text(json.dumps(PLAN.as_json()))
    return folder


def test_the_joined_scene_is_what_the_blocks_own_and_the_coarse_model_around(divided: Path, tmp_path: Path) -> None:
    assert is_divided(divided)
    assert join_blocks(divided, tmp_path / "joined") == Joined(tmp_path / "joined" / "scene.ply", (), [])
    stored = read_stored_ply(tmp_path / "joined" / "scene.ply")
    assert stored.marks == MARKS
    assert stored.plain
    parts = [read_stored_ply(divided / name / "scene.ply").gaussians for name in ("blocks/01", "blocks/02")]
    around = len(stored.gaussians) - sum(map(len, parts))
    places = stored.gaussians.means[:around].astype(np.float64)
    assert 0 < around < 400
    assert (hull_share(PLAN, places) < 1).all()
    np.testing.assert_array_equal(stored.gaussians.means[around:], np.concatenate([part.means for part in parts]))
    assert json.loads((tmp_path / "joined" / "result.json").read_text()) == WHOLE  # report and maps need all of it


def test_all_photos_are_as_large_as_the_blocks_saw_them(divided: Path, tmp_path: Path) -> None:
    """The page takes the ground sampling distance and the order of photos from their size, and a block may see four
    times as much as the coarse model, at whose size held-out photos are compared."""
    coarse = read_views(divided / "coarse" / "views.json")
    held_out = replace(coarse[0], split="test", image="views/000001.png")
    write_views(divided / "coarse" / "views.json", [held_out, *coarse[1:]])
    size = (coarse[0].camera.width, coarse[0].camera.height)
    (divided / "coarse" / "views").mkdir()
    Image.new("RGB", size).save(divided / "coarse" / "views" / "000001.png")
    for number in (1, 2):
        parts = [replace(view, camera=view.camera.scaled(4)) for view in coarse[number:]]
        write_views(divided / f"blocks/{number:02d}" / "views.json", parts)
    join_blocks(divided, tmp_path / "joined")
    found = read_views(tmp_path / "joined" / "views.json")
    assert [view.camera.fx / before.camera.fx for view, before in zip(found, coarse, strict=True)] == [4, 4, 4, 4]
    assert (found[0].split, found[1].camera.width) == ("test", 4 * size[0])
    assert len(photos_of(found, None, None).cameras) == 1
    compared = held_out_photos(found, tmp_path / "joined")
    assert compared is not None
    (camera,) = compared.cameras
    assert (camera.width, camera.height) == size
    np.testing.assert_allclose(camera.intrinsics, coarse[0].camera.intrinsics)


def test_the_cover_of_every_place_is_shared_out_once(tmp_path: Path) -> None:
    """If coarse model and blocks are the same splat, the joined one covers each place as that splat did."""
    whole = scattered(7)
    folder = tmp_path / "model"
    places = whole.means.astype(np.float64)
    for number, name in enumerate(("blocks/01", "blocks/02")):
        (folder / name).mkdir(parents=True)
        own = with_shares(whole, box_shares(PLAN, places)[number] * hull_share(PLAN, places))
        write_ply(folder / name / "scene.ply", own)
    (folder / "coarse").mkdir()
    write_ply(folder / "coarse" / "scene.ply", whole)
    (folder / "coarse" / "blocks.json").write_text(json.dumps(PLAN.as_json()))
    join_blocks(folder, tmp_path / "joined")
    joined = read_stored_ply(tmp_path / "joined" / "scene.ply").gaussians
    clear = {tuple(mean): 1.0 for mean in whole.means}
    for mean, opacity in zip(joined.means, opacity_of(joined.opacities), strict=True):
        clear[tuple(mean)] *= 1 - opacity
    before = 1 - opacity_of(whole.opacities)
    np.testing.assert_allclose(list(clear.values()), before, atol=0.006)


def test_where_a_block_is_missing_the_coarse_model_stands(divided: Path, tmp_path: Path) -> None:
    complete, lacking = tmp_path / "complete", tmp_path / "lacking"
    join_blocks(divided, complete)
    (divided / "blocks" / "02" / "scene.ply").unlink()
    (warning,) = join_blocks(divided, lacking).warnings
    assert (warning.code, warning.message) == (
        "BLOCK_MISSING",
        "1 of 2 blocks missing: 2; the coarse model replaces them",
    )
    there = read_stored_ply(lacking / "scene.ply").gaussians.means
    coarse = read_stored_ply(divided / "coarse" / "scene.ply").gaussians.means
    right = coarse[(coarse[:, 0] > 1) & (np.abs(coarse[:, :2]) < 19).all(axis=1)]
    assert len(right)
    assert {tuple(mean) for mean in right} <= {tuple(mean) for mean in there}
    kept = read_stored_ply(complete / "scene.ply").gaussians.means
    assert not {tuple(mean) for mean in right} & {tuple(mean) for mean in kept}


def test_the_compressor_reads_blocks_as_one_scene(divided: Path, tmp_path: Path) -> None:
    source = read_source(divided, tmp_path / "scratch")
    assert [view.name for view in source.views] == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    assert source.training_seconds == 600
    assert source.warnings == []
    assert len(PlyData.read(str(source.folder / "dense.ply"))["vertex"]) == 11 + 12
    (divided / "blocks" / "01" / "scene.ply").unlink()
    (warning,) = read_source(divided, tmp_path / "again").warnings
    assert warning.code == "BLOCK_MISSING"


def test_no_plan_and_no_block_are_refused(divided: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        (divided / "blocks" / f"{number:02d}" / "scene.ply").unlink()
    with pytest.raises(StageError, match="none of 2 blocks"):
        join_blocks(divided, tmp_path / "joined")
    (divided / "coarse" / "blocks.json").write_text("{}")
    with pytest.raises(StageError, match="INVALID_SCENE"):
        join_blocks(divided, tmp_path / "joined")


@pytest.mark.parametrize("fault", ["another degree", "text", "cut short"])
def test_a_block_of_another_layout_is_refused(divided: Path, tmp_path: Path, fault: str) -> None:
    path = divided / "blocks" / "01" / "scene.ply"
    if fault == "another degree":
        splat = scattered(1)
        write_ply(path, Gaussians(**{**vars(splat), "shN": np.zeros((len(splat), 0, 3), np.float32)}))
    else:
        path.write_bytes(b"ply\nformat ascii 1.0\nelement vertex 0\nend_header\n" if fault == "text" else b"ply\nform")
    with pytest.raises(StageError, match="INVALID_SPLAT"):
        join_blocks(divided, tmp_path / "joined")
    with pytest.raises(InvalidSplatError):
        join_plys([divided / "coarse" / "scene.ply", path], tmp_path / "joined.ply")


def test_a_block_about_another_place_is_refused(divided: Path, tmp_path: Path) -> None:
    """The joined file has only one offset, so the block's Gaussians would be displaced."""
    write_ply(divided / "blocks" / "02" / "scene.ply", scattered(2), Marks(up=(0.0, 0.0, 1.0), offset=(5e5, 5e6, 0)))
    with pytest.raises(StageError, match="do not have the same offset"):
        join_blocks(divided, tmp_path / "joined")


@pytest.mark.parametrize("change", [-4, 4])
def test_a_file_whose_values_do_not_fill_its_promise_is_refused(tmp_path: Path, change: int) -> None:
    """Otherwise the next file's values would be read from the wrong byte on."""
    good, bad = tmp_path / "good.ply", tmp_path / "bad.ply"
    points(good, 5)
    content = good.read_bytes()
    bad.write_bytes(content[:change] if change < 0 else content + bytes(change))
    with pytest.raises(InvalidSplatError, match=r"bad\.ply"):
        join_plys([bad, good], tmp_path / "joined.ply")
    assert not (tmp_path / "joined.ply").exists()


# ── larger than memory ──


def flight(folder: Path, blocks: int, each: int) -> Path:
    """A strip of so many blocks with `each` Gaussians, and a coarse model with 400."""
    plan = strip_of(blocks)
    rng = np.random.default_rng(0)
    for number in range(blocks + 1):
        name = f"blocks/{number:02d}" if number else "coarse"
        (folder / name).mkdir(parents=True)
        count = each if number else 400
        places = rng.uniform(0, 1, (count, 3)) if number else rng.uniform(-30, 60, (count, 3))
        places[:, 0] += max(number - 1, 0)
        splat = gaussians_of(
            means=places,
            quats=np.tile([1.0, 0, 0, 0], (count, 1)),
            scales=np.full((count, 3), -5.0),
            opacities=np.full(count, 1.0),
            sh0=rng.uniform(-1, 1, (count, 3)),
            shN=np.zeros((count, 0, 3)),
        )
        write_ply(folder / name / "scene.ply", splat, MARKS)
    (folder / "coarse" / "blocks.json").write_text(json.dumps(plan.as_json()))
    return folder


def test_a_scene_too_large_to_be_held_is_reduced_and_kept_whole_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(join, "MAX_HELD", 3_000)
    monkeypatch.setattr(join, "REDUCED", 2_000)
    folder = flight(tmp_path / "model", 4, 1_000)
    source = read_source(folder, tmp_path / "scratch")
    around = vertices_of(source.parts[0])
    assert [vertices_of(path) for path in source.parts] == [around, 1_000, 1_000, 1_000, 1_000]
    assert vertices_of(source.file) == around + 4_000
    assert len(source.gaussians) == around + 4 * 334  # three neighbours become one
    (warning,) = source.warnings
    assert (warning.code, warning.message[:5]) == ("SCENE_REDUCED", f"{len(source.gaussians):,}")
    for number in range(4):
        inside = (source.gaussians.means[around:, 0] // 1).astype(int) == number
        assert abs(np.count_nonzero(inside) - 334) < 10  # every block is reduced by the same factor
    assert sorted(path.name for path in (tmp_path / "scratch" / "joined").glob("*.ply")) == [
        "around.ply", "scene.ply", "whole.ply",
    ]  # fmt: skip


def test_blocks_far_from_the_origin_stay_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = flight(tmp_path / "model", 4, 1_000)
    for path in folder.glob("**/scene.ply"):
        stored = read_stored_ply(path)
        away = np.array([5_000.0, 0, 0], np.float32)
        write_ply(path, replace(stored.gaussians, means=stored.gaussians.means + away), stored.marks)
    monkeypatch.setattr(join, "MAX_HELD", 3_000)
    monkeypatch.setattr(join, "REDUCED", 2_000)
    source = read_source(folder, tmp_path / "scratch")
    places = source.gaussians.means[:, 0] + source.marks.offset[0]
    assert len(places) <= 2_000
    around = vertices_of(source.parts[0])
    assert np.quantile(places[around:], [0.01, 0.99]) == pytest.approx([5_000.0, 5_004.0], abs=0.2)
    parts = [_part_of(path, source.marks).means[:, 0] + source.marks.offset[0] for path in source.parts[1:]]
    assert [float(np.median(part)) for part in parts] == pytest.approx([5_000.5 + n for n in range(4)], abs=0.1)


def test_memory_grows_with_the_largest_block_and_not_with_the_flight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(join, "MAX_HELD", 10_000)
    monkeypatch.setattr(join, "REDUCED", 2_000)
    peaks = []
    for blocks in (3, 12):
        folder = flight(tmp_path / str(blocks), blocks, 20_000)
        tracemalloc.start()
        join_blocks(folder, tmp_path / f"joined-{blocks}")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]  # with four times the Gaussians


def test_a_scene_too_large_to_be_held_is_streamed_with_all_that_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(join, "MAX_HELD", 3_000)
    monkeypatch.setattr(join, "REDUCED", 1_500)
    source = read_source(flight(tmp_path / "model", 3, 1_200), tmp_path / "scratch")
    views = [
        View(f"{n}.jpg", "train", camera)
        for n, camera in enumerate(orbit((1.5, 0.5, 0.5), 6, 40, 6, width=96, height=72))
    ]
    framing = frame_scene(source.gaussians, views, z_up=True)
    surroundings = default_surroundings(source.gaussians, [view.camera for view in views], framing.up)
    shares = list[float]()
    write_parts(
        tmp_path / "lod", source.parts, views, framing, surroundings, Coarseness(palette_size=0), shares.append,
        marks=source.marks,
    )  # fmt: skip
    assert shares == sorted(shares)
    meta = json.loads((tmp_path / "lod" / "lod-meta.json").read_text())
    leaves = list(leaves_of(meta["tree"]))
    finest = sum(leaf["lods"]["0"]["count"] for leaf in leaves)
    assert finest >= 3 * 1_200  # outliers and environment come from the coarse model
    assert meta["counts"][0] == finest
    assert len(set(meta["filenames"])) == len(meta["filenames"])
    held = {name: len(read_codes((tmp_path / "lod" / name).read_bytes()).means) for name in meta["filenames"]}
    used = dict.fromkeys(meta["filenames"], 0)
    for leaf in leaves:
        for level in leaf["lods"].values():
            name = meta["filenames"][level["file"]]
            assert level["offset"] == used[name]
            used[name] += level["count"]
    assert used == held
    low, high = (np.array(meta["tree"]["bound"][end]) for end in ("min", "max"))
    assert (low <= 0.05).all()
    assert high[0] >= 2.95


def test_a_part_that_nobody_sees_costs_a_large_scene_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If blocks own nearly all of the coarse model, traces of it may remain that no renderer draws."""
    monkeypatch.setattr(join, "MAX_HELD", 300)
    monkeypatch.setattr(join, "REDUCED", 150)
    source = read_source(flight(tmp_path / "model", 2, 200), tmp_path / "scratch")
    around = read_stored_ply(source.parts[0])
    unseen = replace(around.gaussians, opacities=np.full(len(around.gaussians), -20, np.float32))
    write_ply(source.parts[0], unseen, around.marks)
    views = [View("0.jpg", "train", orbit((1.0, 0.5, 0.5), 6, 40, 1, width=96, height=72)[0])]
    framing = frame_scene(source.gaussians, views, z_up=True)
    surroundings = default_surroundings(source.gaussians, [views[0].camera], framing.up)
    write_parts(
        tmp_path / "lod", source.parts, views, framing, surroundings, Coarseness(palette_size=0), lambda _share: None,
        marks=source.marks,
    )  # fmt: skip
    assert json.loads((tmp_path / "lod" / "lod-meta.json").read_text())["filenames"]


def leaves_of(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "children" not in tree:
        yield tree
    for child in tree.get("children", []):
        yield from leaves_of(child)


def test_a_plan_of_the_tests_is_one_of_the_contract() -> None:
    assert BlockPlan.from_json(json.loads(json.dumps(PLAN.as_json()))) == PLAN
