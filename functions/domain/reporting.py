"""Tell the state machine what became of a stage run. Idempotent: a token that no longer waits is done."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from contract.codes import ErrorCode
from domain.compute import Compute
from domain.cost import cost_of, dollars
from domain.errors import JobError
from domain.layout import output_uri
from domain.results import DamagedResult, output_from, read_result
from domain.sagemaker_requests import Platform
from domain.stage_runs import StageRuns
from domain.stages import StageOutput, StageRun, state_output
from domain.verdict import Fate, Verdict, judge

_ALREADY_DONE = ("TaskTimedOut", "TaskDoesNotExist", "InvalidToken")


class StageReporter:
    """Looks at SageMaker, never at logs, to decide; then answers the waiting task."""

    def __init__(self, platform: Platform, runs: StageRuns, compute: Compute, s3: Any, stepfunctions: Any) -> None:
        self._platform, self._runs, self._compute = platform, runs, compute
        self._s3, self._stepfunctions = s3, stepfunctions

    def report(self, run: StageRun) -> Verdict:
        """Answer the task if the run has ended; a run nobody waits for, or still at work, is left alone."""
        waiting = self._runs.find(run)
        if waiting is None:
            return Verdict(fate=Fate.MISSING)
        verdict = judge(run, self._compute.describe(run))
        if verdict.fate is Fate.COMPLETED:
            try:
                output = self.output_of(run, verdict)
            except DamagedResult as damaged:
                self.fail(waiting.task_token, damaged.error)
                return verdict
            if output is None:
                self.fail(waiting.task_token, JobError.of(ErrorCode.INTERNAL))
            else:
                self._answer("send_task_success", taskToken=waiting.task_token, output=state_output(output))
        elif verdict.error is not None:
            self.fail(waiting.task_token, verdict.error)
        return verdict

    def output_of(self, run: StageRun, verdict: Verdict) -> StageOutput | None:
        """What the completed run left, or None without a result.json. Raises DamagedResult."""
        uri = output_uri(run, self._platform.results_bucket)
        result = read_result(self._s3, uri, run)
        if result is None:
            return None
        cost = cost_of((bill.instance_type, bill.seconds) for bill in [*self._before(run), verdict])
        return output_from(result, uri, verdict.seconds, cost)

    def _before(self, run: StageRun) -> list[Verdict]:
        """What became of the earlier attempts: they were paid for, too."""
        earlier = [run.model_copy(update={"attempt": attempt}) for attempt in range(1, run.attempt)]
        return [judge(attempt, self._compute.describe(attempt)) for attempt in earlier]

    def bill(self, run: StageRun, verdict: Verdict) -> float:
        """Dollars that have been spent and were not counted before, however often SageMaker says that a job ended."""
        price = dollars(verdict.instance_type, verdict.seconds)
        over = verdict.fate in (Fate.COMPLETED, Fate.FAILED)
        return price if over and price and self._runs.bill(run, price) else 0.0

    def fail(self, task_token: str, error: JobError) -> None:
        """Error is the code, which Retry and Catch match; cause is the JobError as JSON."""
        self._answer("send_task_failure", taskToken=task_token, error=error.code.value, cause=error.model_dump_json())

    def beat(self, run: StageRun) -> bool:
        """Progress was made: the task's heartbeat starts anew. False when no task waits for the run any more."""
        waiting = self._runs.find(run)
        return waiting is not None and self._answer("send_task_heartbeat", taskToken=waiting.task_token)

    def _answer(self, call: str, **arguments: str) -> bool:
        try:
            getattr(self._stepfunctions, call)(**arguments)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _ALREADY_DONE:
                raise
            return False
        return True
