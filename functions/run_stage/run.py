"""Start a stage run exactly once, even if calls are repeated or crash in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import ConfigDict, Field

from contract.blocks import BlockName, BlockPlan
from contract.codes import ErrorCode
from contract.stages import Stage
from domain.block_progress import shares_in
from domain.blocks import Allowance, allowance_of, money_share, read_plan
from domain.capacity import Queue
from domain.compute import CannotStart, Compute
from domain.errors import JobError
from domain.fairness import StartTags
from domain.job import Camel, Job
from domain.layout import upload_uri
from domain.observability import logger
from domain.outcome import RunOutcome, RunStatus, outcome_of
from domain.reporting import StageReporter
from domain.results import DamagedResult
from domain.sagemaker_requests import Platform, create_request, machine_for, quota_of, reads_upload
from domain.stage_runs import StageRuns, WaitingRun, latest_of
from domain.stages import RetryState, StageOutput, StageRun, finished_stages, next_retry_state
from domain.status import StatusBus, stage_queued, stage_started, stage_taken_over
from domain.uploads import copy_of
from run_stage.branding import copy_logo
from run_stage.finished import FinishedBlocks
from run_stage.inputs import InputLists


class JobSoFar(Job):
    """The state machine's data: the job and the outputs of its finished stages; `coarse`: the output of a large
    flight's coarse model."""

    model_config = ConfigDict(extra="ignore")

    stages: dict[str, Any] = Field(default_factory=dict)
    coarse: StageOutput | None = None


class RunRequest(Camel):
    """Payload of the callback task."""

    task_token: str
    stage: Stage
    block: BlockName | None = None
    job: JobSoFar

    @property
    def first_run(self) -> StageRun:
        return StageRun(job_id=self.job.job_id, stage=self.stage, attempt=1, block=self.block)


class Attempt(Camel):
    """The stage run that a task is to wait for, its retry state, and whether its job is still to be created."""

    run: StageRun
    retry_state: RetryState = RetryState()
    begin: bool


def attempt_for(request: RunRequest, latest: WaitingRun | None, outcome: RunOutcome | None) -> Attempt:
    """The attempt to wait for, given the stage's latest attempt and its outcome. Pure.

    An attempt whose job was never created is created now; one that runs or has completed is waited for; a failed one is
    followed by the next, unless it belongs to this same task.
    """
    if latest is None or outcome is None:
        return Attempt(run=request.first_run, begin=True)
    if outcome.status is not RunStatus.FAILED or latest.task_token == request.task_token:
        return Attempt(run=latest.run, retry_state=latest.retry_state, begin=outcome.status is RunStatus.MISSING)
    run, failure = latest.run.next_attempt, outcome.error.code if outcome.error else None
    return Attempt(run=run, retry_state=next_retry_state(latest.retry_state, run.attempt, failure), begin=True)


