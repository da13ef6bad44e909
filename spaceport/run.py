"""One run of the command line, from the input to the folder with the result."""

from __future__ import annotations

import json
import os
import shutil
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from contract.blocks import BLOCKS_VARIABLE
from contract.branding import BRANDING, Company
from contract.codes import ErrorCode
from contract.events import StatusType
from contract.stages import Stage
from domain.errors import JobError, RejectedUpload
from domain.job import Job, JobOptions, UploadedObject, job_id_of, job_of
from domain.pace import in_words
from domain.sagemaker_requests import CAMERAS, makes_survey_products
from local.board import Board, StageView
from local.customer import StatusEvent
from local.display import progress_display
from local.folders import code_of, free_folder, move, pack, readable
from local.sagemaker.container import Image
from spaceport.blocks import is_divided, train_in_blocks
from spaceport.delivery import deliver
from spaceport.estimate import Estimate, PaceFile
from spaceport.source import Source
from spaceport.stages import FinishedStage, StageFailed, Stages

MIN_FREE_BYTES = 10**9
ROOM = 5  # bytes on disk for each byte of photos: packed, unpacked, undistorted, and what is made of them


@dataclass(frozen=True)
class Plan:
    """What is to be done: the stages `stages` on `source`, with the result in `out`; `blocks`: how many to train the
    flight in, by its number of photos without one; `company` and `logo`: whose the quality report is.
    """

    source: Source
    stages: tuple[Stage, ...]
    options: JobOptions
    out: Path
    blocks: int | None = None
    company: Company = field(default_factory=Company)
    logo: Path | None = None

    @property
    def variables(self) -> dict[str, str]:
        """Those of every stage, besides the job's own."""
        forced = {} if self.blocks is None else {BLOCKS_VARIABLE: str(self.blocks)}
        return forced | replace(self.company, logo=self.logo.name if self.logo else "").variables

    @property
    def whole(self) -> bool:
        """Whether the run ends with the last stage, and so with a delivery."""
        return self.stages[-1] is list(Stage)[-1] and self.stages == self.source.step.stages


@dataclass(frozen=True)
class Outcome:
    """How a run ended: `folder` holds the result, or after a failure the logs and what was finished."""

    job_id: str
    folder: Path | None
    seconds: dict[str, float]
    metrics: dict[str, Any]
    error: JobError | None = None
    stopped: bool = False

    @property
    def status(self) -> str:
        return "stopped" if self.stopped else "failed" if self.error else "succeeded"

    @property
    def summary(self) -> dict[str, Any]:
        """The line of JSON at the end."""
        line: dict[str, Any] = {
            "jobId": self.job_id,
            "status": self.status,
            "seconds": {stage: round(taken, 1) for stage, taken in self.seconds.items()},
            **{name: self.metrics.get(name) for name in ("registered", "photos", "psnr", "score", "bytes")},
            "folder": str(self.folder) if self.folder else None,
        }
        return line | ({"error": self.error.code} if self.error else {})


