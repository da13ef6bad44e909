"""Failures injected into the whole control plane, and the output of `scripts.job` about each: the command and
docs/runbook.md must suffice, without reading the code."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contract.codes import ErrorCode
from contract.stages import Stage
from domain.observability import logger
from scripts.job import story
from tests.support.archives import SIX_PHOTOS
from tests.support.cloud import STACK, Cloud, cloud_of, invoke
from tests.support.events import sample_event
from tests.support.fakes import FakeExecution, aws_error
from tests.support.runs import JOB_ID, ask_for, job_changed, job_name, output_of

RUNBOOK = (Path(__file__).parents[3] / "docs" / "runbook.md").read_text(encoding="utf-8")
ON_CALL = re.sub(r"\s+", " ", RUNBOOK.partition("## On call")[2].partition("\n## ")[0])
QUOTA = "ml.g4dn.xlarge for spot training job usage"
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")


class FunctionLogs:
    """CloudWatch Logs: what the functions' own logger wrote, in the template's log group, and no container logs."""

    def __init__(self) -> None:
        self._lines = io.StringIO()
        self.handler = logging.StreamHandler(self._lines)
        self.handler.setFormatter(logger.registered_formatter)

    def describe_log_streams(self, **_: Any) -> dict[str, Any]:
        raise aws_error("ResourceNotFoundException", "DescribeLogStreams")

    def filter_log_events(self, logGroupName: str, filterPattern: str, **_: Any) -> dict[str, Any]:
        assert logGroupName == "function-logs"
        lines = [line for line in self._lines.getvalue().splitlines() if filterPattern.strip('"') in line]
        return {"events": [{"timestamp": 1_777_000_000_000, "message": line} for line in lines]}


class Account:
    """The boto3 session of an operator."""

    def __init__(self, cloud: Cloud, logs: FunctionLogs) -> None:
        self._cloud, self._logs = cloud, logs

    def client(self, service: str) -> Any:
        own = {"logs": self._logs, "cloudformation": Resources(), "stepfunctions": History(self._cloud)}
        return own.get(service) or self._cloud.client(service)

    def resource(self, service: str) -> Any:
        return self._cloud.resource(service)


class Resources:
    def get_paginator(self, _: str) -> Any:
        return self

    def paginate(self, StackName: str) -> list[dict[str, Any]]:
        assert StackName == STACK
        names = {"JobsTable": "jobs", "StageRunsTable": "stage-runs", "FunctionLogs": "function-logs"}
        names["Pipeline"] = "arn:aws:states:eu-west-1:123456789012:stateMachine:spaceport-dev"
        pairs = [{"LogicalResourceId": name, "PhysicalResourceId": value} for name, value in names.items()]
        return [{"StackResourceSummaries": pairs}]


class History:
    """Step Functions' history of an execution: the answers to its tasks."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def describe_execution(self, executionArn: str) -> dict[str, Any]:
        name = executionArn.rpartition(":")[2]
        if name not in self._cloud.stepfunctions.executions:
            raise aws_error("ExecutionDoesNotExist", "DescribeExecution")
        return {"status": "FAILED", "startDate": FakeExecution({}).started_at}

    def get_paginator(self, _: str) -> Any:
        return self

    def paginate(self, executionArn: str) -> list[dict[str, Any]]:
        failed = [said for _, call, said in self._cloud.stepfunctions.answers if call == "failure"]
        at = FakeExecution({}).started_at
        events = [{"type": "TaskFailed", "timestamp": at, "taskFailedEventDetails": said} for said in failed]
        return [{"events": events}]


def delivered(event: dict[str, Any]) -> dict[str, Any]:
    """A status event as EventBridge passes it to a function: with the fields that moto omits."""
    return sample_event("status/job-failed") | event


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with cloud_of(monkeypatch) as fresh:
        fresh.stepfunctions.executions[JOB_ID] = FakeExecution({}, status="FAILED")
        yield fresh


@pytest.fixture
def account(cloud: Cloud) -> Iterator[Account]:
    logs = FunctionLogs()
    logger.addHandler(logs.handler)
    yield Account(cloud, logs)
    logger._logger.removeHandler(logs.handler)


def told(account: Account, job_id: str = JOB_ID) -> str:
    return "\n".join(story(account, STACK, job_id))


def explained(word: str) -> bool:
    """Whether the runbook's section for people on call says what to do about it."""
    return f"`{word}`" in ON_CALL


def test_a_quota_of_zero(cloud: Cloud, account: Account) -> None:
    message = f"The account-level service limit '{QUOTA}' is 0 Instances, with current utilization of 0 Instances."
    cloud.sagemaker.refuse_next("ResourceLimitExceeded", message)
    invoke("run_stage", ask_for(Stage.TRAINING))
    assert cloud.stepfunctions.failures("token-1") == [ErrorCode.NO_QUOTA]
    said = told(account)
    attempts = said.partition("── attempts")[2].partition("── functions")[0]
    assert "NO_QUOTA: The kind of machine" in attempts
    assert QUOTA in attempts
    assert "stage run not started" in said
    assert explained("NO_QUOTA")


def test_a_quota_of_zero_that_shows_while_the_run_waits(cloud: Cloud, account: Account) -> None:
    cloud.sagemaker.quota = 0
    invoke("run_stage", ask_for(Stage.TRAINING))
    cloud.sagemaker.quota = None
    message = f"The account-level service limit '{QUOTA}' is 0 Instances, with current utilization of 0 Instances."
    cloud.sagemaker.refuse_next("ResourceLimitExceeded", message)
    invoke("dispatch", sample_event("dispatch/scheduled"))
    assert cloud.stepfunctions.failures("token-1") == [ErrorCode.NO_QUOTA]
    assert QUOTA in told(account).partition("── attempts")[2].partition("── functions")[0]


