"""One training run each of ours and of gsplat's strategies, with one loader, one split and one metric."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.gpu.baseline import SimpleTrainer, draw, psnr, synchronise
from trainer.dataset import Photo, Scene, views_per_point
from trainer.dropout import peak_rate
from trainer.gpu.cost import Machine
from trainer.gpu.optimise import DeviceSplats
from trainer.gpu.photos import Pictures
from trainer.gpu.shots import Shots, rows_in_view
from trainer.gpu.strategy import STRATEGIES
from trainer.gpu.training import DeviceTrainer
from trainer.photo_store import PhotoStore
from trainer.schedule import Budget
from trainer.seeds import start

Figures = dict[str, Any]
_ROOM = 1 << 36  # bytes: all photos of a benchmark's scene stay on the device
_PROFILED, _REPEATS = 15, 10  # steps


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


def ours(strategy: str, scene: Scene, steps: int, cap: int, device: torch.device, until: float) -> Figures:
    """Our training, seeds from the photos included in `begin_s`."""
    begin_memory(device)
    began = time.monotonic()
    trainer = trainer_of(strategy, scene, steps, cap, device)
    synchronise(device)
    begun = time.monotonic()
    trainer.run(lambda _progress: time.monotonic() < until)
    synchronise(device)
    seconds = time.monotonic() - begun
    with torch.no_grad():
        images = [
            (photo, trainer.render(photo, (photo.camera.width, photo.camera.height))) for photo in scene.split("test")
        ]
    found = psnr(images, trainer._pictures)
    trainer.close()
    return figures(found, seconds, begun - began, trainer.step, len(trainer.splats), device)


def trainer_of(strategy: str, scene: Scene, steps: int, cap: int, device: torch.device) -> DeviceTrainer:
    """A trainer at its beginning, as the stage has it but for the photos' exposures, which are left as they are."""
    photos = scene.split("train")
    begun = start(scene, PhotoStore(), cap, 3, device)
    views = views_per_point([photo.camera for photo in photos], scene.positions)
    edge = max(max(photo.camera.width, photo.camera.height) for photo in photos)
    return DeviceTrainer(
        photos=photos,
        held_out=scene.split("test"),
        frame=scene.frame,
        budget=Budget(steps, edge, cap),
        splats=DeviceSplats.of(begun.gaussians, device),
        dropout=peak_rate(views, begun.dense / len(begun.gaussians)),
        room=_ROOM,
        strategy=STRATEGIES[strategy](),
    )


def breakdown(scene: Scene, cap: int, device: torch.device) -> Figures:
    """Whole pictures at the cap: milliseconds a step, the share of them in which the GPU is busy, and the cost model's
    constants (`trainer.gpu.cost`) of this machine, fitted to pictures of three sizes and all or half of the Gaussians.
    """
    trainer = trainer_of("absgrad", scene, 2000, cap, device)
    rows = []
    for factor in (0.25, 0.5, 1.0):
        for every in (1, 2):
            seconds, pixels, seen = timed(trainer, factor, every, _REPEATS)
            rows.append((1.0, pixels, seen, seconds))
    table = np.array(rows)
    constants, *_ = np.linalg.lstsq(table[:, :3], table[:, 3], rcond=None)
    machine = Machine(*(float(value) for value in constants))
    seconds, _, _ = timed(trainer, 1.0, 1, _PROFILED)
    busy = busy_seconds(lambda: timed(trainer, 1.0, 1, _PROFILED)) / (_PROFILED * seconds) if cuda(device) else None
    trainer.close()
    return {
        "ms_a_step": round(1e3 * seconds, 2),
        "gpu_busy": busy and round(min(1.0, busy), 3),
        "step_ms": round(1e3 * machine.step, 3),
        "pixel_ns": round(1e9 * machine.pixel, 3),
        "gaussian_ns": round(1e9 * machine.gaussian, 3),
    }


def timed(trainer: DeviceTrainer, factor: float, every: int, count: int) -> tuple[float, float, float]:
    """Seconds a step, pixels a picture and Gaussians drawn, with every `every`th Gaussian in view."""
    device = trainer.splats["means"].device
    photos = [trainer.photos[i % len(trainer.photos)] for i in range(count)]
    shots = [trainer._shots.of(photo, factor) for photo in photos]
    rows = [found[::every] for found in rows_in_view(shots, trainer.splats["means"], trainer.splats["scales"])]
    trainer.train_step(photos[0], shots[0], rows[0], trainer.step)
    synchronise(device)
    began = time.monotonic()
    for photo, shot, seen in zip(photos, shots, rows, strict=True):
        trainer.train_step(photo, shot, seen, trainer.step)
    synchronise(device)
    seconds = (time.monotonic() - began) / count
    pixels = float(np.mean([shot.camera.width * shot.camera.height for shot in shots]))
    return seconds, pixels, float(np.mean([len(seen) for seen in rows]))


def busy_seconds(work: Callable[[], object]) -> float:
    """Seconds in which kernels ran while `work` did; prints the longest."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
        work()
    rows = profiled.key_averages()
    print(rows.table(sort_by="self_cuda_time_total", row_limit=15), flush=True)
    return float(sum(row.self_device_time_total for row in rows)) / 1e6


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
