"""The last word on a stage whose task failed, timed out or lost its heartbeat."""

from __future__ import annotations

from pydantic import Field, ValidationError

from contract.codes import ErrorCode
from contract.stages import Stage
from domain.compute import Compute
from domain.errors import JobError
from domain.job import Camel
from domain.reporting import StageReporter
from domain.results import DamagedResult
from domain.stage_runs import StageRuns
from domain.stages import StageOutput
from domain.verdict import Fate, judge


class TaskFailure(Camel):
    """What Catch hands over: Step Functions writes these two names with capitals."""

    error: str = Field(alias="Error")
    cause: str = Field(default="", alias="Cause")


class SettleRequest(Camel):
    job_id: str
    stage: Stage
    failure: TaskFailure


class Settlement(Camel):
    """`output` when the stage did succeed after all, else `error`."""

    stage: Stage
    attempt: int
    succeeded: bool
    output: StageOutput | None = None
    error: JobError | None = None


class Settler:
    def __init__(self, runs: StageRuns, compute: Compute, reporter: StageReporter) -> None:
        self._runs, self._compute, self._reporter = runs, compute, reporter

    def settle(self, request: SettleRequest) -> Settlement:
        """A completed job counts as success, however its event got lost; a running one is stopped."""
        waiting = self._runs.latest(request.job_id, request.stage)
        if waiting is None:  # the task failed before a run was remembered, so no job can run
            return Settlement(stage=request.stage, attempt=1, succeeded=False, error=error_of(request.failure))
        run = waiting.run
        if waiting.queued:  # those who keep its task alive have not come by: there is still no machine
            self._runs.leave_queue(run)
        verdict = judge(run, self._compute.describe(run))
        if verdict.fate is Fate.COMPLETED:
            try:
                output = self._reporter.output_of(run, verdict)
            except DamagedResult as damaged:
                return Settlement(stage=run.stage, attempt=run.attempt, succeeded=False, error=damaged.error)
            if output is not None:
                return Settlement(stage=run.stage, attempt=run.attempt, succeeded=True, output=output)
        if verdict.fate is Fate.RUNNING:
            self._compute.stop(run)
        never_served = waiting.queued and verdict.fate is Fate.MISSING
        failure = JobError.of(ErrorCode.CAPACITY) if never_served else error_of(request.failure)
        error = verdict.error or failure
        return Settlement(stage=run.stage, attempt=run.attempt, succeeded=False, error=error)


def error_of(failure: TaskFailure) -> JobError:
    """The coded form of what the task failed with."""
    if failure.error in ErrorCode.__members__:
        try:
            return JobError.model_validate_json(failure.cause)
        except ValidationError:
            return JobError.of(ErrorCode(failure.error))
    if failure.error in ("States.Timeout", "States.HeartbeatTimeout"):
        # Step Functions says States.Timeout of a lost heartbeat, too. A job that took too long was ended before the
        # task by SageMaker, which says so itself (MaxRuntimeExceeded): what timed out here has stopped talking.
        return JobError.of(ErrorCode.STALLED)
    return JobError.of(ErrorCode.INTERNAL)
