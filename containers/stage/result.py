"""Write `result.json`, the manifest that a stage leaves beside its output: last, and whole or not at all."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from contract.files import write_json
from contract.warning_codes import WarningCode

VERSION = 1
FILE_NAME = "result.json"


@dataclass(frozen=True)
class Warning:
    """Something the customer should know that did not stop the stage: a WarningCode and the facts."""

    code: str
    message: str
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Raises ValueError for a code that is not in the closed list."""
        WarningCode(self.code)


@dataclass(frozen=True)
class StageOutcome:
    """What a stage's work returns: whole-number counts, measured metrics, seconds by part, warnings."""

    counts: dict[str, int]
    metrics: dict[str, Any]
    timings: dict[str, float]
    warnings: list[Warning] = field(default_factory=list)


@dataclass(frozen=True)
class Resources:
    """What the stage run used: wall and CPU seconds of the process and its children, peak memory in bytes."""

    wall_seconds: float
    cpu_seconds: float
    peak_memory_bytes: int


def write_result(
    folder: Path, stage: str, job_id: str, attempt: int, outcome: StageOutcome, resources: Resources
) -> dict[str, Any]:
    """List every file below `folder` with its size and SHA-256, and write `folder/result.json` by rename.

    Returns the manifest.
    """
    manifest = {
        "version": VERSION,
        "stage": stage,
        "jobId": job_id,
        "attempt": attempt,
        "counts": outcome.counts,
        "metrics": outcome.metrics,
        "timings": {name: round(seconds, 3) for name, seconds in outcome.timings.items()},
        "resources": {
            "wallSeconds": round(resources.wall_seconds, 3),
            "cpuSeconds": round(resources.cpu_seconds, 3),
            "peakMemoryBytes": resources.peak_memory_bytes,
        },
        "warnings": [asdict(warning) for warning in outcome.warnings],
        "files": [_describe(path, folder) for path in sorted(folder.rglob("*")) if path.is_file()],
    }
    write_json(folder / FILE_NAME, manifest)
    return manifest


def _describe(path: Path, folder: Path) -> dict[str, Any]:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"path": path.relative_to(folder).as_posix(), "bytes": path.stat().st_size, "sha256": digest}
