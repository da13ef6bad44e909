"""Stand-ins for the AWS services that moto does not simulate accurately: SageMaker jobs and Step Functions callbacks.

They keep state, refuse what AWS refuses with the same botocore ClientError, and accept requests only in the form that
botocore's own service model allows. Nothing ends by itself: the test decides when a job starts, fails or completes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Literal

import botocore.session
from botocore.exceptions import ClientError
from botocore.validate import validate_parameters

from domain.sagemaker_requests import quota_of
from tests.support.events import sample_event, sample_names

__all__ = ["FakeJob", "FakeSageMaker", "FakeStepFunctions", "aws_error", "sample_event", "sample_names"]

Kind = Literal["Processing", "Training"]
EPOCH = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
RUNNING = ("InProgress", "Stopping")
ACCOUNT = "arn:aws:{service}:eu-west-1:123456789012"


def aws_error(code: str, operation: str, message: str = "") -> ClientError:
    """The exception that boto3 raises when AWS answers with `code`."""
    return ClientError({"Error": {"Code": code, "Message": message or code}}, operation)


@cache
def _service(name: str) -> Any:
    return botocore.session.get_session().get_service_model(name)


def _check(service: str, operation: str, arguments: Mapping[str, Any]) -> None:
    """Raises botocore's ParamValidationError for a request that boto3 itself would not send."""
    validate_parameters(dict(arguments), _service(service).operation_model(operation).input_shape)


MAX_DATA_BYTES = 262_144


def check_data(text: str, operation: str) -> None:
    """Raises what Step Functions answers to an input or output above its quota.

    https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
    """
    if len(text.encode()) > MAX_DATA_BYTES:
        code = "InvalidOutput" if operation == "SendTaskSuccess" else "ValidationException"
        raise aws_error(code, operation, f"the data is longer than {MAX_DATA_BYTES} bytes")


def check_entries(entries: Sequence[Mapping[str, Any]]) -> None:
    """Raises what EventBridge answers to entries that are too large in total.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html
    """
    if (
        sum(len(entry[part].encode()) for entry in entries for part in ("Source", "DetailType", "Detail"))
        > MAX_DATA_BYTES
    ):
        raise aws_error(
            "ValidationException", "PutEvents", "Total size of the entries in the request is over the limit."
        )


@dataclass
class FakeJob:
    """A SageMaker job. `said`: whatever else Describe returns: FailureReason, ExitMessage, … `moves`: a training job's
    secondary statuses, each with its start time."""

    kind: Kind
    request: dict[str, Any]
    status: str = "InProgress"
    said: dict[str, Any] = field(default_factory=dict)
    started_at: datetime | None = None
    ended_at: datetime | None = None
    created_at: datetime = EPOCH
    moves: list[tuple[str, datetime]] = field(default_factory=list)

    @property
    def name(self) -> str:
        name: str = self.request[f"{self.kind}JobName"]
        return name

    def described(self) -> dict[str, Any]:
        times = {f"{self.kind}StartTime": self.started_at, f"{self.kind}EndTime": self.ended_at}
        if self.kind == "Training" and self.moves:
            moves = [{"Status": status, "StartTime": at, "StatusMessage": ""} for status, at in self.moves]
            progress = {"SecondaryStatus": self.moves[-1][0], "SecondaryStatusTransitions": moves}
        else:
            progress = {}
        return {
            **self.request,
            f"{self.kind}JobStatus": self.status,
            "CreationTime": self.created_at,
            **{name: time for name, time in times.items() if time is not None},
            **progress,
            **self.said,
        }


