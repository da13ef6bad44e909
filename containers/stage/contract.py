"""Run a stage under SageMaker's contract: read the environment, do the work, leave a result or the reason of a failure.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-output.html (output/failure)
https://docs.aws.amazon.com/sagemaker/latest/dg/byoc-metadata.html (output/message)
"""

from __future__ import annotations

import errno
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from contract.blocks import BlockName
from contract.events import event_metrics
from contract.stages import EVIDENCE_FOLDER, Stage
from stage.environment import ExpectedAccelerator, Options, StageEnvironment
from stage.errors import ErrorCode, StageError
from stage.progress import EventSink, ProgressReporter, event_bridge_sink, log_sink
from stage.result import Resources, StageOutcome, write_result

MAX_REASON_CHARACTERS = 1000  # SageMaker keeps the first 1,024


@dataclass(frozen=True)
class Folders:
    """The folders of a SageMaker job below its root (/opt/ml)."""

    root: Path

    def processing_input(self, name: str) -> Path:
        return self.root / "processing" / "input" / name

    @property
    def processing_output(self) -> Path:
        return self.root / "processing" / "output"

    def channel(self, name: str) -> Path:
        return self.root / "input" / "data" / name

    @property
    def model(self) -> Path:
        return self.root / "model"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def evidence(self) -> Path:
        """Files that show a customer why an upload was refused; uploaded whatever the exit code is."""
        return self.root / EVIDENCE_FOLDER

    @property
    def output(self) -> Path:
        return self.root / "output"

    def scratch_parent(self, stage: Stage) -> Path | None:
        """The parent of the scratch folder, on the job's volume: below /opt/ml/processing for a processing job. None
        means /tmp, where SageMaker mounts the volume of a training job.

        https://docs.aws.amazon.com/sagemaker/latest/dg/build-your-own-processing-container.html
        https://docs.aws.amazon.com/sagemaker/latest/dg/model-train-storage-env-var-summary.html
        """
        return self.root / "processing" / "scratch" if stage.kind == "Processing" else None


