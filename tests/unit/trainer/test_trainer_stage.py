"""The stage from end to end on a small scene: it learns, is reproducible, stops, resumes and fails as documented."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from plyfile import PlyData

from benchmarks.drawing import shown
from splat.camera import read_views
from splat.gaussians import Gaussians
from splat.ply import read_ply
from splat.surroundings import read_surroundings
from stage.contract import Folders, StageContext, run_stage
from stage.result import StageOutcome
from tests.support.schemas import file_faults
from tests.unit.trainer.synthetic import HEIGHT, WIDTH, make_scene
from trainer import run as training_run
from trainer import stage as trainer_stage
from trainer import train
from trainer.dataset import Photo
from trainer.loss import Photometric
from trainer.run import Scores, TrainingRun
from trainer.stage import result_folder, train_scene

REPOSITORY = Path(__file__).parents[3]
STEPS = 60


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scene")
    make_scene(folder, origin=(100, -50, 20), size=30)
    (folder / "georeference.json").write_text('{"version": 1, "georeferenced": true}')
    return folder


def run(root: Path, scene: Path, work: Callable[[StageContext], StageOutcome] = train_scene, **options: str) -> int:
    channel = root / "input" / "data" / "scene"
    if not channel.exists():
        channel.parent.mkdir(parents=True)
        channel.symlink_to(scene)
    environment = {"ML_ROOT": str(root), "TRAINING_STEPS": str(STEPS), "MAX_GAUSSIANS": "900", **options}
    return run_stage("3dgs", result_folder, work, environment)


@pytest.fixture(scope="module")
def done(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ml")
    assert run(root, scene) == 0
    return root / "model"


def result(model: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((model / "result.json").read_text())
    return document


def test_what_it_leaves_keeps_to_the_schemas(done: Path) -> None:
    assert file_faults(done, "3dgs", "views", "surroundings") == []


def test_another_fold_is_held_out_and_the_splat_that_is_scored_handed_over(scene: Path, tmp_path: Path) -> None:
    scored: list[Gaussians] = []
    assert run(tmp_path, scene, partial(train_scene, fold=5, scored=scored.append)) == 0
    views = json.loads((tmp_path / "model" / "views.json").read_text())["views"]
    assert [index for index, view in enumerate(views) if view["split"] == "test"] == [5]
    (before,), delivered = scored, read_ply(tmp_path / "model" / "scene.ply")
    assert len(before) == len(delivered)
    assert not np.array_equal(before.means, delivered.means)  # the final steps on all photos changed it


def test_it_learns_the_scene(done: Path) -> None:
    found = result(done)
    counts = {"gaussians": 900, "steps": 69, "trainViews": 8, "heldOutViews": 1}
    assert found["counts"].items() >= counts.items()
    assert 200 < found["counts"]["denseSeeds"] <= 450
    assert 0 < found["counts"]["virtualViews"] <= 16  # twice as many as photos are drawn
    metrics = found["metrics"]
    assert metrics["psnr"] > 20
    assert metrics["psnrTrain"] > 20
    assert 0.3 < metrics["ssim"] <= 1
    assert 0 < metrics["gmsd"] < 0.2
    curve = metrics["curve"]
    assert curve[-1]["step"] == STEPS
    assert curve[-1]["psnr"] > curve[0]["psnr"] + 3
    assert set(found["timings"]) == {"load", "initialise", "train", "evaluate", "finish", "write"}


def test_it_leaves_what_the_contract_names(done: Path) -> None:
    files = {entry["path"] for entry in result(done)["files"]}
    assert files == {
        "scene.ply", "dense.ply", "views.json", "views/000004.png", "held_out.png", "georeference.json",
        "surroundings.json",
    }  # fmt: skip
    assert json.loads((done / "georeference.json").read_text()) == {"version": 1, "georeferenced": True}
    views = read_views(done / "views.json")
    assert [view.split for view in views].count("test") == 1
    assert {view.image for view in views if view.split == "train"} == {None}
    assert Image.open(done / "held_out.png").size == (2 * WIDTH + 8, HEIGHT)


def test_the_dense_points_lie_on_the_ground_in_world_coordinates(done: Path) -> None:
    vertices = PlyData.read(str(done / "dense.ply"))["vertex"]
    assert len(vertices) == result(done)["counts"]["densePoints"] > 1000
    x, z = (np.asarray(vertices[name]) for name in "xz")
    height = 20 + 30 * 0.15 * np.sin(3 * (x - 100) / 30)
    assert np.median(np.abs(z - height)) < 2
    assert np.asarray(vertices["agree"]).min() >= 1


def test_each_photo_has_its_exposure_reported(done: Path) -> None:
    """Held-out photos, too: maps are draped with all of them."""
    exposure = result(done)["metrics"]["exposure"]
    names = [photo["name"] for photo in exposure["photos"]]
    assert sorted(names) == sorted(view.name for view in read_views(done / "views.json"))
    assert 0 <= exposure["spread"] < 0.05  # photos rendered from one splat
    assert all(0.9 < gain < 1.1 for photo in exposure["photos"] for gain in photo["gain"])


def test_the_splat_shows_the_held_out_photo_in_world_coordinates(done: Path) -> None:
    gaussians = read_ply(done / "scene.ply")
    assert gaussians.sh_degree == 3
    assert np.abs(np.median(gaussians.means, axis=0) - (100, -50, 20)).max() < 10
    view = next(view for view in read_views(done / "views.json") if view.split == "test")
    photo = np.asarray(Image.open(done / str(view.image))) / 255
    error = ((shown(gaussians, view.camera, read_surroundings(done / "surroundings.json")) - photo) ** 2).mean()
    # it was trained on after scoring
    assert -10 * np.log10(error) > result(done)["metrics"]["psnr"]


def test_two_runs_give_the_same_file(done: Path, scene: Path, tmp_path: Path) -> None:
    assert run(tmp_path, scene) == 0
    assert (tmp_path / "model" / "scene.ply").read_bytes() == (done / "scene.ply").read_bytes()


def stopping_at(step: int) -> Callable[[StageContext], StageOutcome]:
    """The stage's work, asked to stop once training has reached `step`."""

    def work(context: StageContext) -> StageOutcome:
        original = train.Trainer.train_step

        def train_step(trainer: train.Trainer, photos: list[Photo], at: int) -> float:
            if trainer.step + 1 == step:
                context.stopping.set()
            return original(trainer, photos, at)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(train.Trainer, "train_step", train_step)
            return train_scene(context)

    return work


