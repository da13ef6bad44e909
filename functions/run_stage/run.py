"""Start a stage run, exactly once whatever is repeated or crashes in between."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pydantic import ConfigDict, Field

from spaceport.compute import CannotStart, Compute
from spaceport.job import Camel, Job
from spaceport.reporting import StageReporter
from spaceport.stage_runs import StageRuns, WaitingRun
from spaceport.stages import Platform, Stage, StageRun, create_request, finished_stages
from spaceport.status import StatusBus, stage_started
from spaceport.verdict import Fate, judge


class JobSoFar(Job):
    """The state machine's data: the job, and the outputs of the stages behind it."""

    model_config = ConfigDict(extra="ignore")

    stages: dict[str, Any] = Field(default_factory=dict)


class RunRequest(Camel):
    """Payload of the callback task."""

    task_token: str
    stage: Stage
    job: JobSoFar


class Runner:
    """Everything it calls is handed in."""

    def __init__(
        self,
        platform: Platform,
        runs: StageRuns,
        compute: Compute,
        bus: StatusBus,
        reporter: StageReporter,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._platform, self._runs, self._compute = platform, runs, compute
        self._bus, self._reporter, self._clock = bus, reporter, clock

    def run(self, request: RunRequest) -> StageRun:
        """Raises ClientError for faults of AWS; quotas and throttling fail the task as CAPACITY, THROTTLED."""
        latest = self._runs.latest(request.job.job_id, request.stage)
        run = self._next_run(request, latest)
        if latest is not None and run == latest.run and latest.task_token != request.task_token:
            # the attempt before is still there (its invocation failed after Create): wait for it, start nothing
            self._runs.adopt(latest, request.task_token)
            self._reporter.report(run)
            return run
        self._runs.remember(run, request.task_token)
        # said before Create: a job that waits for capacity is waiting for a machine, too
        self._bus.put(stage_started(run, self._clock()))
        job_request = create_request(run, request.job, finished_stages(request.job.stages), self._platform)
        try:
            self._compute.create(run, job_request)
        except CannotStart as refusal:
            self._reporter.fail(request.task_token, refusal.error)
        return run

    def _next_run(self, request: RunRequest, latest: WaitingRun | None) -> StageRun:
        if latest is None:
            return StageRun(job_id=request.job.job_id, stage=request.stage, attempt=1)
        if latest.task_token == request.task_token:
            return latest.run
        ended = judge(latest.run, self._compute.describe(latest.run)).fate in (Fate.FAILED, Fate.MISSING)
        return latest.run.next_attempt if ended else latest.run
