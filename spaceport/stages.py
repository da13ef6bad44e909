"""Run the stages one after the other on this machine, each in a process of its own, in the folders that SageMaker
would give its container."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contract.blocks import COARSE, BlockName, photos_file
from contract.codes import FAILURES, ErrorCode, Then
from contract.events import StatusType
from contract.stages import EVIDENCE_FOLDER, Stage, block_label
from domain.errors import JobError
from domain.job import Job
from domain.sagemaker_requests import environment
from domain.stages import RetryState, StageRun, next_retry_state
from local.customer import StatusEvent
from local.sagemaker.container import Container, Image, RunFolders

POLL_SECONDS = 0.2
GRACE_SECONDS = 10.0
KILLED = 128 + 9  # exit code after SIGKILL, as Linux's out-of-memory killer sends
ATTEMPTS = 2


class StageFailed(Exception):
    """A stage ended without a result; carries the coded reason."""

    def __init__(self, stage: Stage, error: JobError) -> None:
        super().__init__(error.message)
        self.stage, self.error = stage, error


@dataclass(frozen=True)
class FinishedStage:
    """A stage's output on this machine, and what it took."""

    run: StageRun
    folder: Path
    seconds: float


@dataclass
class Stages:
    """`show` gets each status event; `work` is a folder of this run alone, where outputs and logs stay; `variables` go
    to every stage besides the job's own.
    """

    job: Job
    work: Path
    images: Mapping[str, Image]
    show: Callable[[StatusEvent], None]
    clock: Callable[[], float] = time.monotonic
    grace: float = GRACE_SECONDS
    variables: Mapping[str, str] = field(default_factory=dict)
    _sequence: int = field(default=0, init=False)
    _span: tuple[float, float] = field(default=(0.0, 1.0), init=False)

    def run(
        self,
        stage: Stage,
        given: Path,
        beside: Mapping[str, Path] | None = None,
        *,
        block: BlockName | None = None,
        span: tuple[float, float] = (0.0, 1.0),
    ) -> FinishedStage:
        """Run one stage on a file or on the folder that the stage before left; again with half of the Gaussians where
        it ran out of memory. `beside`: further inputs by name. `block`: of a large flight, alone, which takes the
        stage's progress through `span`. Raises StageFailed, OSError, KeyboardInterrupt."""
        run = StageRun(job_id=self.job.job_id, stage=stage, attempt=1, block=block)
        state, self._span = RetryState(), span
        target = self.work / stage / ("" if block is None else photos_file(block).parent)
        while True:
            error, seconds = self._attempt(run, state, {stage.spec.channel: given, **(beside or {})})
            if error is None:
                target.parent.mkdir(parents=True, exist_ok=True)
                (self._ml(run) / stage.output_folder).rename(target)
                shutil.rmtree(self._root(run), ignore_errors=True)
                return FinishedStage(run, target, seconds)
            halve = FAILURES[error.code].then is Then.HALVE and stage.spec.halves and run.attempt < ATTEMPTS
            self._show(StatusType.STAGE_FAILED, run, 0.0, error.message)
            if not halve:  # what it did leave is evidence: which photos were used, where overlap is missing
                evidence = self._ml(run) / EVIDENCE_FOLDER
                target.parent.mkdir(parents=True, exist_ok=True)
                (evidence if evidence.is_dir() else self._ml(run) / stage.output_folder).rename(target)
            shutil.rmtree(self._root(run), ignore_errors=True)
            if not halve:
                raise StageFailed(stage, error)
            run = run.next_attempt
            state = next_retry_state(state, run.attempt, error.code)

    def log_of(self, run: StageRun) -> Path:
        return self.work / f"{_label(run)}-{run.attempt}.log"

    def _attempt(self, run: StageRun, state: RetryState, inputs: Mapping[str, Path]) -> tuple[JobError | None, float]:
        """The coded reason, None when the stage left its result; and the seconds that it took."""
        folders = RunFolders(self._ml(run), self._root(run) / "work", self._root(run) / "tmp")
        for folder in (folders.work, folders.scratch, folders.ml / run.stage.output_folder, folders.ml / "checkpoints"):
            folder.mkdir(parents=True)
        for channel, given in inputs.items():
            place(given, folders.ml / run.stage.channel_folder(channel))
        started = self.clock()
        if self._span[0] == 0:
            self._show(StatusType.STAGE_STARTED, run, 0.0, "starting")
        variables = {**environment(run, self.job, "", state), **self.variables}
        container = self.images[run.stage].start((), variables, folders, self.log_of(run))
        try:
            code = self._follow(container, run)
        except BaseException:
            self._stop(container)
            raise
        seconds = self.clock() - started
        if code == 0:
            done = StatusType.STAGE_SUCCEEDED if self._span[1] == 1 else StatusType.STAGE_PROGRESSED
            self._show(done, run, 1.0, "done")
            return None, seconds
        return reason(folders.ml / "output" / "failure", code), seconds

    def _follow(self, container: Container, run: StageRun) -> int:
        """Pass the progress events in the stage's log on until it ends; its exit code."""
        with self.log_of(run).open("rb") as log:
            part = b""
            while True:
                code = container.wait(POLL_SECONDS)
                *lines, part = (part + log.read()).split(b"\n")
                for line in lines:
                    if detail := progress_in(line):
                        self._show(StatusType.STAGE_PROGRESSED, run, *detail)
                if code is not None:
                    return code

    def _stop(self, container: Container) -> None:
        container.terminate()
        if container.wait(self.grace) is None:
            container.kill()
            container.wait(self.grace)

    def _show(
        self, kind: StatusType, run: StageRun, progress: float, message: str, metrics: dict[str, Any] | None = None
    ) -> None:
        self._sequence += 1
        event = StatusEvent(
            type=kind,
            job_id=run.job_id,
            sequence=self._sequence,
            at=datetime.now(UTC),
            progress=self._span[0] + (self._span[1] - self._span[0]) * progress,
            message=message if run.block is None else f"{_part(run.block)}: {message}",
            stage=run.stage,
            attempt=run.attempt,
            metrics=metrics or {},
        )
        self.show(event)

    def _root(self, run: StageRun) -> Path:
        return self.work / f"{_label(run)}-{run.attempt}"

    def _ml(self, run: StageRun) -> Path:
        return self._root(run) / "ml"


