"""The 3dgs stage: from structure from motion's scene to a trained splat, its views, and figures measured against
photos."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from contract.codes import ErrorCode
from contract.files import write_json
from contract.split import HOLD_OUT_FIRST
from contract.warning_codes import WarningCode
from splat.camera import View, write_views
from splat.errors import InvalidSceneError
from splat.files import read_document
from splat.footprint import is_georeferenced
from splat.gaussians import Gaussians
from splat.offpath import Surfaces, look_around, match_off_path
from splat.ply import write_ply
from splat.stored import NOWHERE, Marks, unit
from splat.surroundings import Surroundings, write_surroundings
from stage.contract import Folders, StageContext
from stage.errors import StageError
from stage.result import StageOutcome, Warning
from trainer import accelerator, checkpoint
from trainer.backdrop import Backdrop
from trainer.block import part_in
from trainer.dataset import Frame, Scene, find_scene, views_per_point
from trainer.dropout import peak_rate
from trainer.evaluate import Score, mean
from trainer.exposure import spread
from trainer.farfield import FarField
from trainer.gpu import cost
from trainer.gpu.optimise import DeviceSplats
from trainer.gpu.photos import SHARE_OF_MEMORY, Backgrounds
from trainer.gpu.strategy import Splitting
from trainer.gpu.training import DeviceTrainer
from trainer.optimise import Splats
from trainer.photo_store import PhotoStore
from trainer.run import HELD_OUT_PICTURE, TrainingRun
from trainer.schedule import Budget, Flight, budget, preset_of
from trainer.seeds import Start, start
from trainer.stereo.points import DensePoints, write_points
from trainer.surroundings import scene_surroundings
from trainer.train import Trainer
from trainer.virtual import as_photos, share_of, with_steps_for

CHANNEL = "scene"
COMPARED_EDGE = 1000  # pixels of the longer side in which what a GPU has drawn is scored


def result_folder(folders: Folders) -> Path:
    """Where the stage leaves its output."""
    return folders.model


def memory_of(device: torch.device) -> int:
    """Bytes of the memory that Gaussians are trained in."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1])
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def draws_on_gpu(device: torch.device) -> bool:
    """Whether gsplat draws."""
    return device.type == "cuda"


