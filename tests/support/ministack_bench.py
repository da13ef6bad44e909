"""What probes of a MiniStack need: functions, a bucket, and executions of small state machines."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from local.address import Address

ROLE = "arn:aws:iam::123456789012:role/states"
MAX_BYTES = 262_144
PATIENCE = 120.0  # seconds in which all executions of the patched one must end

FUNCTIONS = '''
import os
import time

import boto3

def keep(event, context):
    """Leave the token where the probe finds it."""
    key = f"{event['execution']}/{event['retryCount']}"
    boto3.client("s3").put_object(Bucket="tokens", Key=key, Body=event["token"])

def refuse(event, context):
    raise LookupError("nothing there:\\nKeyError: 'a line that looks like another error'")

def answer_twice(event, context):
    states = boto3.client("stepfunctions")
    states.send_task_success(taskToken=event["token"], output='"first"')
    try:
        states.send_task_failure(taskToken=event["token"], error="Second")
    except states.exceptions.ClientError:
        pass

def where(event, context):
    return os.path.realpath(os.environ["LAMBDA_TASK_ROOT"])

def slow(event, context):
    """Take a second, and leave a trace."""
    time.sleep(1)
    boto3.client("s3").put_object(Bucket="tokens", Key=f"slow/{event['detail']['number']}", Body=b"")

def grow(event, context):
    return "x" * event["bytes"]

def third_time(event, context):
    """Fails twice by its token."""
    states = boto3.client("stepfunctions")
    if event["retryCount"] < 2:
        states.send_task_failure(taskToken=event["token"], error="Again")
    else:
        states.send_task_success(taskToken=event["token"], output='"third"')
'''


@dataclass
class Bench:
    """One MiniStack, with the functions above.

    `patience`: seconds after which an execution that still runs counts as hanging.
    """

    address: Address
    patience: float

    def __post_init__(self) -> None:
        self.states, self.s3 = self.address.client("stepfunctions"), self.address.client("s3")
        self.s3.create_bucket(Bucket="tokens", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("code.py", "")
            archive.writestr("functions.py", FUNCTIONS)
        functions = self.address.client("lambda")
        handlers = {name: name for name in ("keep", "refuse", "answer_twice", "third_time", "where", "grow", "slow")}
        for name, handler in (handlers | {"where_too": "where", "never": "where"}).items():
            functions.create_function(
                FunctionName=name,
                Runtime="python3.11",
                Role=ROLE,
                Handler=f"functions.{handler}",
                Timeout=30,
                Code={"ZipFile": code.getvalue()},
            )
        for name, reserved in {"slow": 1, "never": 0}.items():
            functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=reserved)

    def start(self, name: str, state: dict[str, Any], machine: dict[str, Any] | None = None) -> str:
        definition = {"StartAt": "A", "States": {"A": {**state, "End": True}}, **(machine or {})}
        arn = self.states.create_state_machine(name=name, definition=json.dumps(definition), roleArn=ROLE)
        started = self.states.start_execution(
            stateMachineArn=arn["stateMachineArn"], name=name, input='{"one": 1, "long": 60, "items": [1, 2]}'
        )
        return str(started["executionArn"])

    def ended(self, execution: str) -> str:
        """The status, and the error's name if any, once the execution has ended."""
        deadline = time.monotonic() + self.patience
        while True:
            found = self.states.describe_execution(executionArn=execution)
            if found["status"] != "RUNNING" or time.monotonic() > deadline:
                return " ".join(filter(None, (found["status"], found.get("error"))))
            time.sleep(0.05)

    def token(self, name: str, retry: int = 0) -> str:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return str(self.s3.get_object(Bucket="tokens", Key=f"{name}/{retry}")["Body"].read(), "utf-8")
            except self.s3.exceptions.NoSuchKey:
                assert time.monotonic() < deadline, f"no token of {name}"
                time.sleep(0.05)

    def refusal(self, call: Callable[..., Any], **arguments: Any) -> str:
        try:
            call(**arguments)
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "accepted"