def test_a_stopped_run_goes_on_as_if_it_had_not_been(done: Path, scene: Path, tmp_path: Path) -> None:
    assert run(tmp_path, scene, stopping_at(40)) == 1
    folders = Folders(tmp_path)
    assert (folders.output / "failure").read_text().startswith("INTERRUPTED")
    assert [path.name for path in folders.checkpoints.glob("*.ckpt")] == ["step-000000040.ckpt"]
    assert not (folders.model / "scene.ply").exists()
    assert run(tmp_path, scene) == 0
    assert (folders.model / "scene.ply").read_bytes() == (done / "scene.ply").read_bytes()
    curves = [json.loads((model / "result.json").read_text())["metrics"]["curve"] for model in (folders.model, done)]
    steps = [[point["step"] for point in curve] for curve in curves]
    assert 40 in steps[1], "the step at which it stopped"
    assert steps[0] == steps[1]


def test_a_run_stopped_while_finishing_keeps_the_scores_of_before(done: Path, scene: Path, tmp_path: Path) -> None:
    assert run(tmp_path, scene, stopping_at(STEPS + 5)) == 1
    folders = Folders(tmp_path)
    assert [path.name for path in folders.checkpoints.glob("*.ckpt")] == [f"step-{STEPS + 5:09d}.ckpt"]
    assert run(tmp_path, scene) == 0
    assert (folders.model / "scene.ply").read_bytes() == (done / "scene.ply").read_bytes()
    assert result(folders.model)["metrics"]["views"] == result(done)["metrics"]["views"]
    assert (folders.model / "held_out.png").is_file()


