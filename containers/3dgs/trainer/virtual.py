"""Virtual views among the photos of a training run: which step uses which, and how they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from trainer.dataset import Frame, Known, Photo
from trainer.schedule import Budget
from trainer.stereo.virtual import SETTINGS, VirtualView

_SHARE = 0.25  # of the steps at most
_ON_TOP = 0.8


def as_photos(views: Sequence[VirtualView], frame: Frame) -> list[Photo]:
    """The views, whose cameras are in the frame of training, as photos to train on. Their names are absolute paths,
    which no photo of a scene has.
    """
    return [
        Photo(
            f"/virtual/{number}", Path("/"), frame.in_world(view.camera), "train",
            virtual=Known(view.picture, view.shown),
        )
        for number, view in enumerate(views)
    ]  # fmt: skip


def share_of(views: Sequence[VirtualView | Photo], photos: int) -> float:
    """The share of steps that use virtual views: a quarter if there are as many views as are drawn for so many photos,
    and proportionally less if there are fewer.
    """
    if not views:
        return 0.0
    camera = views[0].camera
    return _SHARE * min(1.0, len(views) / SETTINGS.wanted(photos, camera.width * camera.height))


def with_steps_for(plan: Budget, share: float) -> Budget:
    """The budget with steps for virtual views, which use `share` of all steps. Nearly all of these are additional, so
    that photos are used about as often as without virtual views.
    """
    return replace(plan, steps=round(plan.steps * (1 + _ON_TOP * share)))


def taken_at(step: int, photos: Sequence[Photo], virtual: Sequence[Photo], seed: int) -> Photo:
    """The photo or virtual view that step `step` (0-based) uses. Each kind has its own epochs."""
    share = share_of(virtual, len(photos))
    before = int(share * step)
    if int(share * (step + 1)) > before:
        return virtual[photo_at(before, len(virtual), seed)]
    return photos[photo_at(step - before, len(photos), seed)]


def photo_at(step: int, count: int, seed: int) -> int:
    """Index of the photo, of `count`, for `step` (0-based): each once an epoch, every epoch in an order of its own."""
    epoch, place = divmod(step, count)
    return int(np.random.default_rng((seed, epoch)).permutation(count)[place])
