"""Reconcile a stage whose task failed, timed out or lost its heartbeat with its SageMaker job."""

from __future__ import annotations

from pydantic import Field, ValidationError

from contract.blocks import BlockName
from contract.codes import ErrorCode
from contract.stages import Stage
from domain.compute import Compute
from domain.cost import NOTHING
from domain.errors import JobError
from domain.job import Camel
from domain.outcome import RunOutcome, RunStatus, outcome_of
from domain.reporting import StageReporter
from domain.results import DamagedResult
from domain.stage_runs import StageRuns, WaitingRun, latest_of
from domain.stages import StageOutput

SILENCE = ("States.Timeout", "States.HeartbeatTimeout")


class TaskFailure(Camel):
    """What Catch passes on; Step Functions capitalises these two names."""

    error: str = Field(alias="Error")
    cause: str = Field(default="", alias="Cause")


class SettleRequest(Camel):
    job_id: str
    stage: Stage
    block: BlockName | None = None
    failure: TaskFailure


class Settlement(Camel):
    """`output` if the stage has succeeded after all, otherwise `error`."""

    stage: Stage
    attempt: int
    succeeded: bool
    output: StageOutput | None = None
    error: JobError | None = None


class BlockSettlement(Settlement):
    """The settlement of a block or the coarse model, with the cost of all its attempts: failed ones count in the
    stage's cost, too."""

    cost: dict[str, float]


class Reconciler:
    def __init__(self, runs: StageRuns, compute: Compute, reporter: StageReporter) -> None:
        self._runs, self._compute, self._reporter = runs, compute, reporter

    def reconcile(self, request: SettleRequest) -> Settlement:
        """Find out from SageMaker how the stage ended: a completed job counts as success even if its event was lost; a
        running one is stopped."""
        waiting = latest_of(self._runs.of_job(request.job_id), request.stage, request.block)
        if waiting is None:  # the task failed before a run was remembered, so no job can run
            settlement = Settlement(stage=request.stage, attempt=1, succeeded=False, error=error_of(request.failure))
            return settlement if request.block is None else BlockSettlement(**dict(settlement), cost=dict(NOTHING))
        if waiting.queued:  # its task was not kept alive, and there is still no machine
            self._runs.leave_queue(waiting.run)
        outcome = outcome_of(waiting.run, self._compute.describe(waiting.run))
        settlement = self._settle(request, waiting, outcome)
        if request.block is None:
            return settlement
        return BlockSettlement(**dict(settlement), cost=self._reporter.cost_of_attempts(waiting.run, outcome))

    def _settle(self, request: SettleRequest, waiting: WaitingRun, outcome: RunOutcome) -> Settlement:
        run = waiting.run
        if outcome.status is RunStatus.COMPLETED:
            try:
                output = self._reporter.output_of(run, outcome)
            except DamagedResult as damaged:
                return Settlement(stage=run.stage, attempt=run.attempt, succeeded=False, error=damaged.error)
            if output is not None:
                return Settlement(stage=run.stage, attempt=run.attempt, succeeded=True, output=output)
        if outcome.status is RunStatus.RUNNING:
            self._compute.stop(run)
        never_started = waiting.queued and outcome.status is RunStatus.MISSING
        silent = request.failure.error in SILENCE and outcome.waiting_since is not None
        no_machine = never_started or silent
        failure = JobError.of(ErrorCode.CAPACITY) if no_machine else error_of(request.failure)
        error = outcome.error or failure
        return Settlement(stage=run.stage, attempt=run.attempt, succeeded=False, error=error)


def error_of(failure: TaskFailure) -> JobError:
    """The JobError for the error with which the task failed."""
    if failure.error in ErrorCode.__members__:
        try:
            return JobError.model_validate_json(failure.cause)
        except ValidationError:
            return JobError.of(ErrorCode(failure.error))
    if failure.error in SILENCE:
        # Step Functions also reports States.Timeout for a lost heartbeat. SageMaker ends a job that took too long
        # before the task times out (MaxRuntimeExceeded): a task that timed out here has stopped sending progress.
        return JobError.of(ErrorCode.STALLED)
    return JobError.of(ErrorCode.INTERNAL)
