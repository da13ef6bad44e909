"""`make bench-train`: measure how fast and how well the trainer learns a drone scene on this machine's CPU.

By default, the scene is the project's own sample with 32 photos of 800 × 600; SCENE=folder selects another (sparse/0
and images, as the sfm stage writes them). It measures training with three budgets; steps per second and milliseconds
of the kernels at fixed numbers of Gaussians; CPU milliseconds of a step on flights of 100,000 to 800,000 Gaussians
whose photos each show the same number; and, if OPENSPLAT names its binary, OpenSplat on the same cameras and
Gaussians. Every 8th photo is held out. The last line is one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from benchmarks import train_flight
from benchmarks.train_peer import opensplat_seconds_a_step
from benchmarks.train_speed import Cost, cost_at, held_out_match, line_through, save_plot, spread_over, trainer_for
from trainer.dataset import Scene, load_scene
from trainer.schedule import Budget
from trainer.warm import compile_kernels

ROOT = Path(__file__).parents[1]
BUILD = ROOT / ".build"
LONG_EDGE = 800
BUDGETS = ((150, 30_000), (400, 40_000), (800, 60_000))  # steps, most Gaussians
COUNTS = (11_000, 25_000, 50_000, 100_000)
PEER_COUNTS = (11_000, 50_000)
CPU = torch.device("cpu")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scene", type=Path, help="a folder with sparse/0 and images")
    parser.add_argument("--plot", type=Path, help="where to save the plot of cost by tile hits")
    parser.add_argument("--flight-plot", type=Path, help="where to save the plot of cost by the flight's length")
    arguments = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    folder = arguments.scene or drone_scene(32)
    compile_kernels()
    scene = load_scene(folder, LONG_EDGE)
    figures: dict[str, float | int | None] = {}
    for steps, cap in BUDGETS:
        figures |= trained(scene, steps, cap)
    costs = [cost for count in COUNTS for cost in cost_at(scene, count)]
    figures |= speeds(costs)
    if arguments.plot:
        save_plot(arguments.plot, costs)
    flights = train_flight.costs()
    figures |= train_flight.figures(flights)
    if arguments.flight_plot:
        train_flight.save_plot(arguments.flight_plot, flights)
    peer = os.environ.get("OPENSPLAT")
    for count in PEER_COUNTS if peer else ():
        with tempfile.TemporaryDirectory(prefix="spaceport-bench-train-") as scratch:
            seconds = opensplat_seconds_a_step(Path(str(peer)), folder, scene, spread_over(scene, count), Path(scratch))
        ours = figures[f"steps_a_second_{count // 1000}k"] or 0.0
        figures[f"opensplat_steps_a_second_{count // 1000}k"] = round(1 / seconds, 3)
        figures[f"times_opensplat_{count // 1000}k"] = round(ours * seconds, 1)
    print(json.dumps(figures))
    return 0


def drone_scene(photos: int) -> Path:
    """The sample's neighbourhood flown with `photos` photos 800 pixels wide, after the sfm stage; made once."""
    root = BUILD / f"bench-train-{photos}"
    scene = root / "ml" / "processing" / "output"
    if not (scene / "result.json").exists():
        upload = root / "ml" / "processing" / "input" / "upload"
        upload.mkdir(parents=True, exist_ok=True)
        print(f"flying {photos} photos", flush=True)
        command = [sys.executable, "-m", "sample", str(upload), "--photos", str(photos), "--width", str(LONG_EDGE)]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        (upload / "poses.json").unlink()
        path = os.pathsep.join(str(ROOT / part) for part in ("containers", "containers/sfm"))
        environment = os.environ | {"ML_ROOT": str(root / "ml"), "PYTHONPATH": path}
        subprocess.run([sys.executable, "-m", "sfm"], env=environment, check=True, stderr=subprocess.DEVNULL)
    return scene


def trained(scene: Scene, steps: int, cap: int) -> dict[str, float | int | None]:
    """Wall and CPU seconds of training alone, and the held-out photos' PSNR and SSIM after it."""
    trainer = trainer_for(scene, Budget(steps, LONG_EDGE, cap), CPU)
    wall, cpu = time.monotonic(), time.process_time()
    trainer.run(lambda _progress: True)
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    psnr, ssim = held_out_match(trainer, scene)
    print(f"{steps:>5} steps {wall:6.1f} s wall {cpu:6.1f} s CPU  {psnr:.2f} dB  SSIM {ssim:.3f}", flush=True)
    named = {"wall_s": round(wall, 1), "cpu_s": round(cpu, 1), "psnr": psnr, "ssim": ssim}
    return {f"train_{steps}_{name}": value and round(value, 3) for name, value in named.items()}


def speeds(costs: list[Cost]) -> dict[str, float | int | None]:
    """By number of Gaussians at the photos' full size; and how straight the line of CPU time by tile hits is."""
    figures: dict[str, float | int | None] = {}
    for cost in costs:
        if cost.factor == 1.0:
            name = f"{cost.gaussians // 1000}k"
            figures[f"steps_a_second_{name}"] = round(1 / cost.step_seconds, 2)
            figures[f"forward_backward_ms_{name}"] = round(1e3 * cost.kernel_seconds, 1)
            print(f"{name:>6} Gaussians {cost.hits:>8} hits  step {1e3 * cost.step_seconds:6.1f} ms", flush=True)
    slope, offset, straightness = line_through(costs)
    figures |= {"cpu_ms_a_million_hits": round(1e9 * slope, 1), "cpu_ms_without_hits": round(1e3 * offset, 1)}
    figures["linear_r2"] = round(straightness, 4)
    return figures


if __name__ == "__main__":
    sys.exit(main())
