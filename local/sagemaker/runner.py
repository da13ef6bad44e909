"""Run one job from start to end: folders, inputs, container, time limit, outputs, outcome."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from local.sagemaker.container import GRACE_SECONDS, Container, Image, RunFolders, repository_of
from local.sagemaker.job import COMPLETED, FAILED, IN_PROGRESS, STOPPED, STOPPING, Job
from local.sagemaker.plan import Kind
from local.sagemaker.transfer import Mirror, download_listed, download_prefix, upload_archive, upload_folder

POLL_SECONDS = 0.05
CHECKPOINT_SYNC_SECONDS = 2.0
MAX_EXIT_MESSAGE_CHARACTERS = 1024
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")


class JobFailed(Exception):
    """A job failed; the message is its FailureReason."""


@dataclass(frozen=True)
class Access:
    """What a job may use under its role: the S3 client for its transfers, and the container's credentials and
    endpoints."""

    s3: Any
    environment: Mapping[str, str]


@dataclass(frozen=True)
class SpotMarket:
    """What happens to jobs on Spot machines: by default nothing, but tests can change that. `wait`: seconds until a
    machine is found, each time; `interruptions`: how often the machine is taken, each time after one more checkpoint.
    """

    wait: float = 0.0
    interruptions: int = 0


@dataclass(frozen=True)
class Runner:
    """What all runs have in common. `access` is called for each job."""

    access: Callable[[Job], Access]
    folder: Path
    images: Mapping[str, Image]
    grace_seconds: float = GRACE_SECONDS
    checkpoint_sync_seconds: float = CHECKPOINT_SYNC_SECONDS
    spot: SpotMarket = SpotMarket()

    def run(self, job: Job) -> None:
        """Take the job to one of its terminal states; never raises."""
        try:
            _Run(self, job).go()
        except JobFailed as failure:
            job.move(FAILED, "Failed", failure_reason=str(failure))
        except Exception as error:
            job.move(FAILED, "Failed", failure_reason=f"InternalServerError: {type(error).__name__}: {error}")

    def log_of(self, job_name: str) -> Path:
        """The job's log: the container's two output streams."""
        return self.folder / job_name / "container.log"


@dataclass
class _Run:
    runner: Runner
    job: Job
    access: Access = field(init=False)
    mirrors: list[Mirror] = field(default_factory=list)
    root: Path = field(init=False)
    ml: Path = field(init=False)
    interruptions: int = 0  # so far
    interrupted: bool = False  # the current machine is being taken
    waited: float = 0.0  # seconds of waiting for machines

    def __post_init__(self) -> None:
        self.access = self.runner.access(self.job)
        self.root = self.runner.folder / self.job.name
        self.ml = self.root / "ml"

    def go(self) -> None:
        plan = self.job.plan
        shutil.rmtree(self.root, ignore_errors=True)
        image = self.runner.images.get(repository_of(plan.image))
        if image is None:
            raise JobFailed(f"ClientError: Cannot find image: {plan.image}")
        while True:
            if not self._find_machine():
                return
            self._prepare_folders()
            self.job.move(IN_PROGRESS, "Downloading")
            self._download()
            if self.job.stop_requested.is_set():
                self.job.move(STOPPED, "Stopped")
                return
            self.job.move(IN_PROGRESS, "Training")
            code, overran = self._run_container(image)
            if not self.interrupted:
                break
            self.job.move(IN_PROGRESS, "Interrupted")
        stopped = self.job.stop_requested.is_set() or overran
        self._read_exit_message()
        if code != 0 and not stopped:
            raise JobFailed(self._algorithm_error(code))
        if not stopped or plan.leaves_output_when_stopped:
            if not stopped:
                self.job.move(IN_PROGRESS, "Uploading")
            self._upload()
        # only the log is kept: the job's folders hold copies of its photos and its model
        shutil.rmtree(self.ml, ignore_errors=True)
        if overran:
            self.job.move(STOPPED, "MaxRuntimeExceeded")
        elif stopped:
            self.job.move(STOPPED, "Stopped")
        else:
            self.job.move(COMPLETED, "Completed")

    def _find_machine(self) -> bool:
        """Wait for a machine. False if the job has ended: none was found in the time that the job may wait and run, or
        it was stopped meanwhile."""
        plan = self.job.plan
        if plan.max_wait is None:
            return True
        wait = min(self.runner.spot.wait, max(0.0, plan.max_wait - self.waited))
        stopped = self.job.stop_requested.wait(wait)
        self.waited += wait
        if stopped:
            self.job.move(STOPPED, "Stopped")
        elif wait < self.runner.spot.wait:
            self.job.move(STOPPED, "MaxWaitTimeExceeded")
        return not self.job.finished

    def _prepare_folders(self) -> None:
        """Create the folders of a new machine, which has nothing from an earlier one."""
        shutil.rmtree(self.ml, ignore_errors=True)
        self.mirrors.clear()
        plan = self.job.plan
        folders = [transfer.folder for transfer in (*plan.inputs, *plan.outputs)]
        folders += [PurePosixPath("output")] + ([plan.checkpoints.folder] if plan.checkpoints else [])
        for folder in folders:
            (self.ml / folder).mkdir(parents=True, exist_ok=True)
        for name, text in plan.files.items():
            path = self.ml / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def _download(self) -> None:
        plan = self.job.plan
        for given in plan.inputs:
            try:
                download = download_listed if given.manifest else download_prefix
                count = download(self.access.s3, given.uri, self.ml / given.folder)
            except Exception as error:
                raise JobFailed(f"ClientError: Data download failed: {given.uri}: {error}") from error
            if count == 0:
                raise JobFailed(f"ClientError: No S3 objects found under S3 URL {given.uri!r}")
        if plan.checkpoints:
            folder = self.ml / plan.checkpoints.folder
            download_prefix(self.access.s3, plan.checkpoints.uri.rstrip("/") + "/", folder)
            mirror = Mirror(self.access.s3, folder, plan.checkpoints.uri)
            mirror.mark_known()
            self.mirrors.append(mirror)
        self.mirrors += [
            Mirror(self.access.s3, self.ml / output.folder, output.uri) for output in plan.outputs if output.continuous
        ]

    def _run_container(self, image: Image) -> tuple[int, bool]:
        """Run the container; returns the exit code, and whether the job's time was over."""
        plan = self.job.plan
        work, scratch = self.root / "work", self.root / "tmp"
        work.mkdir()
        scratch.mkdir()
        environment = {
            # SageMaker sets no region for a container, which derives it from the ARN of its job
            **{name: text for name, text in self.access.environment.items() if name not in _REGIONS},
            **plan.environment,
            f"{plan.kind.value.upper()}_JOB_ARN": self.job.arn,
        }
        try:
            folders = RunFolders(self.ml, work, scratch)
            container = image.start(plan.arguments, environment, folders, self.runner.log_of(self.job.name))
        except OSError as error:
            raise JobFailed(f"ClientError: the container does not start: {error}") from error
        try:
            return self._watch(container)
        finally:
            container.kill()
            shutil.rmtree(work, ignore_errors=True)
            shutil.rmtree(scratch, ignore_errors=True)
            self._sync()

    def _watch(self, container: Container) -> tuple[int, bool]:
        started = last_sync = time.monotonic()
        deadline = started + self.job.plan.max_runtime
        kill_at = float("inf")
        overran = self.interrupted = False
        while (code := container.wait(POLL_SECONDS)) is None:
            now = time.monotonic()
            overran = overran or now >= deadline
            if kill_at == float("inf") and (overran or self.job.stop_requested.is_set()):
                if overran:
                    self.job.move(STOPPING, "Stopping")
                container.terminate()
                kill_at = now + self.runner.grace_seconds
            elif now >= kill_at:
                container.kill()
            elif self._is_taken():
                self.interrupted, self.interruptions = True, self.interruptions + 1
                container.terminate()
                kill_at = now + self.runner.grace_seconds
            if now - last_sync >= self.runner.checkpoint_sync_seconds:
                self._sync()
                last_sync = time.monotonic()
        return code, overran and not self.job.stop_requested.is_set()

    def _is_taken(self) -> bool:
        """Whether the Spot market takes the machine back now."""
        plan = self.job.plan
        if plan.max_wait is None or plan.checkpoints is None or self.interrupted:
            return False
        left = sum(path.is_file() for path in (self.ml / plan.checkpoints.folder).rglob("*"))
        return left > self.interruptions < self.runner.spot.interruptions

    def _sync(self) -> None:
        for mirror in self.mirrors:
            mirror.sync()

    def _upload(self) -> None:
        plan = self.job.plan
        for output in plan.outputs:
            if output.continuous:
                continue
            folder = self.ml / output.folder
            try:
                if plan.compress:
                    upload_archive(self.access.s3, folder, output.uri, self.root)
                else:
                    upload_folder(self.access.s3, folder, output.uri)
            except Exception as error:
                raise JobFailed(f"ClientError: Data upload failed: {output.uri}: {error}") from error

    def _read_exit_message(self) -> None:
        message = self.ml / "output" / "message"
        if self.job.kind is Kind.PROCESSING and message.is_file():
            text = message.read_text(encoding="utf-8", errors="replace")
            self.job.exit_message = text[:MAX_EXIT_MESSAGE_CHARACTERS]

    def _algorithm_error(self, code: int) -> str:
        """The FailureReason for a container that ended with `code`, in SageMaker's words."""
        if self.job.kind is Kind.PROCESSING:
            return "AlgorithmError: See job logs for more information"
        failure = self.ml / "output" / "failure"
        text = failure.read_text(encoding="utf-8", errors="replace").strip() if failure.is_file() else ""
        ending = f", exit code: {code}"
        return f"AlgorithmError: {text}"[: 1024 - len(ending)] + ending