class FakeSageMaker:
    """The part of boto3's SageMaker client that the pipeline calls.

    `jobs`: every job by name; `created`, `stopped`: names in the order of successful calls.
    `refuse_next(...)`: the next Create fails with that error code and creates nothing. `quota`: how many jobs may run
    at once of each kind, instance type and purchase. `clock`: when jobs are created and change.
    """

    def __init__(self) -> None:
        self.clock: Callable[[], datetime] = lambda: EPOCH
        self.jobs: dict[str, FakeJob] = {}
        self.created: list[str] = []
        self.stopped: list[str] = []
        self.quota: int | None = None
        self._refusals: list[tuple[str, str]] = []

    # what SageMaker does by itself

    def refuse_next(self, code: str = "ResourceLimitExceeded", message: str = "") -> None:
        self._refusals.append((code, message))

    def start(self, name: str, after_seconds: float = 0) -> None:
        job = self.jobs[name]
        job.started_at = self.clock() + timedelta(seconds=after_seconds)
        job.moves.append(("Training", job.started_at))

    def wait(self, name: str, status: str = "Pending") -> None:
        """The training job waits for its machine; as Interrupted, for another one after its Spot machine was taken
        away."""
        self.jobs[name].moves.append((status, self.clock()))

    def end_waiting(self, name: str, **said: str) -> None:
        """The job ends as Stopped without a machine: it was asked to stop, or has waited as long as it may."""
        job = self.jobs[name]
        job.status, job.said = "Stopped", {**job.said, **said}
        job.moves.append((said.get("SecondaryStatus", "Stopped"), self.clock()))

    def complete(self, name: str, seconds: float = 60) -> None:
        self._end(name, "Completed", seconds, {})

    def fail(self, name: str, seconds: float = 60, **said: str) -> None:
        """`said`: FailureReason, ExitMessage, SecondaryStatus."""
        self._end(name, "Failed", seconds, said)

    def end_stopped(self, name: str, seconds: float = 60, **said: str) -> None:
        self._end(name, "Stopped", seconds, said)

    def _end(self, name: str, status: str, seconds: float, said: dict[str, Any]) -> None:
        job = self.jobs[name]
        if job.started_at is None:
            job.started_at = self.clock()
            job.moves.append(("Training", job.started_at))
        job.ended_at = job.started_at + timedelta(seconds=seconds)
        job.moves.append((said.get("SecondaryStatus", status), job.ended_at))
        job.status, job.said = status, {**job.said, **said}

    # boto3's own calls

    def create_processing_job(self, **request: Any) -> dict[str, Any]:
        return self._create("Processing", request)

    def create_training_job(self, **request: Any) -> dict[str, Any]:
        return self._create("Training", request)

    def describe_processing_job(self, **request: Any) -> dict[str, Any]:
        return self._find("Processing", "Describe", request).described()

    def describe_training_job(self, **request: Any) -> dict[str, Any]:
        return self._find("Training", "Describe", request).described()

    def stop_processing_job(self, **request: Any) -> dict[str, Any]:
        return self._stop("Processing", request)

    def stop_training_job(self, **request: Any) -> dict[str, Any]:
        return self._stop("Training", request)

    def _create(self, kind: Kind, request: dict[str, Any]) -> dict[str, Any]:
        operation = f"Create{kind}Job"
        _check("sagemaker", operation, request)
        if self._refusals:
            code, message = self._refusals.pop(0)
            raise aws_error(code, operation, message)
        job = FakeJob(kind, request, created_at=self.clock(), moves=[("Starting", self.clock())])
        if job.name in self.jobs:
            raise aws_error("ResourceInUse", operation, "Job name must be unique within an AWS account and region")
        running = sum(
            other.status in RUNNING and quota_of(other.request) == quota_of(request) for other in self.jobs.values()
        )
        if self.quota is not None and running >= self.quota:
            raise aws_error("ResourceLimitExceeded", operation)
        self.jobs[job.name] = job
        self.created.append(job.name)
        return {f"{kind}JobArn": f"{ACCOUNT.format(service='sagemaker')}:{kind.lower()}-job/{job.name}"}

    def _find(self, kind: Kind, verb: str, request: dict[str, Any]) -> FakeJob:
        operation = f"{verb}{kind}Job"
        _check("sagemaker", operation, request)
        job = self.jobs.get(request[f"{kind}JobName"])
        if job is None or job.kind != kind:
            message = "Could not find requested job with name: " + request[f"{kind}JobName"]
            raise aws_error("ValidationException", operation, message)
        return job

    def _stop(self, kind: Kind, request: dict[str, Any]) -> dict[str, Any]:
        job = self._find(kind, "Stop", request)
        if job.status != "InProgress":
            message = f"The request was rejected because the {kind.lower()} job is in status {job.status}."
            raise aws_error("ValidationException", f"Stop{kind}Job", message)
        job.status = "Stopping"
        job.moves.append(("Stopping", self.clock()))
        self.stopped.append(job.name)
        return {}


@dataclass
class FakeExecution:
    """`states`: the names of the states that it entered; it left all of them but the last, and the last one, too, if
    the execution ended with it."""

    input: dict[str, Any]
    status: str = "RUNNING"
    error: str | None = None
    states: list[str] = field(default_factory=list)
    started_at: datetime = EPOCH
    stopped_at: datetime = EPOCH
    trace_header: str | None = None
    redriven_at: datetime | None = None

    def history(self) -> list[dict[str, Any]]:
        """Newest first."""
        events: list[dict[str, Any]] = []
        for number, name in enumerate(self.states, start=1):
            events.append({"type": "TaskStateEntered", "stateEnteredEventDetails": {"name": name}})
            if number < len(self.states):
                events.append({"type": "TaskStateExited", "stateExitedEventDetails": {"name": name}})
        return events[::-1]