class Runner:
    """Everything that it calls is passed in; `s3` is a boto3 client, `budget` the dollars that a job may cost."""

    def __init__(
        self,
        platform: Platform,
        runs: StageRuns,
        compute: Compute,
        bus: StatusBus,
        reporter: StageReporter,
        start_tags: StartTags,
        s3: Any,
        budget: float,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._platform, self._runs, self._compute = platform, runs, compute
        self._bus, self._reporter, self._s3, self._clock = bus, reporter, s3, clock
        self._start_tags, self._budget = start_tags, budget
        self._finished = FinishedBlocks(runs, compute, reporter)
        self._inputs = InputLists(s3)
        self._queue = Queue(runs, compute, bus, reporter, start_tags, clock)

    def run(self, request: RunRequest) -> StageRun:
        """Start or join the run that the task waits for. A run for which there is no machine waits in the queue, and
        its task with it. Throttling fails the task as THROTTLED. Raises ClientError for other faults of AWS."""
        known = self._runs.of_job(request.job.job_id)
        latest = latest_of(known, request.stage, request.block)
        outcome = outcome_of(latest.run, self._compute.describe(latest.run)) if latest else None
        attempt = attempt_for(request, latest, outcome)
        # taken at the job's first run, so that its later stages do not queue behind jobs that began after it
        start_tag = known[0].start_tag if known else self._start_tags.take(request.job.owner)
        if latest is None or attempt.run != latest.run:
            owner = request.job.owner
            self._runs.remember(attempt.run, request.task_token, attempt.retry_state, start_tag, owner)
        elif latest.task_token != request.task_token:
            self._runs.adopt(latest, request.task_token)
        if attempt.begin:
            self._begin(request, attempt, known, start_tag)
        else:
            self._reporter.report(attempt.run)
        return attempt.run

    def _begin(self, request: RunRequest, attempt: Attempt, known: Sequence[WaitingRun], start_tag: int) -> None:
        run, job = attempt.run, request.job
        try:
            plan = None if run.block is None else self._plan(job)
            finished = finished_stages(job.stages)
            self._inputs.write(run, job, finished, job.coarse)
            copy_logo(self._s3, self._platform, run, job, finished)
        except DamagedResult as damaged:
            return self._refuse(request, run, damaged.error)
        shares = {} if plan is None or run.block is None else shares_in(run.block, plan)
        self._bus.put(stage_started(run, self._clock(), shares))
        if run.block is not None and self._take_over(request, attempt):
            return None
        if reads_upload(run, job) and not self._copy_upload(job):
            return self._refuse(request, run, JobError.of(ErrorCode.UPLOAD_GONE))
        refusal = self._create(request, attempt, start_tag, self._allowance(run, job, known, plan))
        return None if refusal is None else self._refuse(request, run, refusal)

    def _plan(self, job: JobSoFar) -> BlockPlan:
        return read_plan(self._s3, finished_stages(job.stages)[Stage.SFM].output_uri)

    def _take_over(self, request: RunRequest, attempt: Attempt) -> bool:
        """Whether an earlier run has finished the block; if so, answer the task with its output."""
        run, job = attempt.run, request.job
        machine = machine_for(run.stage, self._platform.machines(run.stage, job.options.quality)[0], 0)
        stages = finished_stages(job.stages)
        wanted = create_request(run, job, stages, self._platform, attempt.retry_state, machine, job.coarse)
        output = self._finished.find(run, wanted)
        if output is None:
            return False
        self._bus.put(stage_taken_over(run, self._clock()))
        self._reporter.succeed(run, request.task_token, output)
        return True

    def _refuse(self, request: RunRequest, run: StageRun, error: JobError) -> None:
        logger.warning("stage run not started", job_name=run.job_name, error=error.code, reason=error.message)
        self._runs.note(run, f"{error.code}: {error.message}")
        self._reporter.fail(request.task_token, error)

    def _create(self, request: RunRequest, attempt: Attempt, start_tag: int, allowed: Allowance) -> JobError | None:
        """Create the job on the attempt's choice of machine, or queue the run for one; returns the error if neither is
        possible.

        A choice whose quota is 0 is skipped, except the very first: the operator has to raise that quota.
        """
        run, job = attempt.run, request.job
        finished = finished_stages(job.stages)
        choices = self._platform.machines(run.stage, job.options.quality)
        for turn in range(attempt.retry_state.machine, attempt.retry_state.machine + len(choices)):
            choice = choices[turn % len(choices)]
            affordable = self._platform.prices.seconds_for(choice.instance_type, allowed.left)
            if not affordable:
                return JobError.of(ErrorCode.BUDGET_SPENT, f"{allowed.spent:.2f} of {allowed.limit:.2f} dollars")
            machine = machine_for(run.stage, choice, affordable)
            job_request = create_request(run, job, finished, self._platform, attempt.retry_state, machine, job.coarse)
            refusal = self._create_or_queue(request, run, job_request, start_tag)
            if refusal is None or refusal.code is not ErrorCode.NO_QUOTA or choice == choices[0]:
                return refusal
            logger.warning("machine skipped: its quota is 0", job_name=run.job_name, machine=choice.instance_type)
        raise AssertionError("the first choice is among them")

    def _create_or_queue(
        self, request: RunRequest, run: StageRun, job_request: dict[str, Any], start_tag: int
    ) -> JobError | None:
        others_wait = self._queue.others_wait(run, quota_of(job_request))
        if not others_wait:
            try:
                self._compute.create(run, job_request)
            except CannotStart as refusal:
                if refusal.error.code is not ErrorCode.CAPACITY:
                    return refusal.error
            else:
                self._start_tags.served(start_tag)
                return None
        self._runs.queue_up(run, request.task_token, job_request, start_tag)
        self._bus.put(stage_queued(run, self._clock()))
        if others_wait:  # a machine may be free by now, and earlier runs get it first
            self._queue.serve(run.stage)
        return None

    def _copy_upload(self, job: Job) -> bool:
        """False if the version for which the job was started is gone."""
        uri = upload_uri(job.job_id, job.key, self._platform.results_bucket)
        return copy_of(self._s3, job.uploaded, uri)

    def _allowance(self, run: StageRun, job: Job, known: Sequence[WaitingRun], plan: BlockPlan | None) -> Allowance:
        """What the run may cost, after everything spent so far, including failed attempts."""
        others = [waiting.run for waiting in known if waiting.run != run]
        if run.block is None or plan is None:
            return Allowance(spent=self._spent(others), limit=self._budget)
        own = [other for other in others if (other.stage, other.block) == (run.stage, run.block)]
        before = [other for other in others if not isinstance(other.block, int) and other not in own]
        join = self._platform.machines(Stage.COMPRESSOR, job.options.quality)[0]
        reserved = self._platform.prices.dollars(join.instance_type, Stage.COMPRESSOR.spec.max_runtime) or 0.0
        share = money_share(run.block, plan)
        return allowance_of(self._budget, self._spent(before), reserved, share, self._spent(own))

    def _spent(self, runs: Sequence[StageRun]) -> float:
        """Dollars that the runs have cost."""
        outcomes = [outcome_of(run, self._compute.describe(run)) for run in runs]
        return sum(self._platform.prices.dollars(outcome.instance_type, outcome.seconds) or 0.0 for outcome in outcomes)
