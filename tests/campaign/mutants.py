"""Injected bugs, each of which must be found by the campaign or by unit tests: `python -m tests.campaign.mutants`.

A bug is one replacement in one file, made in a copy of the checkout. `--sample 5 --seed 3` tries five of them. The
pattern of each must occur exactly once; tests/unit/statemachine/test_injected_bugs.py checks that without running any.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.campaign.bugs import BUGS, Bug

ROOT = Path(__file__).parents[2]
COPIED = ("contract", "functions", "tests", "statemachine", "events", "docs", "scripts", "local")
FILES = ("template.yaml", "pyproject.toml", "samconfig.toml", "Makefile")
HISTORIES = 150  # maximum for a bug that the campaign must find


@dataclass(frozen=True)
class Verdict:
    name: str
    found: bool
    by: str
    cpu_seconds: float


def try_bug(bug: Bug) -> Verdict:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in COPIED:
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in FILES:
            shutil.copy(ROOT / name, copy / name)
        (copy / "containers").symlink_to(ROOT / "containers")
        (copy / bug.path).write_text(bug.injected((copy / bug.path).read_text("utf-8")), "utf-8")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        ended = subprocess.run(
            _command(bug),
            cwd=copy,
            env=os.environ
            | {"PYTHONPATH": f"{copy}/functions:{copy}/containers:{copy}", "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    lines = [line for line in ended.stdout.splitlines() if line.startswith(("FAILED", "ERROR tests", "seed"))]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    # 1: tests failed, or a history broke an invariant; 2: the tests could not be collected, which finds nothing
    return Verdict(bug.name, ended.returncode == 1, (lines or ["-"])[0][:120], round(cpu, 1))


def _command(bug: Bug) -> list[str]:
    if not bug.tests:
        return [sys.executable, "-m", "tests.campaign", "--histories", str(HISTORIES), "--first"]
    return [sys.executable, "-m", "pytest", "-x", "-q", "--tb=line", "-p", "no:cacheprovider", *bug.tests]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign.mutants", description=__doc__)
    parser.add_argument("--sample", type=int, default=len(BUGS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    chosen = [bug for bug in BUGS if bug.name in arguments.names] or random.Random(arguments.seed).sample(
        BUGS, min(arguments.sample, len(BUGS))
    )
    missed = []
    for bug in chosen:
        verdict = try_bug(bug)
        print(json.dumps(verdict.__dict__), flush=True)
        if not verdict.found:
            missed.append(bug.name)
    print(json.dumps({"tried": len(chosen), "missed": missed}))
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