class FakeStepFunctions:
    """The part of boto3's Step Functions client that the functions call.

    A task token is valid until it is answered, times out (`time_out`), or is invalidated (`invalidate`). `answers`:
    every accepted SendTask* call as (token, call, its other arguments). `executions`: by name.
    """

    def __init__(self) -> None:
        self.executions: dict[str, FakeExecution] = {}
        self.answers: list[tuple[str, str, dict[str, Any]]] = []
        self._gone: dict[str, str] = {}

    # what Step Functions does by itself

    def time_out(self, token: str) -> None:
        self._gone[token] = "TaskTimedOut"

    def invalidate(self, token: str) -> None:
        self._gone[token] = "InvalidToken"

    def forget_task(self, token: str) -> None:
        """The task's execution has ended, and its token is no longer valid."""
        self._gone[token] = "TaskDoesNotExist"

    def successes(self, token: str) -> list[dict[str, Any]]:
        """The outputs that the token's task was given; at most one."""
        return [json.loads(said["output"]) for who, call, said in self.answers if (who, call) == (token, "success")]

    def failures(self, token: str) -> list[str]:
        """The error codes that the token's task was given; at most one."""
        return [said["error"] for who, call, said in self.answers if (who, call) == (token, "failure")]

    def heartbeats(self, token: str) -> int:
        return sum((who, call) == (token, "heartbeat") for who, call, _ in self.answers)

    # boto3's own calls

    def send_task_success(self, **arguments: Any) -> dict[str, Any]:
        return self._answer("success", "SendTaskSuccess", arguments, ends=True)

    def send_task_failure(self, **arguments: Any) -> dict[str, Any]:
        return self._answer("failure", "SendTaskFailure", arguments, ends=True)

    def send_task_heartbeat(self, **arguments: Any) -> dict[str, Any]:
        return self._answer("heartbeat", "SendTaskHeartbeat", arguments, ends=False)

    def start_execution(self, **arguments: Any) -> dict[str, Any]:
        """Step Functions accepts the same name and input again while that execution runs."""
        _check("stepfunctions", "StartExecution", arguments)
        check_data(arguments["input"], "StartExecution")
        name, document = arguments["name"], json.loads(arguments["input"])
        known = self.executions.get(name)
        if known is not None and (known.status != "RUNNING" or known.input != document):
            raise aws_error("ExecutionAlreadyExists", "StartExecution")
        self.executions.setdefault(name, FakeExecution(document, trace_header=arguments.get("traceHeader")))
        return {"executionArn": self.arn_of(name), "startDate": EPOCH}

    def describe_execution(self, **arguments: Any) -> dict[str, Any]:
        _check("stepfunctions", "DescribeExecution", arguments)
        name = arguments["executionArn"].rsplit(":", 1)[-1]
        if name not in self.executions:
            raise aws_error("ExecutionDoesNotExist", "DescribeExecution")
        execution = self.executions[name]
        error = {} if execution.error is None else {"error": execution.error}
        return {
            "executionArn": arguments["executionArn"],
            "name": name,
            "status": execution.status,
            "input": json.dumps(execution.input),
            **({} if execution.redriven_at is None else {"redriveDate": execution.redriven_at}),
            **error,
        }

    def get_execution_history(self, **arguments: Any) -> dict[str, Any]:
        _check("stepfunctions", "GetExecutionHistory", arguments)
        name = arguments["executionArn"].rsplit(":", 1)[-1]
        if name not in self.executions:
            raise aws_error("ExecutionDoesNotExist", "GetExecutionHistory")
        assert arguments["reverseOrder"], "the fake knows no other order"
        return {"events": self.executions[name].history()[: arguments["maxResults"]]}

    def list_executions(self, **arguments: Any) -> dict[str, Any]:
        """In pages of two, newest first."""
        _check("stepfunctions", "ListExecutions", arguments)
        found = [(n, e) for n, e in self.executions.items() if e.status == arguments["statusFilter"]]
        found.sort(key=lambda one: one[1].started_at, reverse=True)
        start = int(arguments.get("nextToken", 0))
        page = [{"name": n, "startDate": e.started_at, "stopDate": e.stopped_at} for n, e in found[start : start + 2]]
        more = {"nextToken": str(start + 2)} if start + 2 < len(found) else {}
        return {"executions": page, **more}

    def stop_execution(self, **arguments: Any) -> dict[str, Any]:
        _check("stepfunctions", "StopExecution", arguments)
        name = arguments["executionArn"].rsplit(":", 1)[-1]
        if name not in self.executions:
            raise aws_error("ExecutionDoesNotExist", "StopExecution")
        execution = self.executions[name]
        if execution.status == "RUNNING":
            execution.status, execution.error = "ABORTED", arguments.get("error")
        return {"stopDate": EPOCH}

    @staticmethod
    def arn_of(name: str) -> str:
        return f"{ACCOUNT.format(service='states')}:execution:spaceport-dev:{name}"

    def _answer(self, call: str, operation: str, arguments: dict[str, Any], ends: bool) -> dict[str, Any]:
        _check("stepfunctions", operation, arguments)
        check_data(arguments.get("output", ""), operation)
        token = arguments["taskToken"]
        if token in self._gone:
            raise aws_error(self._gone[token], operation)
        self.answers.append((token, call, {name: value for name, value in arguments.items() if name != "taskToken"}))
        if ends:
            self._gone[token] = "TaskTimedOut"  # what Step Functions answers for a task that has ended
        return {}