def test_a_request_that_sagemaker_refuses(cloud: Cloud, account: Account) -> None:
    """The customer sees INTERNAL without a reason."""
    cloud.sagemaker.quota = 0
    invoke("run_stage", ask_for(Stage.TRAINING))
    cloud.sagemaker.quota = None
    cloud.sagemaker.refuse_next("ValidationException", "image does not exist in the registry")
    invoke("dispatch", sample_event("dispatch/scheduled"))
    assert "image does not exist in the registry" in told(account).partition("── attempts")[2]


def test_memory_that_ran_out_twice(cloud: Cloud, account: Account) -> None:
    for attempt in (1, 2):
        invoke("run_stage", ask_for(Stage.TRAINING, f"token-{attempt}"))
        cloud.sagemaker.start(job_name(Stage.TRAINING, attempt))
        reason = "AlgorithmError: OUT_OF_MEMORY: CUDA out of memory at step 900, exit code: 1"
        cloud.sagemaker.fail(job_name(Stage.TRAINING, attempt), 900, FailureReason=reason)
        invoke("report_stage", job_changed(Stage.TRAINING, attempt, status="Failed"))
    attempts = told(account).partition("── attempts")[2].partition("── functions")[0]
    assert attempts.count("CUDA out of memory at step 900") == 4  # as recorded, and as SageMaker reports it
    assert "on ml.g4dn.xlarge" in attempts
    assert re.search(r"-3dgs-2 .*\"gaussianDivisor\": \"?2", attempts)
    assert explained("OUT_OF_MEMORY")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"[]", "RESULT_DAMAGED"),
        (b'{"version": 1, "stage": "sfm"', "RESULT_DAMAGED"),
        (None, "completed without s3://"),
    ],
    ids=["no result", "cut off", "missing"],
)
def test_a_damaged_result(cloud: Cloud, account: Account, body: bytes | None, reason: str) -> None:
    invoke("run_stage", ask_for())
    if body is not None:
        cloud.put(f"{output_of()}/result.json", body)
    cloud.sagemaker.complete(job_name())
    invoke("report_stage", job_changed())
    said = told(account)
    (described,) = (line for line in said.splitlines() if "stage run described" in line)
    noted = said.partition("── attempts")[2].partition("── functions")[0]
    wanted = "An earlier result has changed" if body is not None else reason
    assert wanted in described
    assert wanted in noted
    assert (ErrorCode.RESULT_DAMAGED if body is not None else ErrorCode.INTERNAL) in described
    assert explained("RESULT_DAMAGED")


def test_an_upload_that_may_not_be_read(cloud: Cloud, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    event = cloud.upload("meadow.zip", SIX_PHOTOS, email="pilot@example.com")

    def refuse(**_: Any) -> None:
        raise aws_error("AccessDenied", "GetObject", "not authorized to perform: kms:Decrypt")

    with monkeypatch.context() as patch:
        patch.setattr(cloud.s3, "get_object", refuse)
        job_id = invoke("start_job", event)["jobId"]
    for status in cloud.heard():
        invoke("track_progress", delivered(status))
    said = told(account, job_id)
    assert "REJECTED" in said
    assert "UNREADABLE" in said
    assert "AccessDenied" in said
    assert "objectKey: meadow.zip" in said
    assert "no execution" in said
    assert explained("UNREADABLE")


def test_a_mail_that_ses_refuses(cloud: Cloud, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = invoke("start_job", cloud.upload("meadow.zip", b"no archive", email="pilot@example.com"))["jobId"]
    (rejected,) = cloud.heard()

    def refuse(**_: Any) -> None:
        raise aws_error("MessageRejected", "SendEmail", "Email address is not verified: pilot@example.com")

    monkeypatch.setattr(cloud.ses, "send_email", refuse)
    with pytest.raises(Exception, match="MessageRejected"):
        invoke("notify", delivered(rejected))
    said = told(account, job_id)
    functions = said.partition("── functions")[2]
    assert "the function failed" in functions
    assert "Email address is not verified" in functions
    assert explained("MessageRejected")


@pytest.mark.parametrize("address", ["", "pilot@example.com"])
def test_a_mail_that_nobody_sent_says_why(cloud: Cloud, account: Account, address: str) -> None:
    metadata = {"email": address} if address else {}
    job_id = invoke("start_job", cloud.upload("meadow.zip", b"no archive", **metadata))["jobId"]
    (rejected,) = cloud.heard()
    if address:
        cloud.table("mailboxes").put_item(Item={"address": address, "key": "k", "closed": "BOUNCED"})
    invoke("notify", delivered(rejected))
    assert ("the mailbox is closed: BOUNCED" if address else "the job has no address") in told(account, job_id)


def test_a_function_that_raises_is_found_by_its_job(cloud: Cloud, account: Account) -> None:
    """Lambda's own record of an exception does not name the job."""
    event = sample_event("deliver/full")
    with pytest.raises(Exception, match=r".+") as raised:
        invoke("deliver", event)
    said = told(account, event["jobId"])
    assert "the function failed" in said
    assert f"{type(raised.value).__name__}: {raised.value}" in said


def test_every_handler_logs_what_it_raises_with_the_keys_of_its_job() -> None:
    """The API answers its own faults, and logs them there."""
    folder = Path(__file__).parents[3] / "functions"
    sources = {path.parent.name: path.read_text(encoding="utf-8") for path in folder.glob("*/handler.py")}
    assert {name for name, text in sources.items() if "\n@log_faults\n" not in text} == {"api"}
