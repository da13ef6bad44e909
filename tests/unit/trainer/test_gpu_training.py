"""The GPU's training loop, run on the CPU through gsplat's own Python: it learns, resumes, and waits for the
device only where it must."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tests.support.gsplat_on_cpu import gsplat_on_cpu
from tests.unit.trainer.synthetic import BEHIND, BOUNDLESS, PlainBackdrop, make_scene
from tests.unit.trainer.test_trainer_stage import result, run
from trainer import run as training_run
from trainer import stage as trainer_stage
from trainer.checkpoint import on_host
from trainer.dataset import Known, Photo, Scene, load_scene
from trainer.gpu.optimise import DeviceSplats
from trainer.gpu.photos import Backgrounds
from trainer.gpu.shots import rows_in_view
from trainer.gpu.strategy import Relocation, Splitting, Strategy
from trainer.gpu.training import BLOCK, DeviceTrainer
from trainer.initialise import from_seeds, seed_points
from trainer.photo_store import PhotoStore
from trainer.schedule import Budget
from trainer.stage import train_scene
from trainer.train import Progress
from trainer.virtual import taken_at

CPU = torch.device("cpu")
EDGE, SEEDS, CAP = 48, 120, 200


@pytest.fixture(scope="module", autouse=True)
def _gsplat() -> Iterator[None]:
    with gsplat_on_cpu():
        yield


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("scene")
    make_scene(folder)
    return load_scene(folder, EDGE)


def make_trainer(
    scene: Scene,
    steps: int,
    strategy: Strategy | None = None,
    dropout: float = 0.2,
    room: int = 1 << 30,
    backgrounds: Backgrounds | None = None,
    virtual: Sequence[Photo] = (),
) -> DeviceTrainer:
    seeds = from_seeds(seed_points(scene, PhotoStore(), SEEDS, BOUNDLESS), 3)
    return DeviceTrainer(
        photos=scene.split("train"),
        held_out=scene.split("test"),
        frame=scene.frame,
        budget=Budget(steps, EDGE, CAP),
        splats=DeviceSplats.of(seeds, CPU),
        dropout=dropout,
        far=BOUNDLESS,
        room=room,
        strategy=strategy,
        backgrounds=backgrounds,
        virtual=virtual,
    )


def match(trainer: DeviceTrainer, scene: Scene) -> float:
    """PSNR in dB of the held-out photo."""
    photo = scene.split("test")[0]
    image = trainer.render(photo, (photo.camera.width, photo.camera.height)).numpy()
    return float(-10 * np.log10(((image - PhotoStore().picture(photo) / 255.0) ** 2).mean()))


@pytest.mark.parametrize("strategy", [Splitting(absgrad=True), Splitting(absgrad=False), Relocation()], ids=str)
def test_it_learns_the_scene_and_grows_to_the_cap(scene: Scene, strategy: Strategy) -> None:
    trainer = make_trainer(scene, 60, strategy)
    before, seen = match(trainer, scene), []

    def watch(progress: Progress) -> bool:
        seen.append(progress)
        return True

    trainer.run(watch)
    assert trainer.step == 60
    assert len(trainer.splats) == CAP
    assert trainer.splats.finite()
    assert match(trainer, scene) > before + 4
    assert [progress.gaussians for progress in seen] == sorted(progress.gaussians for progress in seen)
    trainer.finish(64, lambda _: True)
    assert trainer.step == 64


@pytest.mark.parametrize("strategy", [Splitting, Relocation])
def test_a_run_that_was_saved_goes_on_as_if_it_had_not_been(scene: Scene, strategy: type[Strategy]) -> None:
    whole, states = make_trainer(scene, 60, strategy()), []

    def keep(progress: Progress) -> bool:
        if progress.step in (16, 40):
            states.append(on_host(whole.state()))
        return True

    whole.run(keep)
    assert [state["step"] for state in states] == [16, 40]
    for state in states:
        again = make_trainer(scene, 60, strategy())
        again.restore(state)
        again.run(lambda _: True)
        for name, values in whole.splats.tensors.items():
            assert torch.equal(values, again.splats[name]), name


def test_blocks_end_where_gaussians_are_added_and_the_curve_has_a_point(scene: Scene) -> None:
    trainer, ends = make_trainer(scene, 60), []

    def watch(progress: Progress) -> bool:
        ends.append(progress.step)
        return True

    trainer.run(watch)
    refined = {step for step in range(1, 61) if trainer.growth.due(step)}
    assert refined
    assert set(ends) == refined | {step for step in range(1, 61) if step % 5 == 0 or step % BLOCK == 0}


@pytest.mark.parametrize("room", [1 << 30, 0], ids=["kept on the device", "decoded when due"])
def test_virtual_views_are_trained_on_where_they_are_known(
    scene: Scene, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The upper half of a view is white, the lower half unknown: only what is above turns white."""
    photo = scene.split("train")[0]
    height, width = photo.camera.height // 2, photo.camera.width // 2
    shown = np.zeros((height, width), bool)
    shown[: height // 2] = True
    white = Known(np.full((height, width, 3), 255, np.uint8), shown)
    view = replace(photo, camera=photo.camera.resized(width, height), virtual=white)
    views = [replace(view, name=f"/virtual/{number}") for number in range(16)]
    trainer, taken = make_trainer(scene, 60, room=room, virtual=views), []
    step = trainer.train_step

    def watched(photo: Photo, *rest: Any) -> Tensor:
        taken.append(photo.name)
        return step(photo, *rest)

    monkeypatch.setattr(trainer, "train_step", watched)
    trainer.run(lambda _: True)
    photos = scene.split("train")
    assert taken == [taken_at(number, photos, views, 0).name for number in range(60)]
    assert sum(name.startswith("/virtual/") for name in taken) == 15
    plain = make_trainer(scene, 60)
    plain.run(lambda _: True)
    size = (photo.camera.width, photo.camera.height)
    brighter = (trainer.render(photo, size) - plain.render(photo, size)).mean(dim=(1, 2))
    middle = photo.camera.height // 2
    assert brighter[: middle - 3].mean() > 0.02
    assert brighter[middle + 3 :].abs().mean() < 0.01
    trainer.close()


class Waits(TorchDispatchMode):
    """Counts what makes the host wait for a device: values read, sizes that depend on values."""

    DATA_DEPENDENT = ("_local_scalar_dense", "nonzero", "masked_select", "_linalg_check_errors", "unique", "equal")

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()
        self.paused = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        by_mask = name in ("index", "index_put_", "index_put") and any(
            isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        if not self.paused and (name in self.DATA_DEPENDENT or name == "lift_fresh" or by_mask):
            self.found[name] += 1
        return func(*args, **(kwargs or {}))


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Waits]:
    """Counts waits, and copies between host and device, outside the stand-in for gsplat's kernels."""
    import gsplat

    waits = Waits()

    def counting(name: str, call: Any) -> Any:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if not waits.paused:
                waits.found[name] += 1
            return call(*args, **kwargs)

        return wrapped

    def paused(call: Any) -> Any:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            waits.paused = True
            try:
                return call(*args, **kwargs)
            finally:
                waits.paused = False

        return wrapped

    monkeypatch.setattr(gsplat, "rasterization", paused(gsplat.rasterization))
    monkeypatch.setattr(gsplat, "spherical_harmonics", paused(gsplat.spherical_harmonics))
    monkeypatch.setattr(torch, "from_numpy", counting("from_numpy", torch.from_numpy))
    for name in ("to", "cpu", "cuda", "numpy", "tolist", "item"):
        monkeypatch.setattr(Tensor, name, counting(name, getattr(Tensor, name)))
    with waits:
        yield waits


@pytest.mark.parametrize("strategy", [Splitting, Relocation])
def test_between_the_ends_of_a_block_the_host_neither_waits_nor_copies(
    scene: Scene, strategy: type[Strategy], monkeypatch: pytest.MonkeyPatch
) -> None:
    backgrounds = Backgrounds(PlainBackdrop(), scene.photos, CPU)
    trainer = make_trainer(scene, 2000, strategy(), backgrounds=backgrounds)
    trainer.run(lambda progress: progress.step < BLOCK)  # constants are on the device after this
    shots = [trainer._shots.of(photo, 1.0) for photo in trainer.photos]
    rows = rows_in_view(shots, trainer.splats["means"], trainer.splats["scales"])
    with counted(monkeypatch) as waits:
        for photo, shot, of_photo in zip(trainer.photos, shots, rows, strict=True):
            trainer.train_step(photo, shot, of_photo, trainer.step)
    assert waits.found == {}


def test_a_block_of_steps_costs_three_waits(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_trainer(scene, 2000)
    trainer.run(lambda progress: progress.step < BLOCK)
    with counted(monkeypatch) as waits:
        trainer.run(lambda progress: progress.step < 3 * BLOCK)
    assert trainer.step == 3 * BLOCK
    # how many are in view, which ones, and the losses; `item` is the same wait as the scalar below it
    assert waits.found["tolist"] == waits.found["nonzero"] == waits.found["_local_scalar_dense"] == 2
    assert set(waits.found) <= {"tolist", "nonzero", "_local_scalar_dense", "item"}


def test_the_counter_sees_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    values = torch.arange(4.0)
    with counted(monkeypatch) as waits:
        float(values.sum())
        values[values > 1]
        torch.tensor([1.0])
        values.to("cpu")
    assert set(waits.found) >= {"_local_scalar_dense", "index", "lift_fresh", "to"}


def test_photos_that_do_not_fit_are_streamed_and_teach_the_same(scene: Scene) -> None:
    resident, streamed = make_trainer(scene, 24), make_trainer(scene, 24, room=0)
    assert resident._pictures.resident
    assert not streamed._pictures.resident
    for trainer in (resident, streamed):
        trainer.run(lambda _: True)
    assert match(streamed, scene) == pytest.approx(match(resident, scene), abs=0.3)


def test_backgrounds_take_room_from_photos(scene: Scene) -> None:
    backgrounds = Backgrounds(PlainBackdrop(), scene.photos, CPU)
    room = sum(3 * photo.camera.width * photo.camera.height for photo in scene.photos)
    assert make_trainer(scene, 24, room=room)._pictures.resident
    assert not make_trainer(scene, 24, room=room, backgrounds=backgrounds)._pictures.resident


def test_what_is_empty_shows_what_lies_behind(scene: Scene) -> None:
    trainer = make_trainer(scene, 24, backgrounds=Backgrounds(PlainBackdrop(), scene.photos, CPU))
    trainer.splats.tensors["opacities"].fill_(-12.0)
    found = trainer.render(scene.photos[0], (96, 72)).numpy()
    np.testing.assert_allclose(found, np.broadcast_to(BEHIND, found.shape), atol=1 / 500)


def test_the_stage_trains_by_it_and_resumes(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("whole")
    make_scene(folder / "scene", photos=6)
    monkeypatch.setattr(trainer_stage, "draws_on_gpu", lambda _device: True)
    monkeypatch.setattr(trainer_stage, "COMPARED_EDGE", 48)
    options = {"TRAINING_STEPS": "24", "MAX_GAUSSIANS": "150"}
    assert run(folder / "whole", folder / "scene", train_scene, **options) == 0
    document = result(folder / "whole" / "model")
    assert (document["counts"]["gaussians"], document["counts"]["steps"]) == (150, 28)
    assert document["metrics"]["psnr"] > 12
    assert Image.open(folder / "whole" / "model" / "held_out.png").size == (2 * 48 + 8, 36)
    assert Image.open(folder / "whole" / "model" / "views" / "000004.png").size == (96, 72)

    original = training_run.TrainingRun._checkpoint_if_due

    def stop(of: training_run.TrainingRun) -> None:
        if of.trainer.step == 16:
            of._context.stopping.set()
        original(of)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_run.TrainingRun, "_checkpoint_if_due", stop)
        assert run(folder / "again", folder / "scene", train_scene, **options) == 1
    assert [path.name for path in (folder / "again" / "checkpoints").glob("*.ckpt")] == ["step-000000016.ckpt"]
    assert run(folder / "again", folder / "scene", train_scene, **options) == 0
    again, whole = (folder / name / "model" / "scene.ply" for name in ("again", "whole"))
    assert again.read_bytes() == whole.read_bytes()