def test_a_run_stopped_while_it_is_scored_keeps_all_its_steps(done: Path, scene: Path, tmp_path: Path) -> None:
    def work(context: StageContext) -> StageOutcome:
        original = TrainingRun.score

        def score(of: TrainingRun) -> Scores:
            context.stopping.set()
            return original(of)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TrainingRun, "score", score)
            return train_scene(context)

    assert run(tmp_path, scene, work) == 1
    folders = Folders(tmp_path)
    assert (folders.output / "failure").read_text().startswith("INTERRUPTED")
    assert [path.name for path in folders.checkpoints.glob("*.ckpt")] == [f"step-{STEPS:09d}.ckpt"]
    assert run(tmp_path, scene) == 0
    assert (folders.model / "scene.ply").read_bytes() == (done / "scene.ply").read_bytes()


def test_sigterm_leaves_a_checkpoint(scene: Path, tmp_path: Path) -> None:
    """SageMaker grants 120 seconds between SIGTERM and SIGKILL, for Spot interruptions as well."""
    channel = tmp_path / "input" / "data" / "scene"
    channel.parent.mkdir(parents=True)
    channel.symlink_to(scene)
    path = os.pathsep.join(str(REPOSITORY / part) for part in ("containers", "containers/3dgs"))
    options = {"ML_ROOT": str(tmp_path), "PYTHONPATH": path, "TRAINING_STEPS": "100000", "MAX_GAUSSIANS": "900"}
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer", "train"], env={**os.environ, **options}, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if '"step"' in line:
            break
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode == 1
    folders = Folders(tmp_path)
    assert (folders.output / "failure").read_text().startswith("INTERRUPTED")
    assert len(list(folders.checkpoints.glob("*.ckpt"))) == 1
    assert not (folders.model / "scene.ply").exists()


def test_a_checkpoint_of_another_budget_is_not_resumed(scene: Path, tmp_path: Path) -> None:
    assert run(tmp_path, scene, stopping_at(10)) == 1
    assert run(tmp_path, scene, TRAINING_STEPS="12") == 0
    assert result(tmp_path / "model")["metrics"]["trainedSteps"] == 12


def test_a_damaged_checkpoint_is_reported(scene: Path, tmp_path: Path) -> None:
    folder = Folders(tmp_path).checkpoints
    folder.mkdir()
    (folder / "step-000000005.ckpt").write_bytes(b"nothing")
    assert run(tmp_path, scene, TRAINING_STEPS="10") == 0
    assert [warning["code"] for warning in result(tmp_path / "model")["warnings"]] == ["DAMAGED_CHECKPOINT"]


def test_an_option_beyond_memory_is_reduced_and_reported(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer_stage, "memory_of", lambda _device: 3_000_000)
    assert run(tmp_path, scene, TRAINING_STEPS="20") == 0
    found = result(tmp_path / "model")
    assert found["counts"]["gaussians"] <= 500
    assert [warning["code"] for warning in found["warnings"]] == ["GAUSSIANS_CAPPED"]


def test_divergence_ends_the_run(scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Photometric, "__call__", lambda _self, image, _target: image.sum() * float("nan"))
    assert run(tmp_path, scene) == 1
    assert (tmp_path / "output" / "failure").read_text().startswith("TRAINING_DIVERGED")