def train_scene(
    context: StageContext, fold: int = HOLD_OUT_FIRST, scored: Callable[[Gaussians], None] = lambda _splat: None
) -> StageOutcome:
    """Train a splat on a scene of posed photos and leave it with its views and figures.

    Parameters
    ----------
    context
        The channel `scene` holds sfm's output, or one ZIP of a COLMAP scene; for a block of a large flight
        (contract/blocks.py) the channel `coarse` holds the coarse model. `options`: quality, steps, most Gaussians,
        degree of harmonics (0 to 3) and seconds, each by default what the quality's preset makes of the flight; the
        newest whole checkpoint is resumed. The model folder receives scene.ply, views.json, dense.ply, surroundings and
        pictures (docs/contracts.md).
    fold
        Number of the first photo that is held out, 0 to 7; every 8th from there on. 3 by default.
    scored
        Gets the splat in world units as the held-out photos are compared with it, before the finish trains on them.

    Returns
    -------
    StageOutcome
        counts: `gaussians`, `steps`, views and seeds; metrics: `psnr` and its kin (dB, of held-out photos before the
        finish trained on them), `ssim` and `gmsd` (0..1), `seen` (share, 0..1), `curve`, `ended` (contract/schemas.py).

    Raises
    ------
    StageError
        GPU_UNAVAILABLE, INVALID_SCENE, TRAINING_DIVERGED, INTERRUPTED (after a checkpoint).
    """
    found = accelerator.find()
    accelerator.log(found)
    device = accelerator.device_for(context.accelerator, found)
    if device.type == "cpu":
        torch.set_num_threads(len(os.sched_getaffinity(0)))
    on_gpu = draws_on_gpu(device)
    preset, options = preset_of(context.options, cuda=on_gpu), context.options
    with context.stopwatch("load"):
        context.progress.report(0.0, "preparing training")
        folder, remarks = find_scene(context.folders.channel(CHANNEL), context.scratch / "scene")
        part = part_in(folder, context.block)
        preset = part.preset(preset)
        scene = part.load(folder, preset.long_edge, fold)
        options = part.options(options, scene)
    flight = flight_of(scene)
    plan = budget(options, preset, flight, memory_of(device))
    store = PhotoStore()
    with context.stopwatch("initialise"):
        context.progress.report(0.01, "preparing training")
        behind = part.behind(
            context.folders.channel, scene, lambda: scene_surroundings(scene, store, z_up=_is_z_up(folder))
        )
        far = FarField.of(behind.surroundings, scene.positions, scene.frame)
        begun = part.own(_first_gaussians(context, scene, store, plan, device, behind.gains, far), scene)
        if options.training_steps is None:
            plan = with_steps_for(plan, share_of(begun.virtual, flight.photos))
            if on_gpu and preset.minutes is not None:
                plan = cost.within(plan, flight, preset.minutes)
        far = far.knowing(begun.points.positions)
        run, warnings = _start(
            context, scene, store, plan, device, begun, flight, behind.backdrop, part.growing(scene), far
        )
    warnings += [*remarks, *scene.warnings]
    if (options.max_gaussians or 0) // context.options.gaussians_divisor > plan.max_gaussians:
        facts = f"{plan.max_gaussians:,} Gaussians at most: the machine's memory holds no more"
        warnings.append(Warning(WarningCode.GAUSSIANS_CAPPED, facts, []))
    with context.stopwatch("train"):
        run.train()
    if run.ended == "time":
        facts = f"training ended after {run.trained_steps} of {plan.steps} steps: its {plan.seconds} seconds were over"
        warnings.append(Warning(WarningCode.TIME_BUDGET, facts, []))
    with context.stopwatch("evaluate"):
        scores = run.score()
    scored(run.trainer.splats.gaussians(scene.frame))
    with context.stopwatch("finish"):
        run.finish()
    run.trainer.close()
    with context.stopwatch("write"):
        trained = run.trainer.splats.gaussians(scene.frame)
        gaussians, points = part.delivered(trained, scene), part.points(begun.points, scene)
        _write(context.folders, folder, scene, store, behind.surroundings, gaussians)
        part.leave(folder, context.folders.model)
        write_points(context.folders.model / "dense.ply", points, scene.frame)
    off_path = match_off_path(
        trained,
        surfaces_of(points, scene.frame),
        look_around(scene.positions, scene.frame.scale, behind.surroundings.up),
        behind.surroundings,
    )
    return StageOutcome(
        counts={
            "gaussians": len(gaussians),
            "steps": run.trainer.step,
            "trainViews": len(scene.split("train")),
            "heldOutViews": len(scores.held_out),
            "denseSeeds": begun.dense,
            "densePoints": len(points),
            "virtualViews": len(begun.virtual),
        },
        metrics={
            **_means(scores.held_out),
            "psnrTrain": mean(scores.trained),
            "viewsPerPlace": round(flight.views, 2),
            "views": [asdict(score) for score in scores.held_out],
            "curve": [asdict(point) for point in run.curve],
            "psnrOffPath": None if off_path is None else off_path.psnr,
            "contrastOffPath": None if off_path is None else off_path.contrast_to_error,
            "ended": run.ended,
            "trainedSteps": run.trained_steps,
            "exposure": exposure_of(begun.gains, scores.gains),
            "device": device.type,
        },
        timings=dict(context.stopwatch.seconds),
        warnings=warnings,
    )


def flight_of(scene: Scene) -> Flight:
    """What the training photos of `scene` amount to."""
    cameras = [photo.camera for photo in scene.split("train")]
    pixels = sum(camera.width * camera.height for camera in cameras)
    return Flight(len(cameras), views_per_point(cameras, scene.positions), pixels)


def _means(scores: list[Score]) -> dict[str, float | None]:
    """Means over the held-out views, each None where there is none."""
    return {
        "psnr": mean(score.psnr for score in scores),
        "psnrFitted": mean(score.psnr_fitted for score in scores),
        "psnrPredicted": mean(score.psnr_predicted for score in scores),
        "psnrSeen": mean(score.psnr_seen for score in scores),
        "psnrSeenFitted": mean(score.psnr_seen_fitted for score in scores),
        "seen": mean(score.seen for score in scores),
        "ssim": mean(score.ssim for score in scores),
        "gmsd": mean(score.gmsd for score in scores),
    }


def surfaces_of(points: DensePoints, frame: Frame) -> Surfaces:
    """The dense points in the world."""
    positions = frame.centre + frame.scale * points.positions
    return Surfaces(positions, points.normals.astype(np.float64), points.colours.astype(np.float64))


