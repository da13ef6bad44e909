"""The training loop on a GPU: the host looks at the device's state only between blocks of steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from stage.errors import ErrorCode, StageError
from trainer.dataset import Frame, Photo
from trainer.dropout import drop, rate_at
from trainer.farfield import FarField
from trainer.gpu.loss import photometric
from trainer.gpu.optimise import DeviceSplats
from trainer.gpu.photos import Backgrounds, Pictures
from trainer.gpu.schedule import Growth, picture_factor, rate_share
from trainer.gpu.shots import Shot, Shots, rows_in_view
from trainer.gpu.strategy import Splitting, Strategy
from trainer.optimise import LEARNING_RATES, Seen
from trainer.rasterize import RasterInfo, rasterize_gsplat
from trainer.schedule import Budget, active_degree, decay
from trainer.shape import Shape
from trainer.train import Progress
from trainer.virtual import taken_at
from trainer.watch import due

BLOCK = 16  # steps; the Gaussians that their photos may show are looked up at once


class DeviceTrainer:
    """Trains `splats` on photos, one a step, as `trainer.train.Trainer` does on the CPU.

    Steps come in blocks. Before a block the host asks which Gaussians its photos may show, and after it for the losses;
    between, it waits for nothing but the rasteriser's own count of tiles. A Gaussian that comes into a photo's view
    within a block is drawn in the next. Blocks end at the same steps whatever happens, and only there is a run saved
    and resumed: on a device whose sums are reproducible it goes on as if it had not been interrupted. CUDA's are not.
    """

    def __init__(
        self,
        photos: Sequence[Photo],
        held_out: Sequence[Photo],
        frame: Frame,
        budget: Budget,
        splats: DeviceSplats,
        dropout: float,
        far: FarField,
        room: int,
        strategy: Strategy | None = None,
        backgrounds: Backgrounds | None = None,
        virtual: Sequence[Photo] = (),
        seed: int = 0,
    ) -> None:
        """`room`: bytes of the device's memory for photos and backgrounds; `dropout`: share of the Gaussians dropped at
        the most; `backgrounds`: what lies behind the splat in each photo, black without them; `virtual`: views from
        where no photo was taken, trained on among the photos; `far`: where what hangs in the air is carried to.
        """
        self.photos, self.held_out = list(photos), list(held_out)
        self.budget, self.splats, self.step = budget, splats, 0
        self.growth = Growth.of(budget.steps)
        self.shape = Shape()
        self.strategy: Strategy = Splitting() if strategy is None else strategy
        self._device = splats["means"].device
        torch.backends.cudnn.allow_tf32 = False  # SSIM takes differences of nearly equal means
        self._virtual = list(virtual)
        everything = [*self.photos, *self.held_out, *self._virtual]
        self._shots = Shots(everything, frame, self._device)
        self._pictures = Pictures(everything, self._device, room - (backgrounds.bytes if backgrounds else 0))
        self._backgrounds = backgrounds
        self._far, self._cameras = far, [frame.camera(photo.camera) for photo in self.photos]
        positions = np.stack([camera.position for camera in self._cameras])
        self._positions = torch.from_numpy(positions.astype(np.float32)).to(self._device)
        self._dropout, self._seed, self._start_count = dropout, seed, len(splats)
        self._chance = torch.Generator(device=self._device)
        self._limits = self.shape.limits_on_device(splats["means"], self._positions)
        self.strategy.begin(splats)

    @property
    def degree(self) -> int:
        """Degree of the harmonics in use by now."""
        last = min(max(0, self.step - 1), self.budget.steps - 1)
        return active_degree(last, self.budget.steps, self.budget.sh_degree)

    def set_gains(self, gains: Mapping[str, NDArray[np.float64]]) -> None:
        """From now on divide photos by `gains` (3,), by name."""
        self._pictures.set_gains(gains)

    def render(self, photo: Photo, size: tuple[int, int]) -> Tensor:
        """The view of `photo`, (height, width, 3), 0..1, drawn as it is trained and averaged to `size` (width, height):
        a splat drawn in a picture smaller than it was trained in looks thicker than it is.
        """
        shot = self._shots.of(photo, 1.0)
        with torch.no_grad():
            (rows,) = rows_in_view([shot], self.splats["means"], self.splats["scales"])
            image, _ = self._draw(photo, self.splats.take(rows, self.degree), shot, self.degree)
            planes = image.clamp(0, 1).permute(2, 0, 1)
            return adaptive_avg_pool2d(planes, (size[1], size[0])).permute(1, 2, 0)

    def state(self) -> dict[str, Any]:
        """All there is to save for `restore`."""
        return {
            "step": self.step, "start_count": self._start_count, "splats": self.splats.state(),
            "strategy": self.strategy.state(), "limits": self._limits,
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from where `state` was taken."""
        self.splats = DeviceSplats.restored(state["splats"], self._device)
        self.step, self._start_count = state["step"], state["start_count"]
        self._limits = state["limits"].to(self._device)
        self.strategy.begin(self.splats)
        self.strategy.restore(state["strategy"], self._device)

    def run(self, after_block: Callable[[Progress], bool]) -> None:
        """Train to the end of the budget, or until `after_block` returns False.

        Raises StageError: TRAINING_DIVERGED where a loss is not finite.
        """
        self._train(self.photos, self.budget.steps, lambda step: step, after_block)

    def finish(self, end: int, after_block: Callable[[Progress], bool]) -> None:
        """Train to step `end` on all photos, with the schedules as at the end of the budget. Raises what `run` does."""
        everything = sorted([*self.photos, *self.held_out], key=lambda photo: photo.name)
        self._train(everything, end, lambda _step: self.budget.steps - 1, after_block)

    def close(self) -> None:
        """End the threads that decode photos."""
        self._pictures.close()

    def _train(
        self, photos: list[Photo], end: int, at: Callable[[int], int], after_block: Callable[[Progress], bool]
    ) -> None:
        while self.step < end:
            steps = range(self.step, self._block_end(end))
            ahead = range(self.step, min(end, self.step + 2 * BLOCK))  # photos are decoded a block before they are due
            taken = [taken_at(step, photos, self._virtual, self._seed) for step in ahead]
            shots = [
                self._shots.of(photo, picture_factor(at(step), self.budget.steps))
                for photo, step in zip(taken, ahead, strict=True)
            ]
            self._pictures.coming([(photo, shot.camera) for photo, shot in zip(taken, shots, strict=True)])
            taken, shots = taken[: len(steps)], shots[: len(steps)]
            rows = rows_in_view(shots, self.splats["means"], self.splats["scales"])
            losses = [
                self.train_step(photo, shot, seen, at(step))
                for photo, shot, seen, step in zip(taken, shots, rows, steps, strict=True)
            ]
            self._refine_if_due(at(self.step - 1))
            loss = float(torch.stack(losses).mean())
            if not math.isfinite(loss):
                facts = f"the loss is {loss} by step {self.step} of {self.budget.steps}"
                raise StageError(ErrorCode.TRAINING_DIVERGED, facts)
            if not after_block(Progress(self.step, loss, len(self.splats))):
                return

    def _block_end(self, end: int) -> int:
        """The step after which the host looks again."""
        steps = range(self.step + 1, min(end, self.step + BLOCK) + 1)
        return next((s for s in steps if s % BLOCK == 0 or self.growth.due(s) or due(s, self.budget.steps)), steps[-1])

    def train_step(self, photo: Photo, shot: Shot, rows: Tensor, at: int) -> Tensor:
        """One photo: draw the Gaussians `rows`, compare, step; schedules stand where step `at` has them.

        Returns the loss, on the device.
        """
        steps = self.budget.steps
        degree = active_degree(at, steps, self.budget.sh_degree)
        seen = self.splats.take(rows, degree)
        self._chance.manual_seed(self._seed * 1_000_003 + self.step)
        rate = rate_at(at, steps, self._dropout)
        opacities = drop(seen["opacities"], rate, self._chance) if rate > 0 else seen["opacities"]
        image, info = self._draw(photo, seen, shot, degree, opacities)
        planes, shown = self._pictures.target(photo, shot.camera)
        if shown is not None:
            image = torch.where(shown[..., None], image, planes.permute(1, 2, 0))
        loss = photometric(image, planes)
        whole = loss + self.shape.aspect_penalty(seen["scales"], info.visible)
        penalty = self.strategy.penalty(seen, info.visible)
        if penalty is not None:
            whole = whole + penalty
        whole.backward()  # type: ignore[no-untyped-call]
        share = rate_share(steps)
        self.splats.step(seen, decay(at, steps), share)
        self.strategy.perturb(self.splats, seen, LEARNING_RATES["means"] * share * decay(at, steps), self._chance)
        self.splats.limit_sizes(seen.rows, self._limits)
        if at < self.growth.last:
            self.strategy.observe(seen, info, shot.camera)
        self.step += 1
        return loss.detach()

    def _refine_if_due(self, at: int) -> None:
        if self.growth.due(at + 1):
            allowed = self.growth.allowed(at + 1, self._start_count, self.budget.max_gaussians)
            self.strategy.refine(self.splats, allowed, self._chance)
            self._far.carry_out(self.splats, self._cameras)
            self._limits = self.shape.limits_on_device(self.splats["means"], self._positions)

    def _draw(
        self, photo: Photo, seen: Seen, shot: Shot, degree: int, opacities: Tensor | None = None
    ) -> tuple[Tensor, RasterInfo]:
        width, height = shot.camera.width, shot.camera.height
        image, alpha, info = rasterize_gsplat(
            seen["means"], seen["quats"], seen["scales"], seen["opacities"] if opacities is None else opacities,
            seen["sh0"], seen["shN"], shot.view, shot.K, width, height, degree,
            absgrad=self.strategy.absgrad and torch.is_grad_enabled(),
        )  # fmt: skip
        if self._backgrounds is not None:
            image = image + (1 - alpha)[..., None] * self._backgrounds.of(photo, width, height)
        return image, info
