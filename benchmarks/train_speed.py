"""Measure the cost of a training step at a fixed number of Gaussians, and how it grows with their hits on tiles."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.scenery import far_field
from splat.camera import Camera
from splat.gaussians import Gaussians
from splat.loss import Buffers, Target, photometric_loss, psnr
from splat.projection import packed, project
from splat.tiles import tile_lists
from trainer.dataset import Frame, Scene, views_per_point
from trainer.dropout import peak_rate
from trainer.initialise import Seeds, from_seeds
from trainer.loss import Photometric
from trainer.optimise import Splats
from trainer.photo_store import PhotoStore
from trainer.schedule import Budget
from trainer.seeds import start
from trainer.train import Trainer, draw

matplotlib.use("Agg")
import matplotlib.pyplot as plt

FACTORS = (0.5, 1.0)  # of the photos' size
_REPEATS = 7
_DEGREE = 3
_HERE = Frame(np.zeros(3), 1.0)  # the frame of training as it is


@dataclass(frozen=True)
class Cost:
    """Of a step at `gaussians` and photos of `factor` their size: mean hits on tiles a photo, the wall and CPU seconds
    of a whole step, and the wall seconds of drawing and its gradient alone.
    """

    gaussians: int
    factor: float
    hits: int
    step_seconds: float
    step_cpu_seconds: float
    kernel_seconds: float


def trainer_for(scene: Scene, budget: Budget, device: torch.device) -> Trainer:
    """A trainer at its beginning, as the stage has it; the photos as they are, so that the held-out ones compare."""
    store, photos = PhotoStore(), scene.split("train")
    far = far_field(scene, store)
    begun = start(scene, store, budget.max_gaussians, budget.sh_degree, device, far)
    views = views_per_point([photo.camera for photo in photos], scene.positions)
    return Trainer(
        photos=photos,
        held_out=scene.split("test"),
        frame=scene.frame,
        store=store,
        budget=budget,
        splats=Splats.of(begun.gaussians, device),
        dropout=peak_rate(views, begun.dense / len(begun.gaussians)),
        device=device,
        far=far,
    )


def held_out_match(trainer: Trainer, scene: Scene) -> tuple[float, float]:
    """Mean PSNR in dB and SSIM of the held-out photos after training."""
    store, found = PhotoStore(), []
    for photo in scene.split("test"):
        image = trainer.render(photo, (photo.camera.width, photo.camera.height)).numpy()
        compared = photometric_loss(image, store.target(photo, photo.camera), Buffers())
        found.append((psnr(compared.mse), compared.ssim))
    decibels, ssim = np.mean(found, axis=0)
    return float(decibels), float(ssim)


def spread_over(scene: Scene, count: int) -> Seeds:
    """`count` points in the frame of training: the scene's own, again and again, each time moved a little."""
    rng = np.random.default_rng(0)
    positions, colours = scene.frame.points(scene.positions), scene.colours / 255.0
    which = np.arange(count) % len(positions)
    moved = rng.normal(0, 0.01, (count, 3)) * (np.arange(count) >= len(positions))[:, None]
    return Seeds(positions[which] + moved, colours[which])


def cost_at(scene: Scene, count: int) -> list[Cost]:
    """One cost for each of FACTORS, over the scene's first training photos."""
    splats = Splats.of(from_seeds(spread_over(scene, count), _DEGREE), torch.device("cpu"))
    store, photometric = PhotoStore(), Photometric()
    photos = scene.split("train")[:_REPEATS]
    costs = []
    for factor in FACTORS:
        cameras = [scene.frame.camera(photo.camera).scaled(factor) for photo in photos]
        targets = [store.target(photo, camera) for photo, camera in zip(photos, cameras, strict=True)]

        def step(i: int, cameras: list[Camera] = cameras, targets: list[Target] = targets) -> None:
            seen = splats.seen_by(cameras[i], _DEGREE)
            image, _ = draw(seen, cameras[i], _DEGREE)
            photometric(image, targets[i]).backward()  # type: ignore[no-untyped-call]
            splats.step(seen, 0.0)

        def kernels(i: int, cameras: list[Camera] = cameras) -> None:
            image, _ = draw(splats, cameras[i], _DEGREE)
            image.backward(torch.ones_like(image))  # type: ignore[no-untyped-call]

        hits = round(float(np.mean([_hits(splats.gaussians(_HERE), camera) for camera in cameras])))
        wall, cpu = _median_seconds(step, len(photos))
        kernel_wall, _ = _median_seconds(kernels, len(photos))
        costs.append(Cost(count, factor, hits, wall, cpu, kernel_wall))
    return costs


def _hits(g: Gaussians, camera: Camera) -> int:
    """How many pairs of Gaussian and tile a picture has."""
    flat = project(
        g.means, g.quats, g.scales, g.opacities, g.sh0, g.shN, packed(camera), camera.width, camera.height, _DEGREE
    )
    return len(tile_lists(flat.footprints, flat.depths, camera.width, camera.height).gaussians)


def _median_seconds(work: Callable[[int], None], count: int) -> tuple[float, float]:
    """Median wall and CPU seconds of `work(i)` for i below `count`, after one for nothing."""
    work(0)
    seconds = []
    for i in range(count):
        wall, cpu = time.perf_counter(), time.process_time()
        work(i)
        seconds.append((time.perf_counter() - wall, time.process_time() - cpu))
    walls, cpus = zip(*seconds, strict=True)
    return float(np.median(walls)), float(np.median(cpus))


def line_through(costs: Sequence[Cost]) -> tuple[float, float, float]:
    """CPU seconds a hit, CPU seconds at no hits, and R² of that line."""
    hits, seconds = _axes(costs)
    slope, offset = np.polyfit(hits, seconds, 1)
    residual = ((seconds - slope * hits - offset) ** 2).sum() / ((seconds - seconds.mean()) ** 2).sum()
    return float(slope), float(offset), float(1 - residual)


def _axes(costs: Sequence[Cost]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.array([float(c.hits) for c in costs]), np.array([c.step_cpu_seconds for c in costs])


def save_plot(path: Path, costs: Sequence[Cost]) -> None:
    """CPU milliseconds of a step by hits on tiles, and the line through them."""
    slope, offset, straightness = line_through(costs)
    figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
    for factor in FACTORS:
        hits, seconds = _axes([cost for cost in costs if cost.factor == factor])
        axes.plot(hits / 1e3, 1e3 * seconds, "o", label="whole pictures" if factor == 1 else f"{factor:g} × their size")
    ends = np.array([0, max(cost.hits for cost in costs)])
    axes.plot(ends / 1e3, 1e3 * (offset + slope * ends), "-", color="0.6", label=f"line, R² {straightness:.3f}")
    axes.set(xlabel="hits of Gaussians on tiles, thousands", ylabel="CPU ms a step", xlim=(0, None), ylim=(0, None))
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
