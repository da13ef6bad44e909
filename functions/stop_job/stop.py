"""Clean up after an execution that did not end by its own last state."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from spaceport.compute import Compute
from spaceport.errors import ErrorCode, JobError
from spaceport.stage_runs import StageRuns
from spaceport.stages import StageRun
from spaceport.status import StatusBus, StatusEvent, StatusType, job_ended
from spaceport.verdict import Fate, judge


class ExecutionEnded(BaseModel):
    """Of Step Functions' 'Execution Status Change': the execution's name is the jobId."""

    execution_arn: str
    job_id: str
    status: Literal["FAILED", "TIMED_OUT", "ABORTED"]
    at: datetime


class Stopper:
    """`stepfunctions` is a boto3 client."""

    def __init__(self, stepfunctions: Any, runs: StageRuns, compute: Compute, bus: StatusBus) -> None:
        self._stepfunctions, self._runs, self._compute, self._bus = stepfunctions, runs, compute, bus

    def clean_up(self, ended: ExecutionEnded) -> list[StageRun]:
        """Stop what still runs; then say how the job ended, if the state machine had no chance to."""
        running = [waiting.run for waiting in self._runs.of_job(ended.job_id) if self._still_runs(waiting.run)]
        for run in running:
            self._compute.stop(run)
        error = self._stepfunctions.describe_execution(executionArn=ended.execution_arn).get("error", "")
        if ended.status != "FAILED" or error not in ErrorCode.__members__:
            self._bus.put(farewell(ended))
        return running

    def _still_runs(self, run: StageRun) -> bool:
        return judge(run, self._compute.describe(run)).fate is Fate.RUNNING


def farewell(ended: ExecutionEnded) -> StatusEvent:
    """Stopped on request, out of time, or failed in a way the state machine did not foresee.

    Its own Fail state, whose error is a code of the closed list, comes after a Job Failed event of its own.
    """
    if ended.status == "ABORTED":
        return job_ended(StatusType.JOB_STOPPED, ended.job_id, JobError.of(ErrorCode.STOPPED), ended.at)
    code = ErrorCode.STAGE_TIMEOUT if ended.status == "TIMED_OUT" else ErrorCode.INTERNAL
    return job_ended(StatusType.JOB_FAILED, ended.job_id, JobError.of(code), ended.at)
