"""Run a job again from one of its stages on, with the output of the earlier stages.

A rerun is a new job: `meadow-0123456789ab` is rerun as `meadow-0123456789ab-r2`, then `-r3`. It therefore has its own
SageMaker job names, events, mails and results, and its attempt numbers cannot collide with those of another run.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any

from pydantic import Field

from contract.codes import ErrorCode
from contract.events import StatusType
from contract.stages import Stage
from domain.cost import NOTHING
from domain.errors import RefusedRequest, RejectedUpload
from domain.executions import Execution, Executions, Rerun, execution_input
from domain.job import Camel, Job, job_id_of_rerun, parse_options, run_number, scene_name
from domain.job_item import JobItem
from domain.jobs_table import JobFacts, JobsTable
from domain.limits import OwnerLimits
from domain.results import DamagedResult, output_from, read_result
from domain.stages import StageOutput, StageRun
from domain.unstarted import Unstarted
from domain.uploads import head_of

MAX_RERUNS = 99


class RerunRequest(Camel):
    """`options`: the options to change, by name; `request_id`: the customer's name for the request, so that repeating
    it starts one rerun, even after that rerun has ended."""

    job_id: str
    from_stage: Stage = Field(alias="from")
    options: dict[str, Any] = Field(default_factory=dict)
    request_id: str | None = None


class StartedRerun(Camel):
    job_id: str
    rerun_of: str
    from_stage: Stage
    reused: tuple[Stage, ...]


class Turn(Enum):
    """How a request relates to the execution of one run number."""

    FREE = auto()
    OURS = auto()
    OVER = auto()


def turn_of(execution: Execution | None, item: JobItem | None, wanted: Rerun) -> Turn:
    """Pure. Raises RefusedRequest(JOB_RUNNING) while the job runs for another purpose."""
    if execution is None:  # recorded and never started: a request that crashed. With a status: AWS forgot it by now.
        return Turn.OVER if item is not None and item.status else Turn.FREE
    if execution.rerun == wanted and (execution.running or wanted.request_id is not None):
        return Turn.OURS
    if execution.running:
        raise RefusedRequest(ErrorCode.JOB_RUNNING, execution.job_id)
    return Turn.OVER


def job_of_rerun(source: Job, job_id: str, options: Mapping[str, Any]) -> Job:
    """Raises RejectedUpload(INVALID_OPTION) for options that are wrong, or that would change where the job begins."""
    asked = source.options.model_dump(by_alias=True, mode="json")
    changed = parse_options({**asked, **options})
    if changed.pipeline_step is not source.options.pipeline_step:
        facts = "pipelineStep cannot be changed for a rerun: `from` names the first stage"
        raise RejectedUpload(ErrorCode.INVALID_OPTION, facts)
    name = scene_name(changed.name) if changed.name else source.name
    return source.model_copy(update={"job_id": job_id, "options": changed, "name": name})


class Rerunner:
    """`s3` is a boto3 client."""

    def __init__(self, s3: Any, executions: Executions, jobs: JobsTable, limits: OwnerLimits) -> None:
        self._s3, self._executions, self._jobs, self._limits = s3, executions, jobs, limits

    def rerun(self, request: RerunRequest) -> StartedRerun:
        """Start the rerun, once, however often the request is repeated.

        Raises RefusedRequest: NO_SUCH_JOB; JOB_RUNNING while the job or another rerun of it runs; NOT_REUSABLE if a
        result or upload that it needs is gone; RESULT_DAMAGED; LIMIT_REACHED. Raises RejectedUpload(INVALID_OPTION).
        """
        source = self._executions.lookup(request.job_id)
        if source is None:
            raise RefusedRequest(ErrorCode.NO_SUCH_JOB, request.job_id)
        wanted = Rerun(of=request.job_id, from_stage=request.from_stage, request_id=request.request_id)
        number = run_number(request.job_id)  # earlier ones have been used, even if nothing remembers them
        while number <= MAX_RERUNS:
            job_id = job_id_of_rerun(request.job_id, number)
            execution = self._executions.lookup(job_id)
            turn = turn_of(execution, None if execution else self._jobs.find(job_id), wanted)
            if turn is Turn.OVER:
                number += 1
            elif turn is Turn.OURS or self._start(source.job, job_id, wanted, request.options):
                reused = tuple(_stages_before(source.job, wanted.from_stage))
                return StartedRerun(
                    job_id=job_id, rerun_of=wanted.of, from_stage=wanted.from_stage, reused=reused
                )  # otherwise another request took the number meanwhile: check again
        raise RefusedRequest(ErrorCode.NOT_REUSABLE, f"it has already been run {MAX_RERUNS} times")

    def _start(self, source: Job, job_id: str, wanted: Rerun, options: Mapping[str, Any]) -> bool:
        job = job_of_rerun(source, job_id, options)
        before = _stages_before(source, wanted.from_stage)
        if not before:
            self._check_upload(source)
        item = self._jobs.find(wanted.of) or JobItem(job_id=wanted.of)
        job = job.model_copy(update={"owner": item.owner})
        if limit := self._limits.reached_by(item.owner, job_id):
            raise RefusedRequest(ErrorCode.LIMIT_REACHED, limit)
        reused = {stage: self._reused(wanted.of, stage, item) for stage in before}
        facts = JobFacts(
            rerun_of=wanted.of,
            rerun_from=wanted.from_stage,
            reused={name: value for stage in before for name, value in item.reused(stage).items()},
        )
        document = execution_input(job, wanted.from_stage, reused, wanted)
        start_with = Unstarted.execution(job, document).as_text()
        self._jobs.record_rerun(job, facts, start_with)
        if not self._executions.begin(job, document):
            return False
        # another request may have written its facts between the two calls, but this rerun is the one that runs
        self._jobs.record_rerun(job, facts, start_with)
        self._jobs.started(job.job_id)
        return True

    def _check_upload(self, job: Job) -> None:
        if head_of(self._s3, job.uploaded) is None:
            raise RefusedRequest(ErrorCode.NOT_REUSABLE, "the upload was deleted or replaced")

    def _reused(self, job_id: str, stage: Stage, item: JobItem) -> StageOutput:
        recorded = item.stages.get(stage)
        if recorded is None or recorded.status is not StatusType.STAGE_SUCCEEDED or recorded.attempt is None:
            raise RefusedRequest(ErrorCode.NOT_REUSABLE, f"{stage} did not succeed")
        uri = recorded.outputs["output"]
        run = StageRun(job_id=job_id, stage=stage, attempt=recorded.attempt)
        try:
            result = read_result(self._s3, uri, run)
        except DamagedResult as damaged:
            raise RefusedRequest(damaged.error.code, str(stage)) from damaged
        if result is None:
            raise RefusedRequest(ErrorCode.NOT_REUSABLE, f"the result of {stage} is gone")
        return output_from(result, uri, seconds=0.0, cost=NOTHING)


def _stages_before(job: Job, stage: Stage) -> list[Stage]:
    """Raises RefusedRequest(NOT_REUSABLE) for a stage that the job does not have."""
    stages = job.options.pipeline_step.stages
    if stage not in stages:
        raise RefusedRequest(ErrorCode.NOT_REUSABLE, f"this job has no stage {stage}")
    return list(stages[: stages.index(stage)])
