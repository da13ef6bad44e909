"""`python -m benchmarks.gpu SCENE…`: measure parity, the parts of a step's time, and runs beside gsplat's strategies.

The checks that can fail come first, then short runs, then long ones while time is left. Every finished run is kept in
OUT/gpu.json, and a second call continues with what is missing. The last line is one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu import parity, runs
from contract.files import write_json
from trainer.dataset import Scene, load_scene

PLAN = "2000:200000:1600,7000:1000000:1600,30000:1000000:1600"
WHO = ("ours", "default", "mcmc", "ours-mcmc", "ours-default")
_RESERVE = 20.0  # seconds before the deadline in which nothing begins
_STOP = 5.0  # seconds before it, when one in progress ends


def main(words: list[str] | None = None) -> int:
    """Returns 1 where pictures or gradients differ or a run failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", nargs="+", type=Path, help="folders with sparse/0 and images")
    parser.add_argument("--seconds", type=float, default=1e9, help="of this call")
    parser.add_argument("--out", type=Path, default=Path("out/gpu"))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--plan", default=PLAN, help="steps:Gaussians:pixels, separated by commas")
    parser.add_argument("--parity", type=int, default=5000, help="Gaussians of the parity check")
    options = parser.parse_args(words)
    device, deadline = torch.device(options.device), time.monotonic() + options.seconds
    options.out.mkdir(parents=True, exist_ok=True)
    torch.backends.cudnn.allow_tf32 = False  # in the others' SSIM as in ours
    results = Results(options.out / "gpu.json")
    results.keep("device", torch.cuda.get_device_name() if device.type == "cuda" else "cpu")
    results.once("parity", lambda: asdict(parity.measure(device, options.parity)))
    passes = "parity" not in results.failed and parity.Parity(**results.found["parity"]).passes
    for name, work in planned(options.plan, options.scenes if passes else [], device, deadline - _STOP):
        if time.monotonic() > deadline - _RESERVE:
            break
        try:
            results.once(name, work)
        except runs.OutOfTimeError:
            break
    print(json.dumps({"parity_passes": passes, **results.found}))
    return 0 if passes and not results.failed else 1


def planned(
    plan: str, folders: list[Path], device: torch.device, until: float
) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Every run by its name, in order."""
    for number, (steps, cap, edge) in enumerate(tuple(map(int, part.split(":"))) for part in plan.split(",")):
        for folder in folders:
            scene = load_scene(folder, edge, fold=0)  # as simple_trainer does
            beginning = runs.Beginning(scene, cap, device, until)
            if number == 0 and folder == folders[0]:
                yield "breakdown", partial(runs.breakdown, scene, cap, device, beginning)
            for who in WHO:
                yield f"{folder.name}/{steps}/{who}", run_of(who, scene, steps, cap, device, until, beginning)


def run_of(
    who: str,
    scene: Scene,
    steps: int,
    cap: int,
    device: torch.device,
    until: float,
    beginning: runs.Beginning,
) -> Callable[[], dict[str, Any]]:
    """`ours` is what the stage does; `ours-…` another of our strategies; else gsplat's."""
    if who.startswith("ours"):
        strategy = who.partition("-")[2] or "absgrad"
        return lambda: runs.ours(strategy, scene, steps, cap, device, until, beginning)
    return lambda: runs.baseline(who, scene, steps, cap, device, until)


class Results:
    """Figures by name, in a file that is written after each. What failed has `error` instead."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def keep(self, name: str, value: Any) -> None:
        self.found[name] = value
        write_json(self._path, self.found)

    @property
    def failed(self) -> list[str]:
        """Names of what failed when it was last tried."""
        return [name for name, value in self.found.items() if isinstance(value, dict) and "error" in value]

    def once(self, name: str, work: Callable[[], dict[str, Any]]) -> None:
        """Do `work` unless an earlier call did it to its end. One that fails must not cost the others their turn."""
        wanted = int(name.split("/")[1]) if "/" in name else 0
        known = self.found.get(name)
        if known is not None and "error" not in known and known.get("steps", 0) >= wanted:
            return
        try:
            value = work()
        except runs.OutOfTimeError:
            raise
        except Exception as error:
            traceback.print_exc()
            value = {"error": f"{type(error).__name__}: {error}"}
        self.keep(name, value)
        print(f"{name:<32} {value}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