def exposure_of(gains: Mapping[str, NDArray[np.float64]], of_held_out: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """The result's `exposure`: how much the training photos' exposures differ, and the gain of each photo by channel;
    `of_held_out`: with which held-out views match their photos."""
    every = {**gains, **of_held_out}
    photos = [{"name": name, "gain": [round(float(value), 4) for value in gain]} for name, gain in every.items()]
    return {"spread": round(spread(gains), 4), "photos": photos}


def _first_gaussians(
    context: StageContext,
    scene: Scene,
    store: PhotoStore,
    plan: Budget,
    device: torch.device,
    gains: Mapping[str, NDArray[np.float64]] | None,
    far: FarField,
) -> Start:
    total = len(scene.split("train"))

    def after_each(done: int) -> None:
        context.check_stop()
        context.progress.report(0.01 + 0.03 * done / total, "measuring depth from the photos")

    return start(scene, store, plan.max_gaussians, plan.sh_degree, device, far, after_each, gains)


def _start(
    context: StageContext,
    scene: Scene,
    store: PhotoStore,
    plan: Budget,
    device: torch.device,
    begun: Start,
    flight: Flight,
    backdrop: Backdrop,
    inside: Callable[[Tensor], Tensor] | None,
    far: FarField,
) -> tuple[TrainingRun, list[Warning]]:
    """A run at its beginning, or where the newest whole checkpoint of the same scene and budget left it."""
    dropout = peak_rate(flight.views, begun.dense / len(begun.gaussians))
    trainer: Trainer | DeviceTrainer
    virtual = as_photos(begun.virtual, scene.frame)
    if draws_on_gpu(device):

        def after_each(done: int) -> None:
            context.check_stop()
            context.progress.report(0.04 + 0.01 * done / len(drawn), "drawing what lies behind the photos")

        drawn = [*scene.photos, *virtual]
        backgrounds = Backgrounds(backdrop, drawn, device, after_each)
        trainer = DeviceTrainer(
            photos=scene.split("train"),
            held_out=scene.split("test"),
            frame=scene.frame,
            budget=plan,
            splats=DeviceSplats.of(begun.gaussians, device),
            dropout=dropout,
            room=int(SHARE_OF_MEMORY * memory_of(device)),
            strategy=Splitting(inside=inside),
            backgrounds=backgrounds,
            virtual=virtual,
            far=far,
        )
        compared, shown = scene.at_most(COMPARED_EDGE), PhotoStore()
    else:
        trainer = Trainer(
            photos=scene.split("train"),
            held_out=scene.split("test"),
            frame=scene.frame,
            store=store,
            budget=plan,
            splats=Splats.of(begun.gaussians, device),
            dropout=dropout,
            device=device,
            virtual=virtual,
            backdrop=backdrop,
            inside=inside,
            far=far,
        )
        compared, shown = scene, store
    trainer.set_gains(begun.gains)
    run = TrainingRun(context, compared, shown, begun.gains, trainer)
    state, damaged = checkpoint.load_latest(context.folders.checkpoints, run.fits)
    if state is not None:
        run.restore(state)
    skipped = Warning(WarningCode.DAMAGED_CHECKPOINT, "a damaged checkpoint was skipped", damaged)
    return run, [skipped] if damaged else []


def _write(
    folders: Folders,
    source: Path,
    scene: Scene,
    store: PhotoStore,
    surroundings: Surroundings,
    gaussians: Gaussians,
) -> None:
    """Leave the splat, its views and held-out photos, the georeference and the surroundings in the model folder."""
    model = folders.model
    views = []
    (model / "views").mkdir()
    for number, photo in enumerate(scene.photos, start=1):
        image = None
        if photo.split == "test":
            image = f"views/{number:06d}.png"  # by number: the customer's names are no names of files here
            Image.fromarray(store.picture(photo)).save(model / image)
        views.append(View(photo.name, photo.split, photo.camera, image))
    write_views(model / "views.json", views)
    if (folders.checkpoints / HELD_OUT_PICTURE).is_file():
        shutil.copyfile(folders.checkpoints / HELD_OUT_PICTURE, model / "held_out.png")
    georeference = source / "georeference.json"
    if georeference.is_file():
        shutil.copyfile(georeference, model / georeference.name)
    else:
        write_json(model / georeference.name, _NOT_GEOREFERENCED)
    if scene.offset != NOWHERE:
        document = {**read_document(model / georeference.name), "offset": list(scene.offset)}
        write_json(model / georeference.name, document)
    write_surroundings(model / "surroundings.json", surroundings)
    marks = Marks(up=unit(surroundings.up), offset=scene.offset)
    write_ply(model / "scene.ply", gaussians, marks)


def _is_z_up(source: Path) -> bool:
    """Whether the scene in `source` is georeferenced. Raises StageError(INVALID_SCENE) where that cannot be read."""
    try:
        return is_georeferenced(source / "georeference.json")
    except InvalidSceneError as error:
        raise StageError(ErrorCode.INVALID_SCENE, str(error)) from error


_NOT_GEOREFERENCED: dict[str, Any] = {
    "version": 1,
    "georeferenced": False,
    "origin": None,
    "crs": None,
    "rms_metres": None,
    "outliers": [],
    "reason": "the scene came without a georeference",
}
