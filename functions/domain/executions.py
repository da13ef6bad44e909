"""Executions of the state machine: one per job, with the job's name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import Enum, auto
from typing import Any, Literal, get_args

from botocore.exceptions import ClientError
from pydantic import BaseModel

from contract.stages import Stage
from domain.job import Camel, Job
from domain.stages import StageOutput


class Rerun(Camel):
    """The job that an execution repeats (`of`), and the stage from which it does. `request_id` distinguishes a repeated
    request from a new one."""

    of: str
    from_stage: Stage
    request_id: str | None = None


class Execution(BaseModel):
    """An execution as Step Functions describes it. `input` is as `execution_input` wrote it."""

    job_id: str
    status: str
    input: dict[str, Any]
    redriven_at: datetime | None = None

    @property
    def running(self) -> bool:
        return self.status in ("RUNNING", "PENDING_REDRIVE")

    def runs_again_since(self, end: datetime) -> bool:
        """Whether an operator has redriven it since it ended then. Its status alone would not tell: Step Functions may
        still describe it as it was moments before the end."""
        return self.running and self.redriven_at is not None and self.redriven_at >= end

    @property
    def job(self) -> Job:
        return Job.model_validate({name: self.input.get(name) for name in _JOB_NAMES})

    @property
    def rerun(self) -> Rerun | None:
        return Rerun.model_validate(self.input["rerun"]) if "rerun" in self.input else None


class FinalEvent(Enum):
    """Whether the state machine has published its job's final event."""

    NOT_SENT = auto()
    STARTED = auto()  # it entered the state that publishes, and may have published
    SENT = auto()


class Ended(BaseModel):
    """An execution that did not succeed. Its name is the jobId."""

    job_id: str
    status: Literal["FAILED", "TIMED_OUT", "ABORTED"]
    at: datetime


_FINAL_STATES = ("JobSucceeded", "JobFailed")  # the states that publish a job's final event
_JOB_NAMES = [field.alias or name for name, field in Job.model_fields.items()]


def execution_input(
    job: Job, first_stage: Stage, stages: Mapping[Stage, StageOutput] | None = None, rerun: Rerun | None = None
) -> str:
    """The state machine's data as JSON: the job, the stage to begin with, and the outputs of the stages before it.

    Equal arguments give equal text, because Step Functions treats a repeated start as the same only if the text is
    equal.
    """
    outputs = {
        stage.state_key: output.model_dump(by_alias=True, mode="json") for stage, output in (stages or {}).items()
    }
    document = {
        **job.model_dump(by_alias=True, mode="json"),
        "traceHeader": job.trace_header,
        "firstStage": first_stage.value,
        "stages": outputs,
    }
    if rerun is not None:
        document["rerun"] = rerun.model_dump(by_alias=True, mode="json")
    return json.dumps(document, sort_keys=True)


class Executions:
    """`stepfunctions` is a boto3 client. Every call is safe to repeat."""

    def __init__(self, stepfunctions: Any, pipeline_arn: str) -> None:
        self._stepfunctions, self._pipeline_arn = stepfunctions, pipeline_arn

    def begin(self, job: Job, document: str) -> bool:
        """Start the job's execution. False if an execution of that name has another input or has ended."""
        try:
            self._stepfunctions.start_execution(
                stateMachineArn=self._pipeline_arn, name=job.job_id, input=document, traceHeader=job.trace_header
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ExecutionAlreadyExists":
                raise
            return False
        return True

    def lookup(self, job_id: str) -> Execution | None:
        """None for a job that was never started, or that ended more than 90 days ago."""
        try:
            found = self._stepfunctions.describe_execution(executionArn=self._arn(job_id))
        except ClientError as error:
            if error.response["Error"]["Code"] != "ExecutionDoesNotExist":
                raise
            return None
        document, redriven_at = json.loads(found["input"]), found.get("redriveDate")
        return Execution(job_id=job_id, status=found["status"], input=document, redriven_at=redriven_at)

    def abort(self, job_id: str, error: str, cause: str) -> None:
        """End it as ABORTED, whatever it is waiting for."""
        self._stepfunctions.stop_execution(executionArn=self._arn(job_id), error=error, cause=cause)

    def final_event(self, job_id: str) -> FinalEvent:
        """Read the end of its history. Raises ClientError for an execution that AWS has deleted."""
        history = self._stepfunctions.get_execution_history(
            executionArn=self._arn(job_id), reverseOrder=True, maxResults=100, includeExecutionData=False
        )
        seen = {(event["type"], _state_of(event)) for event in history["events"]}
        if any(("TaskStateExited", state) in seen for state in _FINAL_STATES):
            return FinalEvent.SENT
        return (
            FinalEvent.STARTED
            if any(("TaskStateEntered", state) in seen for state in _FINAL_STATES)
            else FinalEvent.NOT_SENT
        )

    def oldest_running(self) -> datetime | None:
        """When the oldest running execution began; None if none is running."""
        begun: list[datetime] = []
        more: dict[str, str] = {}
        while True:
            page = self._stepfunctions.list_executions(
                stateMachineArn=self._pipeline_arn, statusFilter="RUNNING", maxResults=1000, **more
            )
            begun += [found["startDate"] for found in page["executions"]]
            if "nextToken" not in page:
                return min(begun, default=None)
            more = {"nextToken": page["nextToken"]}

    def ended_between(self, begun_after: datetime, after: datetime, before: datetime) -> Iterator[Ended]:
        """The executions that began after `begun_after` and ended without success in that time."""
        for status in get_args(Ended.model_fields["status"].annotation):
            more: dict[str, str] = {}
            while True:
                page = self._stepfunctions.list_executions(
                    stateMachineArn=self._pipeline_arn, statusFilter=status, maxResults=1000, **more
                )
                for found in page["executions"]:
                    if after <= found["stopDate"] < before:
                        yield Ended(job_id=found["name"], status=status, at=found["stopDate"])
                # newest begun first: what follows is older still
                oldest = min((found["startDate"] for found in page["executions"]), default=begun_after)
                if "nextToken" not in page or oldest <= begun_after:
                    break
                more = {"nextToken": page["nextToken"]}

    def _arn(self, job_id: str) -> str:
        return f"{self._pipeline_arn.replace(':stateMachine:', ':execution:')}:{job_id}"


def _state_of(event: Mapping[str, Any]) -> str | None:
    details = event.get("stateEnteredEventDetails") or event.get("stateExitedEventDetails") or {}
    name: str | None = details.get("name")
    return name
