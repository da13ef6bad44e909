"""One training run from its first step to the splat that is delivered: trained, scored, and finished on all photos.

Held-out photos are scored after training. Then they are trained on as well, because the customer's scene should use
every photo. All scores are computed before that.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splat.loss import psnr
from splat.sampling import evenly
from stage.contract import StageContext
from stage.errors import ErrorCode, StageError
from trainer import checkpoint
from trainer.coverage import WELL_SEEN, views_of_pixels
from trainer.dataset import Photo, Scene
from trainer.evaluate import Score, mean, score
from trainer.exposure import predicted_gain
from trainer.gpu.cost import FINISH_SHARE
from trainer.gpu.training import DeviceTrainer
from trainer.photo_store import PhotoStore
from trainer.pictures import as_bytes, save_side_by_side, save_snapshot
from trainer.schedule import Budget
from trainer.stops import expected_gains
from trainer.train import Progress, Trainer
from trainer.watch import CurvePoint, due, plateaued

SECONDS_BETWEEN_CHECKPOINTS = 120.0
HELD_OUT_PICTURE = "held_out.png"
_TRAINED = (0.05, 0.83)  # the share of the stage's progress that training takes,
_SCORED = 0.88  # and where scoring and
_FINISHED = 0.97  # finishing end
_CURVE_VIEWS = 4  # views scored for the curve: held-out ones, training ones where none is held out
MAX_REPORTED_CURVE = 50  # points in a progress event
_MAX_GAIN = 2.0  # of a held-out photo: beyond, it is not its exposure that differs
_MAX_TRAINED_SCORED = 12  # training views scored, evenly chosen


Gain = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Scores of the held-out views, PSNR (dB) of some training views, and the gain (3,) that makes the render of each
    held-out view match its photo, by name; all of before the finish.
    """

    held_out: list[Score]
    trained: list[float]
    gains: dict[str, list[float]]


