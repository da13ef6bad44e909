"""Run PlayCanvas's splat-transform 3.7.0 (tests/peers): its SOG and its SPZ 4, with the CPU seconds that they took."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from splat.gaussians import Gaussians
from splat.ply import read_ply

ROOT = Path(__file__).parents[1]
CLI = ROOT / "tests/peers/node_modules/@playcanvas/splat-transform/bin/cli.mjs"


@dataclass(frozen=True)
class PeerFile:
    """The peer's file, what the peer decodes from it, and the CPU seconds of writing."""

    path: Path
    decoded: Gaussians
    cpu_seconds: float

    @property
    def bytes(self) -> int:
        return self.path.stat().st_size


def convert(source: Path, goal: Path) -> PeerFile:
    """Let the peer write `goal` (.sog or .spz, version 4) from a PLY and decode it again.

    This takes minutes, so both files and the seconds that they took are kept for the next run.
    """
    back, took = goal.with_name(goal.name + ".ply"), goal.with_name(goal.name + ".json")
    if not took.is_file():
        goal.parent.mkdir(parents=True, exist_ok=True)
        before = _children_seconds()
        _transform(source, goal)
        seconds = _children_seconds() - before
        _transform(goal, back)
        took.write_text(json.dumps({"cpu_seconds": seconds}), encoding="utf-8")
    return PeerFile(goal, read_ply(back), json.loads(took.read_text(encoding="utf-8"))["cpu_seconds"])


def _transform(source: Path, goal: Path) -> None:
    node = shutil.which("node", path=sysconfig.get_path("scripts"))
    if node is None or not CLI.is_file():
        raise SystemExit("needs splat-transform: make test sets it up")
    subprocess.run([node, CLI, "-w", "-q", "-g", "cpu", source, goal], check=True)


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