def _label(run: StageRun) -> str:
    return run.stage if run.block is None else f"{run.stage}-{block_label(run.block)}"


def _part(block: BlockName) -> str:
    return "coarse model" if block == COARSE else f"block {block}"


def place(given: Path, folder: Path) -> None:
    """Put an input where the stage looks for it: a folder as a link, a file as a hard link where the disk has them."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    if given.is_dir():
        folder.symlink_to(given.resolve(), target_is_directory=True)
        return
    folder.mkdir()
    target = folder / f"upload{given.suffix.lower()}"
    try:
        os.link(given.resolve(), target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(given, target)


def progress_in(line: bytes) -> tuple[float, str, dict[str, Any]] | None:
    """Share, message and metrics of a progress event in a stage's log; None for any other line."""
    if not line.startswith(b"{"):
        return None
    try:
        detail = json.loads(line)
        return float(detail["progress"]), str(detail["message"]), dict(detail["metrics"])
    except (ValueError, KeyError, TypeError):
        return None


def reason(failure: Path, code: int) -> JobError:
    """The coded reason that a stage left, `CODE: facts`; where it could leave none, what its exit code says."""
    text = failure.read_text(encoding="utf-8", errors="replace") if failure.is_file() else ""
    name, _, facts = text.partition(": ")
    if name in set(ErrorCode):
        return JobError.of(ErrorCode(name), facts)
    if code == KILLED:
        return JobError.of(ErrorCode.OUT_OF_MEMORY, "the system ended the stage")
    return JobError.of(ErrorCode.INTERNAL, text or f"the stage ended with code {code}")
