"""`make bench-train-gpu SCENE=folder`: the trainer on a CUDA GPU beside gsplat's own simple_trainer with its defaults.

GSPLAT_EXAMPLES names gsplat's folder `examples` (of the commit to be compared with, its requirements installed). The
same photos at full size, every 8th from the first held out by both, 7,000 and 30,000 steps: held-out PSNR, seconds of
training, steps a second, peak GPU memory. The last line is one line of JSON.
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

from benchmarks.train_speed import held_out_match, trainer_for
from trainer.dataset import load_scene
from trainer.schedule import Budget

STEPS = (7_000, 30_000)
LONG_EDGE = 100_000  # no smaller than they are
MAX_GAUSSIANS = 3_000_000
Figures = dict[str, float | int | None]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", type=Path, help="a folder with sparse/0 and images")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("no CUDA GPU", file=sys.stderr)
        return 1
    figures: dict[str, float | int | str | None] = {"gpu": torch.cuda.get_device_name()}
    for steps in STEPS:
        runs = {"spaceport": spaceport(arguments.scene, steps)}
        if examples := os.environ.get("GSPLAT_EXAMPLES"):
            runs["gsplat"] = simple_trainer(Path(examples), arguments.scene, steps)
        for who, found in runs.items():
            print(f"{who:<10} {steps:>6} steps  {found}", flush=True)
            figures |= {f"{who}_{steps}_{name}": value for name, value in found.items()}
        if "gsplat" in runs:
            ratio = (runs["spaceport"]["train_s"] or 0) / (runs["gsplat"]["train_s"] or 1)
            figures[f"time_ratio_{steps}"] = round(ratio, 3)
    print(json.dumps(figures))
    return 0


def spaceport(folder: Path, steps: int) -> Figures:
    """Our own training, the clock on the steps alone."""
    scene = load_scene(folder, LONG_EDGE, fold=0)  # as simple_trainer does
    trainer = trainer_for(scene, Budget(steps, LONG_EDGE, MAX_GAUSSIANS), torch.device("cuda"))
    torch.cuda.reset_peak_memory_stats()
    started = time.monotonic()
    trainer.run(lambda _progress: True)
    torch.cuda.synchronize()
    seconds = time.monotonic() - started
    psnr, _ = held_out_match(trainer.splats, scene)
    return {
        "psnr": psnr,
        "train_s": round(seconds, 1),
        "steps_a_second": round(trainer.step / seconds, 1),
        "gaussians": len(trainer.splats),
        "peak_mb": round(torch.cuda.max_memory_allocated() / 1e6),
    }


def simple_trainer(examples: Path, folder: Path, steps: int) -> Figures:
    """gsplat's simple_trainer with its default strategy; figures from the statistics it leaves."""
    with tempfile.TemporaryDirectory(prefix="spaceport-bench-gsplat-") as results:
        command = [sys.executable, "simple_trainer.py", "default", "--data-dir", str(folder.resolve())]
        command += ["--data-factor", "1", "--result-dir", results, "--max-steps", str(steps)]
        command += ["--eval-steps", str(steps), "--save-steps", str(steps), "--disable-viewer", "--disable-video"]
        subprocess.run(command, cwd=examples, check=True, stdout=subprocess.DEVNULL)
        stats = Path(results) / "stats"
        validated = json.loads(next(stats.glob(f"val_step*{steps - 1}.json")).read_text())
        trained = json.loads(next(stats.glob(f"train_step*{steps - 1}_rank0.json")).read_text())
    return {
        "psnr": validated["psnr"],
        "train_s": round(trained["ellipse_time"], 1),
        "steps_a_second": round(steps / trained["ellipse_time"], 1),
        "gaussians": trained["num_GS"],
        "peak_mb": round(1e3 * trained["mem"]),
    }


if __name__ == "__main__":
    sys.exit(main())
