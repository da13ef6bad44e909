"""Measure the cold start of each Lambda function on this machine: import time, and the size of the bundle.

Every handler is imported in a fresh interpreter that has the bundle and boto3, like the Lambda runtime. Clients are not
included: they are made at the first event.
"""

from __future__ import annotations

import io
import statistics
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from local.bundle import build_bundle

ROOT = Path(__file__).resolve().parent.parent
TRIES = 5
_PROGRAM = (
    "import time; started, cpu = time.perf_counter(), time.process_time(); import {module}; "
    "print(time.perf_counter() - started, time.process_time() - cpu)"
)


@dataclass(frozen=True)
class ColdStart:
    """Wall and CPU milliseconds; the median of several starts."""

    function: str
    wall_ms: float
    cpu_ms: float


@dataclass(frozen=True)
class Bundle:
    """Bytes as uploaded, and unpacked."""

    packed: int
    unpacked: int


def cold_starts(cache: Path) -> tuple[list[ColdStart], Bundle]:
    """Needs the bundle's requirements from the package index once; `cache` keeps them."""
    content = build_bundle(ROOT / "functions", cache)
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(folder)
        # as Lambda's own start would: bytecode beside the sources, once
        subprocess.run([sys.executable, "-m", "compileall", "-q", folder], check=True)
        handlers = sorted(path.parent.name for path in (ROOT / "functions").glob("*/handler.py"))
        starts = [_cold_start(function, Path(folder)) for function in handlers]
        unpacked = sum(entry.file_size for entry in archive.infolist())
    return starts, Bundle(len(content), unpacked)


def _cold_start(function: str, bundle: Path) -> ColdStart:
    environment = {
        "PYTHONPATH": str(bundle),
        "LAMBDA_TASK_ROOT": str(bundle),  # as Lambda sets it; by this X-Ray knows where it is
        "AWS_DEFAULT_REGION": "eu-west-1",
        "PATH": "/usr/bin:/bin",
    }
    command = [sys.executable, "-c", _PROGRAM.format(module=f"{function}.handler")]
    measured = []
    for _ in range(TRIES):
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        measured.append([1000 * float(figure) for figure in run.stdout.split()])
    wall, cpu = (statistics.median(column) for column in zip(*measured, strict=True))
    return ColdStart(function, round(wall, 1), round(cpu, 1))
