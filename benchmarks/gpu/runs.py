"""Train with our trainer and with gsplat's strategies, with the same loader, split and metric."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.profiler import DeviceType

from benchmarks.gpu.baseline import SimpleTrainer, draw, psnr, synchronise
from benchmarks.scenery import far_field
from trainer.dataset import Photo, Scene, views_per_point
from trainer.dropout import peak_rate
from trainer.farfield import FarField
from trainer.gpu.cost import Machine
from trainer.gpu.optimise import DeviceSplats
from trainer.gpu.photos import Pictures
from trainer.gpu.shots import Shots, rows_in_view
from trainer.gpu.strategy import STRATEGIES
from trainer.gpu.training import DeviceTrainer
from trainer.photo_store import PhotoStore
from trainer.schedule import Budget
from trainer.seeds import Start
from trainer.seeds import start as begin

Figures = dict[str, Any]
_ROOM = 1 << 36  # bytes: all photos of a benchmark's scene stay on the device
_PROFILED, _REPEATS = 15, 10  # steps


class OutOfTimeError(Exception):
    """The deadline came before training began."""


class Beginning:
    """The data from which training on a scene starts; computed at first use and kept for all runs."""

    def __init__(self, scene: Scene, cap: int, device: torch.device, until: float) -> None:
        """`until`: the monotonic time after which photos are no longer matched."""
        self._scene, self._cap, self._device, self._until = scene, cap, device, until
        self._store = PhotoStore()

    @cached_property
    def far(self) -> FarField:
        """Where scenery stands."""
        return far_field(self._scene, self._store)

    @cached_property
    def found(self) -> tuple[Start, float]:
        """The Gaussians, and the seconds that finding them took. Raises OutOfTimeError."""

        def after_each(_done: int) -> None:
            if time.monotonic() > self._until:
                raise OutOfTimeError

        began = time.monotonic()
        start = begin(self._scene, self._store, self._cap, 3, self._device, self.far, after_each)
        synchronise(self._device)
        return start, time.monotonic() - began


def baseline(kind: str, scene: Scene, steps: int, cap: int, device: torch.device, until: float) -> Figures:
    """gsplat's strategy `kind`, which ends early at the monotonic time `until`."""
    pictures, shots = Pictures(scene.photos, device, _ROOM), Shots(scene.photos, scene.frame, device)
    begin_memory(device)
    trained = SimpleTrainer(scene, pictures, shots, steps, kind, cap).run(lambda: time.monotonic() < until)
    with torch.no_grad():
        images: list[tuple[Photo, Tensor]] = [
            (photo, draw(trained.parameters, shots.of(photo, 1.0), 3)[0]) for photo in scene.split("test")
        ]
    pictures.close()
    count = len(trained.parameters["means"])
    return figures(psnr(images, pictures), trained.seconds, 0.0, trained.steps, count, device)


def ours(
    strategy: str, scene: Scene, steps: int, cap: int, device: torch.device, until: float, beginning: Beginning
) -> Figures:
    """Our training; `begin_s` are the seconds that its seeds took."""
    begin_seconds = beginning.found[1]
    begin_memory(device)
    trainer = trainer_of(strategy, scene, steps, cap, device, beginning)
    synchronise(device)
    began = time.monotonic()
    trainer.run(lambda _progress: time.monotonic() < until)
    synchronise(device)
    seconds = time.monotonic() - began
    with torch.no_grad():
        images = [
            (photo, trainer.render(photo, (photo.camera.width, photo.camera.height))) for photo in scene.split("test")
        ]
    found = psnr(images, trainer._pictures)
    trainer.close()
    return figures(found, seconds, begin_seconds, trainer.step, len(trainer.splats), device)


def trainer_of(
    strategy: str, scene: Scene, steps: int, cap: int, device: torch.device, beginning: Beginning
) -> DeviceTrainer:
    """A trainer at its beginning, as the stage has it but for the photos' exposures, which are left as they are."""
    begun, _ = beginning.found
    photos = scene.split("train")
    views = views_per_point([photo.camera for photo in photos], scene.positions)
    edge = max(max(photo.camera.width, photo.camera.height) for photo in photos)
    return DeviceTrainer(
        photos=photos,
        held_out=scene.split("test"),
        frame=scene.frame,
        budget=Budget(steps, edge, cap),
        splats=DeviceSplats.of(begun.gaussians, device),
        dropout=peak_rate(views, begun.dense / len(begun.gaussians)),
        far=beginning.far,
        room=_ROOM,
        strategy=STRATEGIES[strategy](),
    )


