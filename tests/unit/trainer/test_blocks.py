"""A large flight in blocks: photos cropped exactly, no photo trained on that another block holds out, the coarse model
behind."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from contract.blocks import BlockName, BlockPhoto, BlockPlan, read_by
from contract.split import HOLD_OUT_FIRST
from geo.boxes import along_axes, box_shares, hull_share, in_box
from sfm import blocks as planner
from splat.camera import read_views
from splat.fading import with_shares
from splat.gaussians import Gaussians, joined, opacity_of
from splat.ply import read_ply, write_ply
from splat.render import render
from splat.surroundings import Surroundings, read_surroundings
from stage.contract import run_stage
from stage.environment import Options
from stage.errors import StageError
from tests.support.schemas import file_faults
from tests.unit.trainer.synthetic import HEIGHT, WIDTH, make_scene, make_truth
from trainer.block import CoarseBackdrop, Part
from trainer.dataset import Listed, cut, load_scene
from trainer.densify import Densification, Pull, refine
from trainer.gpu.strategy import Splitting
from trainer.optimise import Splats
from trainer.photo_store import PhotoStore
from trainer.schedule import Flight, budget, preset_of
from trainer.stage import result_folder, train_scene

STEPS = 150


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen photos of 60 metres of ground, planned as two blocks."""
    folder = tmp_path_factory.mktemp("scene")
    make_scene(folder, photos=16, origin=(100, -50, 20), size=30)
    (folder / "georeference.json").write_text('{"version": 1, "georeferenced": true}')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planner, "MIN_BLOCK_PHOTOS", 4)
        assert planner.write_blocks(folder, folder / "sparse" / "0", 2, georeferenced=True) == 2
    return folder


def of_all(scene: Path, listed: dict[str, BlockPhoto]) -> Listed:
    """These parts of the photos, and all points of the flight."""
    return Listed(scene / "sparse" / "0", listed, np.zeros(3))


def give(scene: Path, block: BlockName, channel: Path) -> None:
    """Copies the input of a part of the flight from `scene`."""
    listed = json.loads(
        (scene / ("coarse" if block == "coarse" else f"blocks/{block:02d}") / "photos.json").read_text()
    )
    is_read = read_by(block, {row["name"] for row in listed})
    for path in scene.rglob("*"):
        if path.is_file() and is_read(path.relative_to(scene).as_posix()):
            (channel / path.relative_to(scene)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, channel / path.relative_to(scene))


def train(root: Path, scene: Path, block: str, coarse: Path | None = None) -> Path:
    data = root / "input" / "data"
    data.mkdir(parents=True)
    give(scene, "coarse" if block == "coarse" else int(block), data / "scene")
    if coarse:
        (data / "coarse").symlink_to(coarse)
    variables = {"ML_ROOT": str(root), "TRAINING_STEPS": str(STEPS), "MAX_GAUSSIANS": "1200", "BLOCK": block}
    assert run_stage("3dgs", result_folder, train_scene, variables) == 0, (root / "output" / "failure").read_text()
    return root / "model"