class Stopwatch:
    """Adds up the seconds that each part of the work takes: `with stopwatch("matching"): …`."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[part] = self.seconds.get(part, 0.0) + time.monotonic() - start


@dataclass(frozen=True)
class StageContext:
    """Everything that is passed to a stage's work. `scratch` is empty at first and deleted afterwards; `block` is the
    part of a large flight to train, None for all of it; `started` is when the container started (time.monotonic).
    """

    job_id: str
    attempt: int
    options: Options
    folders: Folders
    scratch: Path
    progress: ProgressReporter
    stopping: threading.Event
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    accelerator: ExpectedAccelerator = field(default_factory=ExpectedAccelerator)
    block: BlockName | None = None
    started: float = field(default_factory=time.monotonic)

    def check_stop(self) -> None:
        """Raise StageError(INTERRUPTED) once SageMaker has asked the job to stop (SIGTERM)."""
        if self.stopping.is_set():
            raise StageError(ErrorCode.INTERRUPTED, "the job was asked to stop")


Work = Callable[[StageContext], StageOutcome]


def run_stage(stage: str, result_folder: Callable[[Folders], Path], work: Work, environ: Mapping[str, str]) -> int:
    """Run `work` under the stage contract and return the process's exit code: 0, or 1 after writing the reason.

    The reason, `CODE: message`, goes to the log, to output/failure (training) and to output/message (processing).

    Parameters
    ----------
    stage: the stage's name (contract.stages).
    result_folder: returns the folder that receives result.json, created if need be.
    work: does the stage's work; it may raise anything (`as_stage_error`).
    environ: the process's environment variables (docs/contracts.md).
    """
    started = time.monotonic()
    folders = Folders(Path(environ.get("ML_ROOT", "/opt/ml")))
    stopping = threading.Event()

    def on_sigterm(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, on_sigterm)
    scratch: Path | None = None
    try:
        environment = StageEnvironment.read(environ)
        scratch = _make_scratch(stage, folders)
        context = StageContext(
            job_id=environment.job_id,
            attempt=environment.attempt,
            options=environment.options,
            folders=folders,
            scratch=scratch,
            progress=ProgressReporter(
                stage,
                environment.job_id,
                environment.attempt,
                _sink_of(environment.status_bus, environ),
                block=environment.block,
            ),
            stopping=stopping,
            accelerator=environment.accelerator,
            block=environment.block,
            started=started,
        )
        folder = result_folder(folders)
        folder.mkdir(parents=True, exist_ok=True)
        outcome = work(context)
        write_result(folder, stage, context.job_id, context.attempt, outcome, _resources(started))
        context.progress.report(1.0, "done", event_metrics(outcome.counts, outcome.metrics))
        return 0
    except BaseException as error:
        failure = as_stage_error(error)
        traceback.print_exc(file=sys.stderr)
        _leave_reason(folders.output, failure)
        return 1
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)


def _make_scratch(stage: str, folders: Folders) -> Path:
    parent = folders.scratch_parent(Stage(stage))
    if parent is not None:
        parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"spaceport-{stage}-", dir=parent))


def _sink_of(status_bus: str | None, environ: Mapping[str, str]) -> EventSink:
    """A sink for the bus, or for the log alone if there is no bus or its client cannot be created: a stage can succeed
    without publishing progress.
    """
    if status_bus is None:
        return log_sink
    try:
        return event_bridge_sink(status_bus, _events_client(environ))
    except Exception as error:
        print(f"progress stays in the log: {error}", file=sys.stderr, flush=True)
        return log_sink


_GPU_OUT_OF_MEMORY = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")


def as_stage_error(error: BaseException) -> StageError:
    """The StageError for any exception that can end a stage."""
    if isinstance(error, StageError):
        return error
    if isinstance(error, MemoryError):
        return StageError(ErrorCode.OUT_OF_MEMORY, str(error) or "the stage ran out of memory")
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return StageError(ErrorCode.DISK_FULL, "the disk of the job's machine is full")
    # torch.cuda.OutOfMemoryError, recognised without importing torch; CUDA and its libraries word it differently
    if type(error).__name__ == "OutOfMemoryError" or any(words in str(error) for words in _GPU_OUT_OF_MEMORY):
        return StageError(ErrorCode.OUT_OF_MEMORY, str(error))
    if "uncorrectable ECC error" in str(error):
        return StageError(ErrorCode.PLATFORM_FAULT, "the machine's GPU failed")
    if isinstance(error, KeyboardInterrupt):
        return StageError(ErrorCode.INTERRUPTED, "the job was interrupted")
    return StageError(ErrorCode.INTERNAL, f"{type(error).__name__}: {error}")


def _leave_reason(output: Path, failure: StageError) -> None:
    """Log the reason, then write it where SageMaker looks for it: it is logged even if the folder is not writable."""
    reason = str(failure)[:MAX_REASON_CHARACTERS]
    print(reason, file=sys.stderr, flush=True)
    for name in ("failure", "message"):
        try:
            output.mkdir(parents=True, exist_ok=True)
            (output / name).write_text(reason, encoding="utf-8")
        except OSError as error:
            print(f"the reason was not written to {output / name}: {error}", file=sys.stderr, flush=True)


def _resources(started: float) -> Resources:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return Resources(
        wall_seconds=time.monotonic() - started,
        cpu_seconds=sum(usage.ru_utime + usage.ru_stime for usage in usages),
        peak_memory_bytes=max(usage.ru_maxrss for usage in usages) * 1024,
    )


def _events_client(environ: Mapping[str, str]) -> object:
    import boto3  # imported only if there is a bus to report to

    return boto3.client("events", region_name=environ.get("AWS_REGION") or region_of(environ))


def region_of(environ: Mapping[str, str]) -> str | None:
    """The region in the job's ARN, or None. SageMaker sets the ARN in every container's environment, but no region.

    https://docs.aws.amazon.com/sagemaker/latest/dg/build-your-own-processing-container.html
    https://docs.aws.amazon.com/sagemaker/latest/dg/docker-container-environmental-variables-user-scripts.html
    """
    arn = environ.get("PROCESSING_JOB_ARN") or environ.get("TRAINING_JOB_ARN") or ""
    parts = arn.split(":")
    return parts[3] or None if len(parts) > 3 else None