def test_no_scene_is_an_invalid_scene(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert run(tmp_path / "ml", empty) == 1
    assert (tmp_path / "ml" / "output" / "message").read_text().startswith("INVALID_SCENE")


def test_three_photos_train_without_one_held_out(tmp_path: Path) -> None:
    make_scene(tmp_path / "scene", photos=3)
    assert run(tmp_path / "ml", tmp_path / "scene", TRAINING_STEPS="12", SH_DEGREE="0") == 0
    model = tmp_path / "ml" / "model"
    found = result(model)
    assert (found["counts"]["heldOutViews"], found["metrics"]["psnr"], found["metrics"]["ssim"]) == (0, None, None)
    assert not (model / "held_out.png").exists()
    assert read_ply(model / "scene.ply").sh_degree == 0
    assert json.loads((model / "georeference.json").read_text())["georeferenced"] is False


def test_checkpoints_are_written_while_it_trains(scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_run, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    assert run(tmp_path, scene, TRAINING_STEPS="6") == 0
    names = sorted(path.name for path in Folders(tmp_path).checkpoints.glob("*"))
    assert names == ["held_out.png", "snapshots", "step-000000006.ckpt", "step-000000007.ckpt"]


def test_pictures_of_the_first_held_out_view_are_left_while_it_trains(done: Path) -> None:
    found = result(done)["metrics"]
    snapshots = done.parent / "checkpoints" / "snapshots"
    assert {path.name for path in snapshots.iterdir()} == {f"{point['step']}.jpg" for point in found["curve"]}
    last = np.asarray(Image.open(snapshots / f"{STEPS}.jpg")) / 255
    photo = np.asarray(Image.open(done / "views" / "000004.png")) / 255
    assert -10 * np.log10(((last - photo) ** 2).mean()) == pytest.approx(found["views"][0]["psnr"], abs=1.0)
    assert found["ended"] == "steps"


def test_a_time_budget_ends_training_with_what_it_has(scene: Path, tmp_path: Path) -> None:
    assert run(tmp_path, scene, TRAINING_STEPS="100000", TRAINING_SECONDS="1") == 0
    found = result(tmp_path / "model")
    assert 0 < found["counts"]["steps"] < 100_000
    assert found["metrics"]["ended"] == "time"
    assert [warning["code"] for warning in found["warnings"]] == ["TIME_BUDGET"]
    assert len(read_ply(tmp_path / "model" / "scene.ply")) == found["counts"]["gaussians"]


def test_a_plateau_ends_training(scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_run, "plateaued", lambda curve, _settled: len(curve) == 3)
    assert run(tmp_path, scene, TRAINING_STEPS="24") == 0
    found = result(tmp_path / "model")
    assert (found["metrics"]["trainedSteps"], found["metrics"]["ended"]) == (6, "plateau")


@pytest.mark.parametrize("name", ["TRAINING_STEPS", "TRAINING_SECONDS", "MAX_GAUSSIANS"])
def test_no_budget_at_all_is_refused_by_name(scene: Path, tmp_path: Path, name: str) -> None:
    assert run(tmp_path, scene, train_scene, **{name: "0"}) == 1
    assert (tmp_path / "output" / "failure").read_text().startswith(f"INVALID_OPTION: {name}")


def test_a_photo_that_its_mask_hides_is_not_scored(scene: Path, tmp_path: Path) -> None:
    masked = Path(shutil.copytree(scene, tmp_path / "scene"))
    (masked / "masks").mkdir()
    Image.new("L", (WIDTH, HEIGHT), 0).save(masked / "masks" / "000004.png.png")
    assert run(tmp_path / "ml", masked) == 0
    metrics = json.loads((tmp_path / "ml" / "model" / "result.json").read_text())["metrics"]
    held_out = {view.name for view in read_views(tmp_path / "ml" / "model" / "views.json") if view.split == "test"}
    assert "000004.png" in held_out
    assert {view["name"] for view in metrics["views"]} == held_out - {"000004.png"}
    assert not (tmp_path / "ml" / "model" / "held_out.png").exists()
    assert all(point["psnr"] > 5 for point in metrics["curve"])