@pytest.fixture(scope="module")
def models(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("ml")
    coarse = train(root / "coarse", scene, "coarse")
    return {"coarse": coarse, **{name: train(root / name, scene, name, coarse) for name in ("1", "2")}}


@pytest.fixture(scope="module")
def plan(scene: Path) -> BlockPlan:
    return BlockPlan.from_json(json.loads((scene / "blocks.json").read_text()))


def test_no_photo_is_trained_in_one_block_and_held_out_in_another(models: dict[str, Path]) -> None:
    splits = {
        name: {view.name: view.split for view in read_views(model / "views.json")} for name, model in models.items()
    }
    assert [view for view, split in splits["coarse"].items() if split == "test"] == ["000004.png", "000012.png"]
    for name in ("1", "2"):
        assert splits[name].items() <= splits["coarse"].items()
        assert "test" in splits[name].values()


def test_a_block_keeps_to_the_schemas_and_its_share_of_the_steps(models: dict[str, Path], plan: BlockPlan) -> None:
    for name, model in models.items():
        assert file_faults(model, "3dgs", "views", "surroundings") == []
        counts = json.loads((model / "result.json").read_text())["counts"]
        photos = len(read_views(model / "views.json"))
        steps = STEPS / 4 if name == "coarse" else STEPS * photos / plan.photos
        assert counts["steps"] == pytest.approx(steps * 1.15, rel=0.12)
        assert counts["gaussians"] == len(read_ply(model / "scene.ply"))


def test_a_blocks_exposures_are_by_the_flights_mean(models: dict[str, Path]) -> None:
    """Of the photos that it learns from; those that are held out are each model's own estimate."""
    found = {}
    for name, model in models.items():
        exposure = json.loads((model / "result.json").read_text())["metrics"]["exposure"]
        held_out = {view.name for view in read_views(model / "views.json") if view.split == "test"}
        gains = {photo["name"]: photo["gain"] for photo in exposure["photos"]}
        assert held_out <= gains.keys()
        found[name] = {photo: gain for photo, gain in gains.items() if photo not in held_out}
    assert len(found["coarse"]) == 14
    assert any(gain != [1, 1, 1] for gain in found["coarse"].values())
    for name in ("1", "2"):
        assert found[name]
        assert found[name].items() <= found["coarse"].items()


def test_a_block_ends_with_the_band_across_its_seam(models: dict[str, Path], plan: BlockPlan) -> None:
    for number in (1, 2):
        means = read_ply(models[str(number)] / "scene.ply").means.astype(np.float64)
        assert in_box(plan.block(number).box, along_axes(plan, means), plan.fade).all()
        beyond = ~in_box(plan.block(number).box, along_axes(plan, means))
        assert 0 < beyond.mean() < 0.3


def test_blocks_and_what_lies_around_them_show_the_ground_as_it_is(
    scene: Path, models: dict[str, Path], plan: BlockPlan
) -> None:
    parts = [read_ply(models[name] / "scene.ply") for name in ("1", "2")]
    coarse = read_ply(models["coarse"] / "scene.ply")
    places = along_axes(plan, coarse.means.astype(np.float64))
    rest = with_shares(coarse, 1 - hull_share(plan, places) * box_shares(plan, places).sum(axis=0))
    names = ("means", "quats", "scales", "opacities", "sh0", "shN")
    merged = Gaussians(**{name: np.concatenate([getattr(part, name) for part in [*parts, rest]]) for name in names})
    errors: dict[str, list[float]] = {"merged": [], "coarse": []}
    for view in read_views(models["coarse"] / "views.json"):
        photo = np.asarray(Image.open(scene / "images" / view.name).convert("RGB")) / 255
        for name, splat in (("merged", merged), ("coarse", coarse)):
            errors[name].append(np.square(render(splat, view.camera).clip(0, 1) - photo)[20:-20, 20:-20].mean())
    psnr = {name: -10 * np.log10(np.mean(values)) for name, values in errors.items()}
    assert psnr["merged"] > 24
    assert psnr["merged"] > psnr["coarse"] + 1


def test_a_cut_photo_shows_what_the_whole_shows_there(scene: Path) -> None:
    whole = load_scene(scene, WIDTH)
    listed = {photo.name: BlockPhoto(photo.name, photo.split, (16, 32, 80, 72), 9) for photo in whole.photos}
    part = load_scene(scene, WIDTH, listed=of_all(scene, listed))
    store, others = PhotoStore(), PhotoStore()
    point = whole.positions[:5]
    for one, other in zip(whole.photos, part.photos, strict=True):
        assert (other.camera.width, other.camera.height, other.split) == (64, 40, one.split)
        np.testing.assert_array_equal(others.picture(other), store.picture(one)[32:72, 16:80])
        np.testing.assert_allclose(other.camera.project(point)[0], one.camera.project(point)[0] - (16, 32), atol=1e-9)
        rows = part.observed[other.name]
        assert other.camera.contains(*other.camera.project(part.positions[rows])).all()


def test_a_cut_photo_is_made_smaller_by_the_wholes_factor(scene: Path) -> None:
    listed = {
        f"{number:06d}.png": BlockPhoto(f"{number:06d}.png", "train", (16, 32, 80, 72), 9) for number in range(1, 17)
    }
    for photo in load_scene(scene, WIDTH // 2, listed=of_all(scene, listed)).photos:
        assert (photo.camera.width, photo.camera.height) == (32, 20)
        assert PhotoStore().picture(photo).shape == (20, 32, 3)


def test_a_part_beyond_its_photo_is_refused(scene: Path) -> None:
    photo = load_scene(scene, WIDTH).photos[0]
    with pytest.raises(StageError, match="INVALID_SCENE"):
        cut(photo, BlockPhoto(photo.name, "train", (0, 0, WIDTH + 1, HEIGHT), 9), photo.camera)


def test_only_what_is_inside_is_split() -> None:
    truth = make_truth(count=100)
    splats = Splats.of(truth, torch.device("cpu"))
    pull = Pull(100, torch.device("cpu"))
    pull.total += 1
    pull.views += 1
    right = splats["means"][:, 0] > 0
    pull.keep(right)
    refine(splats, pull, 1000, Densification())
    assert len(splats) == 100 + int(right.sum())


def test_on_a_gpu_too_only_what_is_inside_is_split() -> None:
    splats = Splats.of(make_truth(count=100), torch.device("cpu"))
    right = int((splats["means"][:, 0] > 0).sum())
    strategy = Splitting(inside=lambda means: means[:, 0] > 0)
    strategy.restore({"total": torch.ones(100), "views": torch.ones(100)}, torch.device("cpu"))
    strategy.refine(splats, 1000, torch.Generator())
    assert len(splats) == 100 + right


def test_the_coarse_model_lies_behind_a_block_without_the_blocks_own_place(
    scene: Path, models: dict[str, Path], plan: BlockPlan
) -> None:
    coarse, surroundings = (
        read_ply(models["coarse"] / "scene.ply"),
        read_surroundings(models["coarse"] / "surroundings.json"),
    )
    part = Part.read(scene, 1)
    camera = read_views(models["coarse"] / "views.json")[0].camera
    outside = coarse.select(~part.trains(coarse.means.astype(np.float64)))
    assert 0 < len(outside) < len(coarse)
    behind = CoarseBackdrop(surroundings, outside).behind(camera, WIDTH, HEIGHT, torch.device("cpu")).numpy()
    drawn = render(outside, camera)
    covered = render(replace(outside, sh0=np.full_like(outside.sh0, 0.5 / 0.28209479), shN=outside.shN * 0), camera)
    full = covered.min(axis=2) > 0.99
    assert full.any()
    np.testing.assert_allclose(behind[full], drawn[full].clip(0, 1), atol=0.02)


def test_a_coarse_model_far_from_the_flights_middle_stays_where_it_is(
    scene: Path, models: dict[str, Path], tmp_path: Path
) -> None:
    """A splat far from the origin is centred when it is read alone; this one is read beside its block's photos."""
    part = Part.read(scene, 1)
    loaded = part.load(scene, WIDTH, HOLD_OUT_FIRST)
    coarse = read_ply(models["coarse"] / "scene.ply")
    most = replace(coarse, means=coarse.means + np.array([50_000, 0, 0], np.float32))
    shutil.copytree(models["coarse"], tmp_path / "coarse")
    write_ply(tmp_path / "coarse" / "scene.ply", joined([coarse, most, most]))
    backdrop = part.behind(lambda _name: tmp_path / "coarse", loaded, unused).backdrop
    assert isinstance(backdrop, CoarseBackdrop)
    means = backdrop._coarse.means
    near = coarse.means[~part.trains(coarse.means.astype(np.float64))]
    np.testing.assert_array_equal(means[means[:, 0] < 25_000], near)


def unused() -> Surroundings:
    raise AssertionError("a block is not drawn over surroundings of its own")


def test_a_share_of_a_gaussian_covers_less_and_none_is_left_out() -> None:
    truth = make_truth(count=4)
    left = with_shares(truth, np.array([1.0, 0.5, 0.001, 0.25]))
    assert len(left) == 3
    before = opacity_of(truth.opacities)[0]
    np.testing.assert_allclose(
        opacity_of(left.opacities), [before, 1 - (1 - before) ** 0.5, 1 - (1 - before) ** 0.25], rtol=1e-5
    )
    assert np.isfinite(
        with_shares(replace(truth, opacities=np.full(4, 90, np.float32)), np.full(4, 0.5)).opacities
    ).all()


def test_steps_and_gaussians_asked_for_are_shared_out(scene: Path, plan: BlockPlan) -> None:
    asked = Options(training_steps=1000, max_gaussians=100_000)
    parts = [Part.read(scene, number) for number in (1, 2)]
    for part in parts:
        own = part.load(scene, WIDTH, HOLD_OUT_FIRST)
        assert isinstance(part.name, int)
        delivered = part.delivers(own.positions).mean()
        assert 0.5 < delivered < 1  # the rest belong to the margin
        given = part.options(asked, own)
        assert (given.max_gaussians or 0) * delivered == pytest.approx(100_000 * plan.block(part.name).weight, rel=1e-3)
        assert given.training_steps == round(1000 * len(part.photos) / 16)
        assert part.options(Options(), own) == Options()
    coarse = Part.read(scene, "coarse")
    assert coarse.options(asked, load_scene(scene, WIDTH)) == Options(training_steps=250, max_gaussians=25_000)
    standard = preset_of(Options(), cuda=True)
    assert coarse.preset(standard).long_edge == 800
    assert parts[0].preset(standard) == standard


def test_the_coarse_models_cap_is_no_shortage_of_memory_and_is_halved_by_a_retry(scene: Path) -> None:
    coarse, whole = Part.read(scene, "coarse"), load_scene(scene, WIDTH)
    asked = coarse.options(Options(max_gaussians=5_000_000, gaussians_divisor=2), whole)
    assert asked.max_gaussians == 300_000
    preset = coarse.preset(preset_of(Options(), cuda=True))
    large = Flight(photos=5000, views=10.0, pixels=10**10)
    for options in (asked, coarse.options(Options(gaussians_divisor=2), whole)):
        assert budget(options, preset, large, 1 << 40).max_gaussians == 150_000


@pytest.mark.parametrize("fault", ["no plan", "no such block", "no list", "a broken list"])
def test_a_block_that_is_not_planned_is_an_invalid_scene(scene: Path, tmp_path: Path, fault: str) -> None:
    document = json.loads((scene / "blocks.json").read_text())
    if fault != "no plan":
        (tmp_path / "blocks.json").write_text(json.dumps(document))
    if fault in ("no such block", "a broken list"):
        (tmp_path / "blocks" / "01").mkdir(parents=True)
        (tmp_path / "blocks" / "01" / "photos.json").write_text('[{"name": "a.jpg"}]')
    with pytest.raises(StageError, match="INVALID_SCENE"):
        Part.read(tmp_path, 3 if fault == "no such block" else 1)


def test_a_block_without_points_is_an_invalid_scene(scene: Path, tmp_path: Path) -> None:
    give(scene, 1, tmp_path)
    (tmp_path / "blocks/01/sparse/0/points3D.bin").unlink()
    (tmp_path / "blocks/01/sparse/0/points3D.bin").write_bytes(bytes(8))
    with pytest.raises(StageError, match="0 usable points"):
        Part.read(tmp_path, 1).load(tmp_path, WIDTH, HOLD_OUT_FIRST)


def test_a_block_is_trained_from_its_own_model_as_from_the_flights(
    scene: Path, plan: BlockPlan, tmp_path: Path
) -> None:
    for number in (1, 2):
        give(scene, number, tmp_path / str(number))
        part = Part.read(scene, number)
        own = part.load(tmp_path / str(number), WIDTH, HOLD_OUT_FIRST)
        whole = load_scene(scene, WIDTH, listed=of_all(scene, dict(part.photos)))
        inside = part.trains(whole.positions)
        assert 0 < inside.mean() < 1
        np.testing.assert_array_equal(sorted(map(tuple, own.positions)), sorted(map(tuple, whole.positions[inside])))
        assert [photo.name for photo in own.photos] == [photo.name for photo in whole.photos]
        for mine, theirs in zip(own.photos, whole.photos, strict=True):
            np.testing.assert_allclose(mine.camera.world_to_camera, theirs.camera.world_to_camera, atol=1e-12)
            seen = {tuple(whole.positions[row]) for row in whole.observed[mine.name] if inside[row]}
            assert {tuple(own.positions[row]) for row in own.observed[mine.name]} == seen


def test_all_parts_of_a_flight_far_from_its_origin_are_about_one_place(scene: Path, tmp_path: Path) -> None:
    """If each part were centred by its own points, their splats could not be joined."""
    document = json.loads((scene / "blocks.json").read_text())
    for name in ("coarse", 1, 2):
        give(scene, name, tmp_path)
    (tmp_path / "blocks.json").unlink()
    for end in ("low", "high"):
        document["hull"][end][0] += 50_000
    (tmp_path / "blocks.json").write_text(json.dumps(document))
    offsets = {Part.read(tmp_path, name).load(tmp_path, WIDTH, HOLD_OUT_FIRST).offset for name in ("coarse", 1, 2)}
    assert len(offsets) == 1
    assert offsets.pop()[0] == pytest.approx(50_100, abs=20)
