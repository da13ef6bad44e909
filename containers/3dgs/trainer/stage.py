"""The 3dgs stage: from structure from motion's scene to a trained splat, its views, and figures held against photos."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from splat.camera import View, write_views
from splat.ply import write_ply
from stage.contract import Folders, StageContext
from stage.errors import ErrorCode, StageError
from stage.result import StageOutcome, Warning, write_json
from trainer import checkpoint
from trainer.dataset import PhotoStore, Scene, find_scene, load_scene, views_per_point
from trainer.dropout import final_rate
from trainer.evaluate import Score, mean, render_photo, score_all
from trainer.exposure import spread
from trainer.optimise import Splats
from trainer.pictures import as_bytes, save_side_by_side, save_snapshot
from trainer.schedule import Budget, budget
from trainer.seeds import Start, start
from trainer.stereo.points import write_points
from trainer.train import Progress, Trainer
from trainer.watch import CurvePoint, due, plateaued

CHANNEL = "scene"
SECONDS_BETWEEN_CHECKPOINTS = 120.0
_TRAINED = (0.05, 0.93)  # the share of the stage's progress that training takes
_CURVE_VIEWS = 4  # views scored for the curve: held-out ones, training ones where none is held out


def result_folder(folders: Folders) -> Path:
    """Where the stage leaves its output."""
    return folders.model


def memory_of(device: torch.device) -> int:
    """Bytes of the memory that Gaussians are trained in."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1])
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def train_scene(context: StageContext) -> StageOutcome:
    """Train and leave the results. Raises StageError: INVALID_SCENE, TRAINING_DIVERGED, INTERRUPTED (checkpointed)."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(len(os.sched_getaffinity(0)))
    plan = budget(context.options, memory_of(device), cuda=device.type == "cuda")
    with context.stopwatch("load"):
        context.progress.report(0.0, "reading the scene")
        folder = find_scene(context.folders.channel(CHANNEL), context.scratch / "scene")
        scene = load_scene(folder, plan.long_edge)
    store = PhotoStore()
    with context.stopwatch("initialise"):
        context.progress.report(0.01, "placing the first Gaussians")
        begun = _first_gaussians(context, scene, store, plan, device)
        trainer, curve, warnings = _start(context, scene, store.evened(begun.gains), plan, device, begun)
    if (context.options.max_gaussians or 0) // context.options.gaussians_divisor > plan.max_gaussians:
        facts = f"{plan.max_gaussians:,} Gaussians at most: the machine's memory holds no more"
        warnings.append(Warning("GAUSSIANS_CAPPED", facts, []))
    with context.stopwatch("train"):
        curve, ended = _train(context, scene, store, trainer, curve)
    if ended == "time":
        facts = f"training ended after {trainer.step} of {plan.steps} steps: its {plan.seconds} seconds were over"
        warnings.append(Warning("TIME_BUDGET", facts, []))
    with context.stopwatch("evaluate"):
        held_out, trained = _evaluate(context, scene, store, trainer)
    with context.stopwatch("write"):
        _write(context.folders.model, folder, scene, store, trainer)
        write_points(context.folders.model / "dense.ply", begun.points, scene.frame)
    return StageOutcome(
        counts={
            "gaussians": len(trainer.splats),
            "steps": trainer.step,
            "trainViews": len(trained),
            "heldOutViews": len(held_out),
            "denseSeeds": begun.dense,
            "densePoints": len(begun.points),
        },
        metrics={
            "psnr": mean(score.psnr for score in held_out),
            "ssim": mean(score.ssim for score in held_out),
            "gmsd": mean(score.gmsd for score in held_out),
            "psnrTrain": mean(score.psnr for score in trained),
            "views": [asdict(score) for score in held_out],
            "curve": [asdict(point) for point in curve],
            "ended": ended,
            "exposure": exposure_of(begun.gains),
            "device": device.type,
        },
        timings=dict(context.stopwatch.seconds),
        warnings=warnings,
    )


def exposure_of(gains: Mapping[str, NDArray[np.float64]]) -> dict[str, Any]:
    """The result's `exposure`: how much the photos' exposures differ, and the gain of each by channel."""
    photos = [{"name": name, "gain": [round(float(value), 4) for value in gain]} for name, gain in gains.items()]
    return {"spread": round(spread(gains), 4), "photos": photos}


def _first_gaussians(
    context: StageContext, scene: Scene, store: PhotoStore, plan: Budget, device: torch.device
) -> Start:
    total = len(scene.split("train"))

    def after_each(done: int) -> None:
        context.check_stop()
        context.progress.report(0.01 + 0.04 * done / total, "matching the photos with each other")

    return start(scene, store, plan.max_gaussians, plan.sh_degree, device, after_each)


def _start(
    context: StageContext, scene: Scene, store: PhotoStore, plan: Budget, device: torch.device, begun: Start
) -> tuple[Trainer, list[CurvePoint], list[Warning]]:
    """A trainer at its beginning, or where the newest whole checkpoint of the same scene and budget left it."""
    photos = scene.split("train")
    dropout = final_rate(views_per_point([photo.camera for photo in photos], scene.positions))
    fingerprint = _fingerprint(scene, plan)
    state, damaged = checkpoint.load_latest(context.folders.checkpoints)
    warnings = [Warning("DAMAGED_CHECKPOINT", "a damaged checkpoint was passed over", damaged)] if damaged else []
    if state is not None and state["fingerprint"] == fingerprint:
        trainer = Trainer.restored(photos, scene.frame, store, plan, dropout, device, state["trainer"])
        return trainer, [CurvePoint(**point) for point in state["curve"]], warnings
    trainer = Trainer(photos, scene.frame, store, plan, Splats.of(begun.gaussians, device), dropout, device)
    return trainer, [], warnings


def _train(
    context: StageContext, scene: Scene, store: PhotoStore, trainer: Trainer, curve: list[CurvePoint]
) -> tuple[list[CurvePoint], str]:
    """Train to the end, reporting, checkpointing and watching for the signal to stop.

    The curve, complete, and what ended the training: `steps`, `time` or `plateau`. Each point of the curve leaves a
    picture of the first watched view in `checkpoints/snapshots/<step>.jpg`.
    """
    steps = trainer.budget.steps
    fingerprint = _fingerprint(scene, trainer.budget)
    watched = scene.split("test")[:_CURVE_VIEWS] or scene.split("train")[:_CURVE_VIEWS]
    curve = list(curve)
    started, saved_at = time.monotonic(), time.monotonic()
    before = curve[-1].seconds if curve else 0.0
    ended = "steps"

    def save() -> None:
        points = [asdict(point) for point in curve]
        state = {"fingerprint": fingerprint, "trainer": trainer.state(), "curve": points}
        checkpoint.save(context.folders.checkpoints, trainer.step, state)

    def after_step(progress: Progress) -> bool:
        nonlocal saved_at, ended
        if context.stopping.is_set():
            save()
            context.check_stop()
        seconds = before + time.monotonic() - started
        if due(progress.step, steps):
            scores = score_all(trainer.splats, scene.frame, watched, store, trainer.degree)
            psnr = mean(score.psnr for score in scores)
            if psnr is None or not trainer.splats.finite():
                raise StageError(ErrorCode.TRAINING_DIVERGED, f"parameters are not finite at step {progress.step}")
            curve.append(CurvePoint(progress.step, progress.gaussians, round(psnr, 3), round(seconds, 2)))
            picture = as_bytes(render_photo(trainer.splats, scene.frame, watched[0], trainer.degree))
            save_snapshot(context.folders.checkpoints / "snapshots" / f"{progress.step}.jpg", picture)
            if plateaued(curve, trainer.growth.last):
                ended = "plateau"
        if trainer.budget.seconds is not None and seconds >= trainer.budget.seconds and progress.step < steps:
            ended = "time"
        if time.monotonic() - saved_at > SECONDS_BETWEEN_CHECKPOINTS:
            save()
            saved_at = time.monotonic()
        share = _TRAINED[0] + (_TRAINED[1] - _TRAINED[0]) * progress.step / steps
        figures: dict[str, Any] = {"step": progress.step, "steps": steps, "gaussians": progress.gaussians}
        figures |= {"loss": round(progress.loss, 4), "psnr": curve[-1].psnr if curve else None}
        context.progress.report(share, "training", figures)
        return ended == "steps"

    trainer.run(after_step)
    return curve, ended


def _evaluate(
    context: StageContext, scene: Scene, store: PhotoStore, trainer: Trainer
) -> tuple[list[Score], list[Score]]:
    """Scores of the held-out and of the training views."""
    held_out, trained = scene.split("test"), scene.split("train")
    total = len(held_out) + len(trained)

    def reporter(before: int) -> Callable[[int], None]:
        def report(done: int) -> None:
            context.check_stop()
            context.progress.report(_TRAINED[1] + 0.05 * (before + done) / total, "comparing with the photos")

        return report

    degree = trainer.budget.sh_degree
    first = score_all(trainer.splats, scene.frame, held_out, store, degree, reporter(0))
    return first, score_all(trainer.splats, scene.frame, trained, store, degree, reporter(len(held_out)))


def _write(model: Path, source: Path, scene: Scene, store: PhotoStore, trainer: Trainer) -> None:
    """Leave scene.ply, views.json, views/, held_out.png and georeference.json in `model`."""
    write_ply(model / "scene.ply", trainer.splats.gaussians(scene.frame))
    views, pairs = [], []
    for photo in scene.photos:
        image = None
        if photo.split == "test":
            image = str(PurePosixPath("views") / PurePosixPath(photo.name).with_suffix(".png"))
            picture = store.picture(photo)
            path = model / image
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(path)
            pairs.append(
                (picture, as_bytes(render_photo(trainer.splats, scene.frame, photo, trainer.budget.sh_degree)))
            )
        views.append(View(photo.name, photo.split, photo.camera, image))
    write_views(model / "views.json", views)
    if pairs:
        save_side_by_side(model / "held_out.png", pairs)
    georeference = source / "georeference.json"
    if georeference.is_file():
        shutil.copyfile(georeference, model / georeference.name)
    else:
        write_json(model / georeference.name, _NOT_GEOREFERENCED)


_NOT_GEOREFERENCED: dict[str, Any] = {
    "version": 1,
    "georeferenced": False,
    "origin": None,
    "crs": None,
    "rms_metres": None,
    "outliers": [],
    "reason": "the scene came without a georeference",
}


def _fingerprint(scene: Scene, plan: Budget) -> str:
    """What a checkpoint must have been made from to be resumed."""
    names = [(photo.name, photo.camera.width, photo.camera.height, photo.split) for photo in scene.photos]
    parts = json.dumps([names, asdict(plan)], sort_keys=True).encode() + scene.positions.tobytes()
    return hashlib.sha256(parts).hexdigest()
