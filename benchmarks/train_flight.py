"""Measure the cost of a training step as a flight grows: longer and longer strips, with the same number per photo."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import torch

from splat.camera import Camera, look_at
from splat.gaussians import Gaussians
from splat.loss import Target
from trainer.loss import Photometric
from trainer.optimise import Splats
from trainer.train import draw

matplotlib.use("Agg")
import matplotlib.pyplot as plt

LENGTHS = (1, 2, 4, 8)
SIZES = ((250, 186), (500, 373), (1000, 746))
_IN_VIEW = 25_000  # Gaussians: of 400,000 a photo shows 6 %
_PICTURES = 16  # as long as the shortest strip is, in pictures of it side by side
_STEPS = 7
_DEGREE = 3


@dataclass(frozen=True)
class Cost:
    """Median CPU milliseconds of a step with pictures `width` wide."""

    gaussians: int
    width: int
    milliseconds: float


def costs() -> list[Cost]:
    """One for each of SIZES and LENGTHS."""
    found = []
    for length in LENGTHS:
        pictures = _PICTURES * length // LENGTHS[2]
        splats = Splats.of(strip(pictures), torch.device("cpu"))
        for width, height in SIZES:
            cameras = [above(place, width, height) for place in np.linspace(1, pictures - 2, _STEPS)]
            milliseconds = cpu_milliseconds(splats, cameras)
            print(f"{len(splats):>8} Gaussians, {width:>4} pixels: {milliseconds:6.1f} ms of CPU a step", flush=True)
            found.append(Cost(len(splats), width, milliseconds))
    return found


def strip(pictures: int) -> Gaussians:
    """Flat ground as long as `pictures` of `above` side by side, with _IN_VIEW Gaussians in each."""
    rng = np.random.default_rng(0)
    count = pictures * _IN_VIEW
    wide, high = _footprint(*SIZES[-1])
    spacing = np.sqrt(wide * high / _IN_VIEW)
    places = rng.uniform((0, -high / 2, 0), (pictures * wide, high / 2, 0.02), (count, 3))
    return Gaussians(
        means=places.astype(np.float32),
        quats=rng.normal(size=(count, 4)).astype(np.float32),
        scales=np.log(1.5 * spacing * rng.lognormal(0, 0.5, (count, 3))).astype(np.float32),
        opacities=rng.normal(-1.5, 1.5, count).astype(np.float32),
        sh0=rng.normal(0, 0.6, (count, 3)).astype(np.float32),
        shN=rng.normal(0, 0.05, (count, 15, 3)).astype(np.float32),
    )


def above(place: float, width: int, height: int) -> Camera:
    """A camera that looks down on the picture `place` of the strip."""
    x = (place + 0.5) * _footprint(*SIZES[-1])[0]
    return look_at((x, 0, 1), (x, 0, 0), (0, 1, 0), width=width, height=height)


def _footprint(width: int, height: int) -> tuple[float, float]:
    wide = 2 * float(np.tan(np.radians(30)))
    return wide, wide * height / width


def cpu_milliseconds(splats: Splats, cameras: list[Camera]) -> float:
    """Median CPU time of a step, after two for nothing."""
    rng, photometric = np.random.default_rng(0), Photometric()
    target = Target.of(rng.random((cameras[0].height, cameras[0].width, 3), dtype=np.float32))
    seconds = []
    for camera in (*cameras[:2], *cameras):
        started = time.process_time()
        seen = splats.seen_by(camera, _DEGREE)
        image, _ = draw(seen, camera, _DEGREE)
        photometric(image, target).backward()  # type: ignore[no-untyped-call]
        splats.step(seen, 0.0)
        seconds.append(time.process_time() - started)
    return 1e3 * float(np.median(seconds[2:]))


def figures(found: list[Cost]) -> dict[str, float | int | None]:
    """How many times as much a step costs on a flight twice as long, at each of SIZES: the mean over all doublings."""
    times: dict[str, float | int | None] = {}
    for width, _ in SIZES:
        line = [cost.milliseconds for cost in found if cost.width == width]
        times[f"twice_the_flight_{width}px"] = round((line[-1] / line[0]) ** (1 / (len(line) - 1)), 3)
    return times


def save_plot(path: Path, found: list[Cost]) -> None:
    """CPU milliseconds of a step by the number of Gaussians in the flight, at each of SIZES."""
    figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
    for width, height in reversed(SIZES):
        line = [cost for cost in found if cost.width == width]
        axes.plot(
            [cost.gaussians / 1e3 for cost in line],
            [cost.milliseconds for cost in line],
            "o-",
            label=f"{width} × {height} pixels",
        )
    axes.set(
        xlabel=f"Gaussians in the flight, thousands; {_IN_VIEW // 1000} of them in each photo",
        ylabel="CPU ms a step",
        xlim=(0, None),
        ylim=(0, None),
    )
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
