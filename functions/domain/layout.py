"""Keys and URIs in the results bucket (docs/contracts.md, "S3"). Pure."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from contract.branding import BRANDING
from contract.films import is_film
from contract.stages import Stage, block_label
from contract.wanted import is_splat
from domain.job import first_job_id
from domain.stages import StageRun

RESULT = "result.json"
KEPT, EXPIRING = "jobs", "intermediates"  # files for customers; files for later stages, which expire
INTERMEDIATES_DAYS = 60
_OF_JOB = re.compile(
    rf"s3://(?P<bucket>[^/]+)/(?P<parent>{KEPT}|{EXPIRING})/(?P<job>[a-z0-9-]+)/(?P<rest>.+)", re.DOTALL
)
_SNAPSHOT = re.compile(r"(?P<first>\d+)/snapshots/(?P<step>\d+)\.jpg")


def split_uri(uri: str) -> tuple[str, str]:
    """`s3://bucket/some/key` → (bucket, key)."""
    parts = urlsplit(uri, allow_fragments=False)
    return parts.netloc, uri.removeprefix(f"s3://{parts.netloc}/")


def is_of_job(uri: str, job_id: str, results_bucket: str) -> bool:
    """Whether the URI is in a folder of the job or of another run of its upload, whose results a rerun reuses."""
    found = _OF_JOB.fullmatch(uri)
    if found is None or found["bucket"] != results_bucket:
        return False
    return first_job_id(found["job"]) == first_job_id(job_id) and ".." not in found["rest"].split("/")


def expiring_job(uri: str) -> str | None:
    """The run whose file it is, if it expires; None for files that are kept."""
    found = _OF_JOB.fullmatch(uri)
    return found["job"] if found and found["parent"] == EXPIRING else None


def folder_of(run: StageRun, results_bucket: str) -> str:
    """S3 folder of a run's job."""
    parent = KEPT if run.stage.spec.kept else EXPIRING
    return f"s3://{results_bucket}/{parent}/{run.job_id}"


def output_uri(run: StageRun, results_bucket: str) -> str:
    """S3 folder of the run's output, without a slash at the end."""
    base = f"{folder_of(run, results_bucket)}/{run.stage}"
    return f"{base}/{run.job_name}/output/model" if run.stage.kind == "Training" else f"{base}/{run.attempt}"


def joined_uri(job_id: str, results_bucket: str) -> str:
    """Where the models of a large flight's blocks are gathered, as the output of its training, without a slash at the
    end."""
    return f"s3://{results_bucket}/{EXPIRING}/{job_id}/{Stage.TRAINING}/joined"


def manifest_uri(folder: str, reader: str) -> str:
    """The manifest of the files in a stage's output `folder` that a later run reads, if it does not read all."""
    return f"{folder}/{reader}.manifest"


def evidence_uri(job_id: str, stage: Stage, results_bucket: str) -> str:
    """Where a stage that refuses its input leaves the evidence for the customer, without a slash at the end."""
    return f"s3://{results_bucket}/{evidence_prefix(job_id, stage)}".rstrip("/")


def evidence_prefix(job_id: str, stage: Stage) -> str:
    """Within the stage's folder, beside the outputs of its attempts."""
    return f"{EXPIRING}/{job_id}/{stage}/evidence/"


def training_uri(run: StageRun, results_bucket: str) -> str:
    """Where SageMaker writes a training job's output: it appends the job's name and `output/model` itself."""
    return f"{folder_of(run, results_bucket)}/{run.stage}"


def upload_folder(job_id: str, results_bucket: str) -> str:
    """The folder to which the uploaded version is copied for the job's first stage, without a slash at the end."""
    return f"s3://{results_bucket}/{EXPIRING}/{job_id}/upload"


def branding_folder(job_id: str, results_bucket: str) -> str:
    """The folder to which the company's logo is copied for the quality report, without a slash at the end."""
    return f"s3://{results_bucket}/{EXPIRING}/{job_id}/{BRANDING}"


def upload_uri(job_id: str, key: str, results_bucket: str) -> str:
    """The copy of the upload, alone in its folder. Only the suffix of its name comes from the customer."""
    path = PurePosixPath(key.lower())
    suffix = path.suffix if is_splat(path) or is_film(path) else ".zip"
    return f"{upload_folder(job_id, results_bucket)}/upload{suffix}"


def checkpoints_uri(run: StageRun, first_attempt: int, results_bucket: str) -> str:
    """The checkpoints that `first_attempt` began, with a slash at the end; each block has a separate folder."""
    block = "" if run.block is None else f"{block_label(run.block)}/"
    return f"s3://{results_bucket}/{checkpoints_prefix(run.job_id)}{block}{first_attempt}/"


def checkpoints_prefix(job_id: str) -> str:
    """The prefix of all checkpoints of a job."""
    return f"{EXPIRING}/{job_id}/checkpoints/"


def snapshot_of(key: str, job_id: str) -> tuple[int, int] | None:
    """The step that a snapshot of the training shows, and the attempt that began the training; None for other files."""
    found = _SNAPSHOT.fullmatch(key.removeprefix(checkpoints_prefix(job_id)))
    return (int(found["step"]), int(found["first"])) if found else None


def report_key(job_id: str, name: str) -> str:
    """The key of a file of the job's report."""
    return f"{KEPT}/{job_id}/{name}"