class Run:
    """`images` start the stages' processes; `free` answers how many bytes a folder's disk still has."""

    def __init__(
        self,
        images: Mapping[str, Image],
        paces: PaceFile,
        stream: TextIO,
        clock: Callable[[], float] = time.monotonic,
        free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        self._images, self._paces, self._stream = images, paces, stream
        self._clock, self._free = clock, free

    def go(self, plan: Plan) -> Outcome:
        """Run the plan; a failure, a full disk and Ctrl-C are outcomes, too."""
        job = job_for(plan.source, plan.options)
        finished: list[FinishedStage] = []
        # absolute: the stages run in folders of their own
        work = plan.out.resolve().with_name(f".{plan.out.name}-{os.getpid()}.partial")
        error: JobError | None = None
        stopped = False
        try:
            work.parent.mkdir(parents=True, exist_ok=True)
            self._check_room(plan, work.parent)
            work.mkdir()
            self._stages(plan, job, work, finished)
            folder = free_folder(plan.out)
            if plan.whole:
                metrics = deliver(job, work, finished, folder).metrics
            else:
                metrics = figures_of(finished[-1])
                move(finished[-1].folder, folder)
            shutil.rmtree(work, ignore_errors=True)
            return Outcome(job.job_id, folder, seconds_of(finished), metrics)
        except StageFailed as failure:
            error = failure.error
        except RejectedUpload as rejected:
            error = rejected.error
        except OSError as fault:
            error = _coded(fault)
        except Exception as fault:  # a fault of ours: what the stages have made is kept
            (work / "spaceport.log").write_text(traceback.format_exc(), encoding="utf-8")
            error = JobError.of(ErrorCode.INTERNAL, f"{type(fault).__name__}: {fault}")
        except KeyboardInterrupt:
            error, stopped = JobError.of(ErrorCode.STOPPED), True
        return Outcome(job.job_id, kept(work, plan.out), seconds_of(finished), {}, error, stopped)

    def _check_room(self, plan: Plan, folder: Path) -> None:
        """Raises RejectedUpload(DISK_FULL) before anything is written."""
        needed = MIN_FREE_BYTES + ROOM * plan.source.bytes
        if (free := self._free(folder)) < needed:
            facts = f"about {needed / 1e9:.1f} GB are needed in {folder}, and {free / 1e9:.1f} GB are free"
            raise RejectedUpload(ErrorCode.DISK_FULL, facts)

    def _stages(self, plan: Plan, job: Job, work: Path, finished: list[FinishedStage]) -> None:
        quality = plan.options.quality
        estimate = estimate_of(plan, self._paces)
        board = Board({stage: StageView(stage) for stage in plan.stages})
        with progress_display(board, lambda: in_words(*estimate.left(self._clock())), self._stream) as draw:

            def show(event: StatusEvent) -> None:
                assert event.stage is not None
                stage = Stage(event.stage)
                if event.type is StatusType.STAGE_STARTED:  # each attempt has a clock of its own
                    estimate.start(stage, self._clock())
                estimate.progress(stage, event.progress, self._clock())
                board.apply(event)
                draw(event)

            stages = Stages(job, work, self._images, show, self._clock, variables=plan.variables)
            given = plan.source.path
            if plan.source.is_photo_folder:
                given = work / "upload.zip"
                pack(plan.source.path, given)
            for stage in plan.stages:
                if stage is Stage.TRAINING and is_divided(given):
                    done = train_in_blocks(stages, given)
                else:
                    done = stages.run(stage, given, beside(stage, plan, finished))
                self._paces.write(stage, quality, estimate.finish(stage, self._clock()))
                learn_work(estimate, done)
                finished.append(done)
                given = done.folder


def beside(stage: Stage, plan: Plan, finished: list[FinishedStage]) -> dict[str, Path]:
    """The stage's further inputs by name: structure from motion's output, where survey products are made of it, and the
    logo on their report."""
    cameras = [done.folder for done in finished if done.run.stage is Stage.SFM]
    if not cameras or not makes_survey_products(stage, plan.options):
        return {}
    return {CAMERAS: cameras[0], **({BRANDING: plan.logo} if plan.logo else {})}


def job_for(source: Source, options: JobOptions) -> Job:
    """A job of this machine: its id is that of the same file, as it would be of the same upload."""
    status = source.path.stat()
    etag = f"{status.st_mtime_ns}-{source.bytes}"
    uploaded = UploadedObject(bucket="local", key=readable(source.path.resolve().name), etag=etag)
    return job_of(uploaded, job_id_of(uploaded, "local"), options, datetime.now(UTC))


def estimate_of(plan: Plan, paces: PaceFile) -> Estimate:
    quality = plan.options.quality
    work: dict[Stage, float] = {}
    if plan.source.photos:
        work[Stage.SFM] = float(plan.source.photos)
    if plan.options.training_steps:
        work[Stage.TRAINING] = float(plan.options.training_steps)
    return Estimate(plan.stages, quality, {stage: paces.read(stage, quality) for stage in plan.stages}, work)


def learn_work(estimate: Estimate, done: FinishedStage) -> None:
    """Sets the compressor's work from the number of trained Gaussians."""
    gaussians = figures_of(done).get("gaussians")
    if done.run.stage is Stage.TRAINING and gaussians:
        estimate.work[Stage.COMPRESSOR] = float(gaussians)


def figures_of(done: FinishedStage) -> dict[str, Any]:
    """The stage's counts and measurements, as its result.json has them."""
    result = json.loads((done.folder / "result.json").read_text(encoding="utf-8"))
    return {**result["metrics"], **result["counts"]}


def seconds_of(finished: list[FinishedStage]) -> dict[str, float]:
    return {done.run.stage.value: done.seconds for done in finished}


def kept(work: Path, out: Path) -> Path | None:
    """The folder that logs and finished stages of a failed run went to; None where there is nothing."""
    if not work.is_dir():
        return None
    (work / "upload.zip").unlink(missing_ok=True)
    for attempt in work.glob("*-[0-9]"):
        shutil.rmtree(attempt, ignore_errors=True)
    if not any(work.iterdir()):
        work.rmdir()
        return None
    folder = free_folder(out.with_name(f"{out.name}.failed"))
    with suppress(OSError):
        move(work, folder)
        return folder
    return work


def _coded(fault: OSError) -> JobError:
    code = code_of(fault)
    return JobError.of(code, str(fault.filename or "") if code is ErrorCode.DISK_FULL else str(fault))
