"""Report the outcome of a stage run to the state machine. Idempotent: a token that no longer waits needs no answer."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from contract.codes import ErrorCode
from domain.compute import Compute
from domain.errors import JobError
from domain.layout import RESULT, output_uri
from domain.outcome import RunOutcome, RunStatus, outcome_of
from domain.results import DamagedResult, output_from, read_result
from domain.sagemaker_requests import Platform
from domain.stage_runs import StageRuns, WaitingRun
from domain.stages import StageOutput, StageRun, state_output

_ALREADY_DONE = ("TaskTimedOut", "TaskDoesNotExist", "InvalidToken")


class StageReporter:
    """Decides the outcome from SageMaker's description of the job, never from log text, and answers the waiting
    task.
    """

    def __init__(self, platform: Platform, runs: StageRuns, compute: Compute, s3: Any, stepfunctions: Any) -> None:
        self._platform, self._runs, self._compute = platform, runs, compute
        self._s3, self._stepfunctions = s3, stepfunctions

    def report(self, run: StageRun) -> RunOutcome:
        """Answer the task if the run has ended. Do nothing if the run is still at work or no task waits for it."""
        waiting = self._runs.find(run)
        if waiting is None:
            return RunOutcome(status=RunStatus.MISSING)
        outcome = outcome_of(run, self._compute.describe(run))
        if outcome.status is RunStatus.COMPLETED:
            outcome = self._answer_completed(waiting, outcome)
        elif outcome.error is not None:
            self.fail(waiting.task_token, outcome.error)
        if outcome.ended:
            self._runs.answered(run, waiting.task_token, outcome.reason)
        return outcome

    def _answer_completed(self, waiting: WaitingRun, outcome: RunOutcome) -> RunOutcome:
        """The outcome, with `error` and `reason` added if the run left no usable result."""
        try:
            output = self.output_of(waiting.run, outcome)
        except DamagedResult as damaged:
            error, reason = damaged.error, damaged.error.message
        else:
            if output is not None:
                self._answer("send_task_success", taskToken=waiting.task_token, output=state_output(output))
                return outcome
            error = JobError.of(ErrorCode.INTERNAL)
            reason = f"completed without {output_uri(waiting.run, self._platform.results_bucket)}/{RESULT}"
        self.fail(waiting.task_token, error)
        return outcome.model_copy(update={"error": error, "reason": reason})

    def output_of(self, run: StageRun, outcome: RunOutcome) -> StageOutput | None:
        """The output of a completed run, or None without a result.json. Raises DamagedResult."""
        uri = output_uri(run, self._platform.results_bucket)
        result = read_result(self._s3, uri, run)
        if result is None:
            return None
        output = output_from(result, uri, outcome.seconds, self.cost_of_attempts(run, outcome))
        # the state machine's data contains all blocks, so their metrics and warnings stay in S3, where they are joined
        return output if run.block is None else output.model_copy(update={"metrics": {}, "warnings": []})

    def cost_of_attempts(self, run: StageRun, outcome: RunOutcome) -> dict[str, float]:
        """The cost of the run, from its outcome, and of the attempts before it."""
        bills = [(each.instance_type, each.seconds) for each in (*self._before(run), outcome)]
        return self._platform.prices.cost_of(bills)

    def _before(self, run: StageRun) -> list[RunOutcome]:
        """The outcomes of the earlier attempts, which also cost money."""
        earlier = [run.model_copy(update={"attempt": attempt}) for attempt in range(1, run.attempt)]
        return [outcome_of(attempt, self._compute.describe(attempt)) for attempt in earlier]

    def succeed(self, run: StageRun, task_token: str, output: StageOutput) -> None:
        """Answer the task with the output of an earlier run; no job is created."""
        self._answer("send_task_success", taskToken=task_token, output=state_output(output))
        self._runs.answered(run, task_token)

    def fail(self, task_token: str, error: JobError) -> None:
        """Fail the task: its error is the code, which Retry and Catch match; its cause is the JobError as JSON."""
        self._answer("send_task_failure", taskToken=task_token, error=error.code.value, cause=error.model_dump_json())

    def beat(self, run: StageRun, at: datetime | None = None) -> bool:
        """Send the task a heartbeat, because the run made progress at `at` (default: now). False if no task waits for
        the run any more."""
        waiting = self._runs.find(run)
        alive = waiting is not None and self._answer("send_task_heartbeat", taskToken=waiting.task_token)
        if alive:
            self._runs.note_news(run, at)
        return alive

    def _answer(self, call: str, **arguments: str) -> bool:
        try:
            getattr(self._stepfunctions, call)(**arguments)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _ALREADY_DONE:
                raise
            return False
        return True
