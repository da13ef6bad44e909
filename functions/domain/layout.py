"""Where things are in the results bucket (docs/contracts.md, "S3"). Pure."""

from __future__ import annotations

import re

from contract.stages import Stage
from domain.stages import StageRun

RESULT = "result.json"
_SNAPSHOT = re.compile(r"(?P<first>\d+)/snapshots/(?P<step>\d+)\.jpg")


def folder_of(run: StageRun, results_bucket: str) -> str:
    """S3 folder of a run's job: what customers get is kept, what only later stages read expires after 14 days."""
    kept = "jobs" if run.stage is Stage.COMPRESSOR else "intermediates"
    return f"s3://{results_bucket}/{kept}/{run.job_id}"


def output_uri(run: StageRun, results_bucket: str) -> str:
    """S3 folder of the run's output, without a slash at the end."""
    base = f"{folder_of(run, results_bucket)}/{run.stage}"
    return f"{base}/{run.job_name}/output/model" if run.stage.kind == "Training" else f"{base}/{run.attempt}"