def breakdown(scene: Scene, cap: int, device: torch.device, beginning: Beginning) -> Figures:
    """Whole pictures at the cap: milliseconds a step, the share of them in which the GPU is busy, and the cost model's
    constants (`trainer.gpu.cost`) of this machine, fitted to pictures of three sizes and all or half of the Gaussians.
    """
    trainer = trainer_of("absgrad", scene, 2000, cap, device, beginning)
    rows = []
    for factor in (0.25, 0.5, 1.0):
        for every in (1, 2):
            steps = Steps(trainer, factor, every, _REPEATS)
            rows.append((1.0, steps.pixels, steps.drawn, steps.seconds() / _REPEATS))
    table = np.array(rows)
    constants, *_ = np.linalg.lstsq(table[:, :3], table[:, 3], rcond=None)
    machine = Machine(*(float(value) for value in constants))
    steps = Steps(trainer, 1.0, 1, _PROFILED)
    seconds = steps.seconds()
    busy = profiled(steps) / seconds if cuda(device) else None
    trainer.close()
    return {
        "ms_a_step": round(1e3 * seconds / _PROFILED, 2),
        "gpu_busy": busy and round(busy, 3),
        "step_ms": round(1e3 * machine.step, 3),
        "pixel_ns": round(1e9 * machine.pixel, 3),
        "gaussian_ns": round(1e9 * machine.gaussian, 3),
    }


class Steps:
    """Training steps of whole photos or smaller, with every `every`th Gaussian in view, that can be taken again."""

    def __init__(self, trainer: DeviceTrainer, factor: float, every: int, count: int) -> None:
        self._trainer = trainer
        self._photos = [trainer.photos[i % len(trainer.photos)] for i in range(count)]
        self._shots = [trainer._shots.of(photo, factor) for photo in self._photos]
        found = rows_in_view(self._shots, trainer.splats["means"], trainer.splats["scales"])
        self._rows = [rows[::every] for rows in found]
        self.pixels = float(np.mean([shot.camera.width * shot.camera.height for shot in self._shots]))
        self.drawn = float(np.mean([len(rows) for rows in self._rows]))  # Gaussians a picture
        self.take(1)  # the first of a size chooses kernels and allocates

    def take(self, count: int) -> None:
        """The first `count` of them, to their end on the device."""
        steps = zip(self._photos[:count], self._shots, self._rows, strict=False)
        for photo, shot, rows in steps:
            self._trainer.train_step(photo, shot, rows, self._trainer.step)
        synchronise(self._trainer.splats["means"].device)

    def seconds(self) -> float:
        """Of all of them."""
        began = time.monotonic()
        self.take(len(self._photos))
        return time.monotonic() - began


def profiled(steps: Steps) -> float:
    """Seconds in which kernels ran in all of `steps`; prints the longest."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as found:
        steps.seconds()
    rows = found.key_averages()
    print(rows.table(sort_by="self_cuda_time_total", row_limit=15), file=sys.stderr, flush=True)
    return kernel_seconds(rows)


def kernel_seconds(rows: Iterable[Any]) -> float:
    """The seconds of a profile's device rows; host rows count the time of the kernels that they launched again."""
    of_device = [row for row in rows if row.device_type != DeviceType.CPU and not row.is_user_annotation]
    return float(sum(row.self_device_time_total for row in of_device)) / 1e6


def figures(psnr: float, seconds: float, begin: float, steps: int, gaussians: int, device: torch.device) -> Figures:
    return {
        "psnr": round(psnr, 3),
        "train_s": round(seconds, 2),
        "begin_s": round(begin, 2),
        "steps": steps,
        "steps_a_second": round(steps / max(seconds, 1e-9), 2),
        "gaussians": gaussians,
        "peak_mb": round(torch.cuda.max_memory_allocated() / 1e6) if cuda(device) else None,
    }


def begin_memory(device: torch.device) -> None:
    if cuda(device):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def cuda(device: torch.device) -> bool:
    return device.type == "cuda"
