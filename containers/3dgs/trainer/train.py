"""The training loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splat.camera import Camera
from stage.errors import ErrorCode, StageError
from trainer.backdrop import Backdrop
from trainer.dataset import Frame, Photo
from trainer.densify import Densification, Pull, refine
from trainer.dropout import drop, rate_at
from trainer.farfield import FarField
from trainer.loss import Photometric, seen_only
from trainer.optimise import Seen, Splats
from trainer.photo_store import PhotoStore
from trainer.rasterize import RasterInfo, rasterize
from trainer.schedule import Budget, Growth, active_degree, decay, picture_factor
from trainer.shape import Shape
from trainer.virtual import taken_at


@dataclass(frozen=True)
class Progress:
    """Where training stands after a step (1-based)."""

    step: int
    loss: float
    gaussians: int


@dataclass
class Trainer:
    """Trains `splats` on photos, one a step; all randomness follows from `seed` and the step.

    First on `photos` for the budget's steps, then, as `finish` is called, on `photos` and `held_out` alike: what is
    delivered has learnt from every photo, what is scored before has not.
    """

    photos: list[Photo]
    held_out: list[Photo]
    frame: Frame
    store: PhotoStore
    budget: Budget
    splats: Splats
    dropout: float  # share of the Gaussians dropped at the most
    device: torch.device
    far: FarField  # where what hangs in the air is carried to
    virtual: list[Photo] = field(default_factory=list)  # views from where no photo was taken, trained on among photos
    backdrop: Backdrop | None = None  # black without one
    inside: Callable[[Tensor], Tensor] | None = None  # which of the means (N, 3) may be split; all without one
    seed: int = 0
    step: int = 0
    start_count: int = 0
    shape: Shape = field(default_factory=Shape)
    densification: Densification = field(default_factory=Densification)
    pull: Pull = field(init=False)
    _photometric: Photometric = field(init=False, default_factory=Photometric)

    def __post_init__(self) -> None:
        self.start_count = self.start_count or len(self.splats)
        self.pull = Pull(len(self.splats), self.device)
        self.growth = Growth.of(self.budget.steps)
        self._cameras = [self.frame.camera(photo.camera) for photo in self.photos]
        self._positions = np.stack([camera.position for camera in self._cameras])
        self._limits = self._size_limits()

    @property
    def degree(self) -> int:
        """Degree of the harmonics in use by now."""
        last = min(max(0, self.step - 1), self.budget.steps - 1)
        return active_degree(last, self.budget.steps, self.budget.sh_degree)

    def state(self) -> dict[str, Any]:
        """The complete state, from which `restore` continues."""
        pull = {"total": self.pull.total, "views": self.pull.views}
        return {
            "step": self.step, "start_count": self.start_count, "splats": self.splats.state(), "pull": pull,
            "limits": self._limits,
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from where `state` was taken."""
        self.splats = Splats.restored(state["splats"], self.device)
        self.step, self.start_count = state["step"], state["start_count"]
        self.pull = Pull(len(self.splats), self.device)
        self.pull.total, self.pull.views = (state["pull"][name].to(self.device) for name in ("total", "views"))
        self._limits = state["limits"].to(self.device)

    def set_gains(self, gains: Mapping[str, NDArray[np.float64]]) -> None:
        """From now on divide photos by `gains` (3,), by name."""
        self.store = self.store.with_gains(gains)

    def render(self, photo: Photo, size: tuple[int, int]) -> Tensor:
        """The view of `photo`, (height, width, 3), 0..1, in a picture of `size` (width, height)."""
        with torch.no_grad():
            camera = self.frame.camera(photo.camera).resized(*size)
            image, _ = draw(self.splats, camera, self.degree, behind=self.behind(photo, camera))
        return image.clamp(0, 1)

    def close(self) -> None:
        """Nothing runs beside the training."""

    def run(self, after_step: Callable[[Progress], bool]) -> None:
        """Train to the end of the budget, or until `after_step` returns False.

        Raises StageError(TRAINING_DIVERGED) where a number is not finite.
        """
        while self.step < self.budget.steps:
            loss = self.train_step(self.photos, self.step)
            if not after_step(Progress(self.step, loss, len(self.splats))):
                return

    def finish(self, end: int, after_step: Callable[[Progress], bool]) -> None:
        """Train to step `end` on all photos, those held out included, with the schedules as at the end of the budget,
        or until `after_step` returns False.

        Raises StageError(TRAINING_DIVERGED) where a number is not finite.
        """
        everything = sorted([*self.photos, *self.held_out], key=lambda photo: photo.name)
        while self.step < end:
            loss = self.train_step(everything, self.budget.steps - 1)
            if not after_step(Progress(self.step, loss, len(self.splats))):
                return

    def train_step(self, photos: list[Photo], at: int) -> float:
        """One of `photos`: draw, compare, step, and refine when due; schedules stand where step `at` has them.

        Returns the loss.
        """
        steps = self.budget.steps
        photo = taken_at(self.step, photos, self.virtual, self.seed)
        camera = self.frame.camera(photo.at(picture_factor(at, steps)))
        degree = active_degree(at, steps, self.budget.sh_degree)
        chance = torch.Generator().manual_seed(self.seed * 1_000_003 + self.step)
        seen = self.splats.seen_by(camera, degree)
        rate = rate_at(at, steps, self.dropout)
        opacities = drop(seen["opacities"], rate, chance) if rate > 0 else None
        image, info = draw(seen, camera, degree, opacities, self.behind(photo, camera))
        target, mask = self.store.target(photo, camera), self.store.mask(photo, camera)
        if mask is not None:
            image = seen_only(image, target, mask)
        loss = self._photometric(image, target)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise StageError(ErrorCode.TRAINING_DIVERGED, f"the loss is {value} at step {self.step + 1} of {steps}")
        loss = loss + self.shape.aspect_penalty(seen["scales"], info.visible)
        loss.backward()  # type: ignore[no-untyped-call]
        self.splats.step(seen, decay(at, steps))
        self.splats.limit_sizes(seen.rows, self._limits)
        self.step += 1
        if at < self.growth.last:
            self.pull.add(info.centre_gradients, info.visible, camera.width, camera.height, seen.rows)
        if self.growth.due(at + 1):
            allowed = self.growth.allowed(at + 1, self.start_count, self.budget.max_gaussians)
            if self.inside is not None:
                self.pull.keep(self.inside(self.splats["means"]))
            refine(self.splats, self.pull, allowed, self.densification)
            self.pull = Pull(len(self.splats), self.device)
            self.far.carry_out(self.splats, self._cameras)
            self._limits = self._size_limits()
        return value

    def behind(self, photo: Photo, camera: Camera) -> Tensor | None:
        """What is drawn behind the splat in the picture of `photo` at `camera`'s size."""
        if self.backdrop is None:
            return None
        return self.backdrop.behind(photo.camera, camera.width, camera.height, self.device)

    def _size_limits(self) -> Tensor:
        means = self.splats["means"].cpu().numpy()
        return torch.from_numpy(self.shape.limits(means, self._positions)).to(self.device)


def draw(
    splats: Splats | Seen, camera: Camera, degree: int, opacities: Tensor | None = None, behind: Tensor | None = None
) -> tuple[Tensor, RasterInfo]:
    """A picture (height, width, 3) of `splats` from a camera in their frame, over `behind` (height, width, 3) or black,
    and the rasteriser's by-products.

    `opacities` (V,) stand in for the logits of what is seen. By-products and gradients are of what is seen.
    """
    seen = splats.seen_by(camera, degree) if isinstance(splats, Splats) else splats
    image, alpha, info = rasterize(
        seen["means"],
        seen["quats"],
        seen["scales"],
        seen["opacities"] if opacities is None else opacities,
        seen["sh0"],
        seen["shN"],
        torch.from_numpy(camera.world_to_camera),
        torch.from_numpy(camera.intrinsics),
        camera.width,
        camera.height,
        degree,
    )
    return (image if behind is None else image + (1 - alpha)[..., None] * behind), info