class TrainingRun:
    """A trainer at work under the stage contract.

    `train`, `score` and `finish` are called in this order. Each does only its remaining work, so that a run continues
    where a checkpoint left it (`restore`).
    """

    def __init__(
        self,
        context: StageContext,
        scene: Scene,
        store: PhotoStore,
        gains: Mapping[str, Gain],
        trainer: Trainer | DeviceTrainer,
    ) -> None:
        """`scene` has the photos in the size in which they are compared, `store` holds them as they are; the trainer
        learns from photos divided by `gains` (3,), by name.
        """
        self.trainer = trainer
        self.curve: list[CurvePoint] = []
        self.ended = "steps"  # what ended the training: steps, time or plateau
        self.trained_steps: int | None = None  # once training has ended
        self._context, self._scene, self._store, self._gains = context, scene, store, dict(gains)
        self._expected = expected_gains(scene.stops)
        self._scores: Scores | None = None
        self._writer = checkpoint.Writer(context.folders.checkpoints)
        self._fingerprint = _fingerprint(scene, trainer.budget)
        self._started = self._saved = time.monotonic()
        self._seconds_before = 0.0  # of training, in earlier processes
        self._attempt_seconds_before = 0.0  # of this SageMaker job, whose limit holds for all its Spot segments

    def fits(self, state: dict[str, Any]) -> bool:
        """Whether a checkpoint's `state` belongs to the same scene and budget."""
        return bool(state["fingerprint"] == self._fingerprint)

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from the `state` of a checkpoint that `fits`."""
        self.trainer.restore(state["trainer"])
        self.curve = [CurvePoint(**point) for point in state["curve"]]
        self.ended, self.trained_steps = state["ended"], state["trained_steps"]
        self._seconds_before = state["seconds"]
        if state.get("attempt") == self._context.attempt:
            self._attempt_seconds_before = state["attempt_seconds"]
        if state["scores"] is not None:
            scores = state["scores"]
            self._scores = Scores([Score(**row) for row in scores["held_out"]], scores["trained"], scores["gains"])

    def train(self) -> None:
        """Train to the end of the budget's steps or seconds, or until held-out views gain nothing.

        Each point of the curve leaves a picture of the first watched view in `checkpoints/snapshots/<step>.jpg`.
        Raises StageError: TRAINING_DIVERGED, INTERRUPTED (checkpointed).
        """
        if self.trained_steps is None:
            self.trainer.run(self._after_step)
            self._writer.finish()
            self.trained_steps = self.trainer.step

    def score(self) -> Scores:
        """Score the held-out views and a sample of the training views; leaves `checkpoints/held_out.png`.

        Raises StageError(INTERRUPTED) (checkpointed).
        """
        if self._scores is None:
            held_out, trained = self._held_out, evenly(self._scene.split("train"), _MAX_TRAINED_SCORED)
            rows, pairs, psnrs, gains = [], [], [], {}
            for index, photo in enumerate([*held_out, *trained]):
                self._checkpoint_if_due()
                share = index / (len(held_out) + len(trained))
                self._report(_TRAINED[1] + (_SCORED - _TRAINED[1]) * share, "comparing with the photos")
                rendered = self._render(photo)
                if photo.split == "test":
                    image = rendered.cpu().numpy()
                    rows.append(self._score(photo, image))
                    gains[photo.name] = self._fitted_gain(photo, image)
                    pairs.append((self._store.picture(photo), as_bytes(image)))
                elif (decibels := self._psnr(photo, rendered)) is not None:
                    psnrs.append(decibels)
            if pairs:
                self._context.folders.checkpoints.mkdir(parents=True, exist_ok=True)
                save_side_by_side(self._context.folders.checkpoints / HELD_OUT_PICTURE, pairs)
            self._scores = Scores(rows, psnrs, gains)
        return self._scores

    def finish(self) -> None:
        """Train a little more on all photos, where any was held out. Raises what `train` raises."""
        if self.trained_steps is None or not self.trainer.held_out:
            return
        fitted = {name: np.array(gain) for name, gain in self.score().gains.items()}
        self.trainer.set_gains({**self._gains, **fitted})
        self.trainer.finish(self._all_steps, self._after_finishing_step)
        self._writer.finish()
        if not self.trainer.splats.finite():
            raise StageError(ErrorCode.TRAINING_DIVERGED, f"parameters are not finite at step {self.trainer.step}")

    @property
    def _all_steps(self) -> int:
        """The number of steps of the whole run, including those on all photos at its end."""
        trained = self.trainer.budget.steps if self.trained_steps is None else self.trained_steps
        return trained + (math.ceil(FINISH_SHARE * trained) if self.trainer.held_out else 0)

    def _after_step(self, progress: Progress) -> bool:
        budget = self.trainer.budget
        is_due = due(progress.step, budget.steps)
        if is_due:
            self._add_to_curve(progress)
        self._checkpoint_if_due()  # with the point: the step is not repeated
        if is_due and plateaued(self.curve, self.trainer.growth.last):
            self.ended = "plateau"
        # what is left of the seconds is for the finish
        if self._out_of_time(1 / (1 + FINISH_SHARE)) and progress.step < budget.steps:
            self.ended = "time"
        share = _TRAINED[0] + (_TRAINED[1] - _TRAINED[0]) * progress.step / budget.steps
        self._report(share, "training", progress)
        return self.ended == "steps"

    def _after_finishing_step(self, progress: Progress) -> bool:
        self._checkpoint_if_due()
        trained = self.trained_steps or 0
        share = min(1.0, (progress.step - trained) / max(1, FINISH_SHARE * trained))
        self._report(_SCORED + (_FINISHED - _SCORED) * share, "learning from all photos", progress)
        return not self._out_of_time(1.0)

    def _checkpoint_if_due(self) -> None:
        """Write a checkpoint at intervals, and before stopping on a signal. Raises StageError(INTERRUPTED)."""
        if self._context.stopping.is_set():
            self._save()
            self._writer.finish()
            self._context.check_stop()
        if time.monotonic() - self._saved > SECONDS_BETWEEN_CHECKPOINTS:
            self._save()
            self._saved = time.monotonic()

    def _save(self) -> None:
        state = {
            "fingerprint": self._fingerprint,
            "trainer": self.trainer.state(),
            "curve": [asdict(point) for point in self.curve],
            "ended": self.ended,
            "trained_steps": self.trained_steps,
            "seconds": self._seconds(),
            "attempt": self._context.attempt,
            "attempt_seconds": self._attempt_seconds(),
            "scores": None if self._scores is None else asdict(self._scores),
        }
        self._writer.save(self.trainer.step, state)

    def _seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._started

    def _attempt_seconds(self) -> float:
        """Seconds since this SageMaker job began, including reading the scene and placing the seeds."""
        return self._attempt_seconds_before + time.monotonic() - self._context.started

    def _out_of_time(self, share: float) -> bool:
        seconds = self.trainer.budget.seconds
        return seconds is not None and self._attempt_seconds() >= share * seconds

    def _add_to_curve(self, progress: Progress) -> None:
        watched = (self._held_out or self._scene.split("train"))[:_CURVE_VIEWS]
        images = [self._render(photo) for photo in watched]
        decibels = mean(self._psnr(photo, image) for photo, image in zip(watched, images, strict=True)) or 0.0
        if not self.trainer.splats.finite():
            raise StageError(ErrorCode.TRAINING_DIVERGED, f"parameters are not finite at step {progress.step}")
        self.curve.append(CurvePoint(progress.step, progress.gaussians, round(decibels, 3), round(self._seconds(), 2)))
        snapshots = self._context.folders.checkpoints / "snapshots"
        save_snapshot(snapshots / f"{progress.step}.jpg", as_bytes(images[0].cpu().numpy()))

    def _report(self, share: float, doing: str, progress: Progress | None = None) -> None:
        figures: dict[str, Any] = {}
        if progress is not None:
            figures = {"step": progress.step, "steps": self._all_steps, "gaussians": progress.gaussians}
            figures |= {"loss": round(progress.loss, 4), "psnr": self.curve[-1].psnr if self.curve else None}
            # each event carries the complete curve, so that a page that is opened late or reloaded gets all of it
            shown = self.curve[:: max(1, -(-len(self.curve) // MAX_REPORTED_CURVE))]
            figures["curve"] = [{"step": point.step, "psnr": point.psnr} for point in shown]
        self._context.progress.report(share, doing, figures)

    def _render(self, photo: Photo) -> Tensor:
        """On the device that draws."""
        as_trained = next(other for other in self._trained_photos if other.name == photo.name)
        return self.trainer.render(as_trained, (photo.camera.width, photo.camera.height))

    @cached_property
    def _held_out(self) -> list[Photo]:
        """The held-out photos that can be compared: a mask may hide all of one, or all of its part in a block."""
        return [photo for photo in self._scene.split("test") if self._shown(photo).any()]

    @property
    def _trained_photos(self) -> list[Photo]:
        return [*self.trainer.photos, *self.trainer.held_out]

    def _score(self, photo: Photo, image: NDArray[np.float32]) -> Score:
        training = [other.camera for other in self._scene.split("train")]
        seen = views_of_pixels(photo.camera, training, self._scene.positions) >= WELL_SEEN
        target, mask = self._store.target(photo, photo.camera), self._store.mask(photo, photo.camera)
        gain = predicted_gain(self._gains, photo.name, self._expected)
        return score(photo.name, image, target, mask, seen, gain)

    def _psnr(self, photo: Photo, image: Tensor) -> float | None:
        """PSNR in dB against the photo, the render multiplied by the photo's gain if it has one; computed on the
        render's device. None if a mask hides all of it.
        """
        device, shown = image.device, self._store.mask(photo, photo.camera)
        taken = torch.tensor(self._store.picture(photo), device=device).double() / 255
        gain = torch.from_numpy(self._gains.get(photo.name, np.ones(3))).to(device)
        errors = ((image.double() * gain).clamp(0, 1) - taken).square()
        if shown is not None:
            errors = errors[torch.from_numpy(shown).to(device)]
        return psnr(float(errors.mean())) if errors.numel() else None

    def _fitted_gain(self, photo: Photo, image: NDArray[np.float32]) -> list[float]:
        """The factors of the channels that match the render to the photo; 1 if the run has no gains."""
        if not self._gains:
            return [1.0, 1.0, 1.0]
        shown = self._shown(photo)
        rendered, taken = image[shown].astype(np.float64), self._store.picture(photo)[shown] / 255.0
        gain = (rendered * taken).sum(axis=0) / np.maximum((rendered**2).sum(axis=0), 1e-9)
        return [float(value) for value in gain.clip(1 / _MAX_GAIN, _MAX_GAIN)]

    def _shown(self, photo: Photo) -> NDArray[np.bool_]:
        mask = self._store.mask(photo, photo.camera)
        return np.ones((photo.camera.height, photo.camera.width), np.bool_) if mask is None else mask


def _fingerprint(scene: Scene, plan: Budget) -> str:
    """What a checkpoint must have been made from to be resumed. Its time limit may differ: it is what the money left
    pays for."""
    names = [(photo.name, photo.camera.width, photo.camera.height, photo.split) for photo in scene.photos]
    parts = (
        json.dumps([names, asdict(replace(plan, seconds=None))], sort_keys=True).encode() + scene.positions.tobytes()
    )
    return hashlib.sha256(parts).hexdigest()
