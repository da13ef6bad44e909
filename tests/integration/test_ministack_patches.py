"""Each patch of local/patches.py is needed, and works.

Every probe runs on MiniStack as it comes and on the patched one. The patched one must do what AWS does. The plain one
must not: when a new MiniStack does, its test fails here, and the patch goes.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.address import Address, free_ports, get
from local.cloud import attached_cloud
from local.server import server_environment

ROLE = "arn:aws:iam::123456789012:role/states"
CALLBACK = "arn:aws:states:::lambda:invoke.waitForTaskToken"
HANGING = 12.0  # seconds after which an execution of the plain MiniStack counts as hanging
MAX_BYTES = 262_144
PATIENCE = 120.0  # seconds that the patched one has: it is to end them all

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
class Probes:
    """One MiniStack, with the functions above, and the probes that look at it.

    `patience`: seconds until an execution that still runs counts as hanging.
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
        """The status, and the error's name if it has one, once it runs no more."""
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

    # one method a probe; its name is the probe's

    def heartbeat(self) -> str:
        execution = self.start("heartbeat", callback("keep", HeartbeatSeconds=1))
        self.token("heartbeat")
        return self.ended(execution)

    def heartbeat_path(self) -> str:
        execution = self.start("heartbeat_path", callback("keep", HeartbeatSecondsPath="$.one"))
        self.token("heartbeat_path")
        return self.ended(execution)

    def timeout_path(self) -> str:
        execution = self.start("timeout_path", callback("keep", TimeoutSecondsPath="$.one"))
        self.token("timeout_path")
        return self.ended(execution)

    def function_error(self) -> str:
        return self.ended(self.start("function_error", callback("refuse", TimeoutSeconds=60))).split()[0]

    def error_type(self) -> str:
        task = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke"}
        execution = self.start("error_type", {**task, "Parameters": {"FunctionName": "refuse", "Payload": {}}})
        return self.ended(execution)

    def token_per_attempt(self) -> int:
        again = [{"ErrorEquals": ["Again"], "IntervalSeconds": 1, "MaxAttempts": 1}]
        self.start("token_per_attempt", callback("keep", Retry=again))
        first = self.token("token_per_attempt")
        self.states.send_task_failure(taskToken=first, error="Again")
        return len({first, self.token("token_per_attempt", retry=1)})

    def first_answer(self) -> str:
        return self.ended(self.start("first_answer", callback("answer_twice")))

    def closed_token(self) -> str:
        execution = self.start("closed_token", callback("keep"))
        token = self.token("closed_token")
        self.states.send_task_success(taskToken=token, output="{}")
        self.ended(execution)
        return self.refusal(self.states.send_task_success, taskToken=token, output="{}")

    def longest_delay(self) -> str:
        again = [{"ErrorEquals": ["Again"], "IntervalSeconds": 1, "BackoffRate": 30, "MaxDelaySeconds": 2}]
        return self.ended(self.start("longest_delay", callback("third_time", Retry=again)))

    def machine_timeout(self) -> str:
        execution = self.start("machine_timeout", callback("keep"), {"TimeoutSeconds": 2})
        return self.ended(execution)

    def stopped(self) -> tuple[str, str]:
        execution = self.start("stopped", callback("keep"))
        token = self.token("stopped")
        self.states.stop_execution(executionArn=execution, error="Stopped", cause="by hand")
        refusal = self.refusal(self.states.send_task_failure, taskToken=token, error="Late")
        time.sleep(0.5)
        return self.ended(execution), refusal

    def long_input(self) -> str:
        arn = self.states.create_state_machine(name="long", definition=json.dumps(NOTHING), roleArn=ROLE)
        machine = arn["stateMachineArn"]
        self.states.start_execution(stateMachineArn=machine, name="fits", input=json.dumps("x" * (MAX_BYTES - 2)))
        return self.refusal(
            self.states.start_execution, stateMachineArn=machine, name="long", input=json.dumps("x" * (MAX_BYTES - 1))
        )

    def long_output(self) -> str:
        self.start("long_output", callback("keep"))
        token = self.token("long_output")
        return self.refusal(self.states.send_task_success, taskToken=token, output=json.dumps("x" * (MAX_BYTES - 1)))

    def long_data(self) -> str:
        """A result that fits by itself, and does not beside what is there; no Catch takes the error."""
        task = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "ResultPath": "$.result"}
        given = {"FunctionName": "grow", "Payload": {"bytes": MAX_BYTES - 20}}
        caught = [{"ErrorEquals": ["States.ALL"], "Next": "A"}]
        execution = self.start(
            "long_data",
            {**task, "Parameters": given, "ResultSelector": {"grown.$": "$.Payload"}, "Catch": caught},
        )
        return self.ended(execution)

    def long_event(self) -> str:
        entry = {"Source": "probe", "DetailType": "probe", "Detail": json.dumps({"x": "y" * MAX_BYTES})}
        return self.refusal(self.address.client("events").put_events, Entries=[entry])

    def refused_call(self) -> str:
        """A state's function of which Lambda runs none at all."""
        task = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke"}
        return self.ended(self.start("refused_call", {**task, "Parameters": {"FunctionName": "never", "Payload": {}}}))

    def refused_events(self) -> int:
        """Events for a function of which Lambda runs one at a time: how many it has taken in the end."""
        events, arn = self.address.client("events"), "arn:aws:lambda:eu-west-1:123456789012:function:slow"
        events.put_rule(Name="slow", EventPattern='{"source": ["slow"]}')
        events.put_targets(Rule="slow", Targets=[{"Id": "slow", "Arn": arn}])
        for number in range(8):
            events.put_events(Entries=[{"Source": "slow", "DetailType": "x", "Detail": json.dumps({"number": number})}])
        deadline = time.monotonic() + self.patience
        while (taken := self.s3.list_objects_v2(Bucket="tokens", Prefix="slow/")["KeyCount"]) < 8:
            if time.monotonic() > deadline:
                break
            time.sleep(0.2)
        return int(taken)

    def stopped_map(self) -> str:
        """What becomes of the first item's token after a stop, and whether the second item starts."""
        execution = self.start("stopped_map", map_of(at_once=1))
        token = self.token("stopped_map-1")
        self.states.stop_execution(executionArn=execution, error="Stopped", cause="by hand")
        refusal = self.refusal(self.states.send_task_success, taskToken=token, output="{}")
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            if self.s3.list_objects_v2(Bucket="tokens", Prefix="stopped_map-2/")["KeyCount"]:
                return f"{refusal}, and the next item starts"
            time.sleep(0.05)
        return refusal

    def sibling_of_a_failed_item(self) -> str:
        execution = self.start("sibling", map_of(at_once=2))
        first, second = (self.token(f"sibling-{item}") for item in (1, 2))
        self.states.send_task_failure(taskToken=first, error="Lost")
        ended = self.ended(execution)
        return f"{ended}, {self.refusal(self.states.send_task_success, taskToken=second, output='{}')}"

    def folders_of_one_bundle(self) -> int:
        """Two functions of the same code."""
        functions = self.address.client("lambda")
        answers = [functions.invoke(FunctionName=name)["Payload"].read() for name in ("where", "where_too")]
        return len(set(answers))

    def api_of_a_stack(self) -> list[str]:
        """The routes of an HTTP API that a stack describes by OpenAPI, each with its kind of authorization."""
        arn = self.address.client("lambda").get_function(FunctionName="where")["Configuration"]["FunctionArn"]
        integration = {"type": "aws_proxy", "httpMethod": "POST", "uri": arn, "payloadFormatVersion": "2.0"}
        authorizer = {
            "type": "jwt",
            "identitySource": "$request.header.Authorization",
            "jwtConfiguration": {"issuer": "https://issuer.example.com", "audience": ["us"]},
        }
        body = {
            "openapi": "3.0.1",
            "info": {"title": "probe", "version": "1"},
            "paths": {
                "/open": {"get": {"x-amazon-apigateway-integration": integration}},
                "/mine": {"get": {"x-amazon-apigateway-integration": integration, "security": [{"token": []}]}},
            },
            "components": {
                "securitySchemes": {"token": {"type": "oauth2", "x-amazon-apigateway-authorizer": authorizer}}
            },
        }
        resources = {"Probed": {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"Body": body}}}
        cloudformation, gateway = self.address.client("cloudformation"), self.address.client("apigatewayv2")
        cloudformation.create_stack(StackName="probe", TemplateBody=json.dumps({"Resources": resources}))
        cloudformation.get_waiter("stack_create_complete").wait(StackName="probe", WaiterConfig={"Delay": 1})
        (api,) = gateway.get_apis()["Items"]
        routes = gateway.get_routes(ApiId=api["ApiId"])["Items"]
        return sorted(f"{route['RouteKey']} {route['AuthorizationType']}" for route in routes)

    def archive_of_a_stack(self) -> str:
        """How a stack fares that has an archive of its bus."""
        bus: dict[str, Any] = {"Type": "AWS::Events::EventBus", "Properties": {"Name": "archived"}}
        source = {"SourceArn": {"Fn::GetAtt": ["Bus", "Arn"]}, "EventPattern": {"source": ["x"]}, "RetentionDays": 3}
        resources = {"Bus": bus, "Kept": {"Type": "AWS::Events::Archive", "Properties": source}}
        cloudformation = self.address.client("cloudformation")
        try:
            cloudformation.create_stack(StackName="archive", TemplateBody=json.dumps({"Resources": resources}))
        except ClientError as error:
            return str(error.response["Error"]["Message"])
        while (stack := cloudformation.describe_stacks(StackName="archive")["Stacks"][0])["StackStatus"].endswith(
            "_IN_PROGRESS"
        ):
            time.sleep(0.1)
        return str(stack["StackStatus"])

    def version_of_an_event(self) -> bool:
        """Whether S3 tells EventBridge of the very version that it answered."""
        sqs, events = self.address.client("sqs"), self.address.client("events")
        queue = sqs.create_queue(QueueName="s3-events")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        events.put_rule(Name="s3", EventPattern='{"source": ["aws.s3"]}')
        events.put_targets(Rule="s3", Targets=[{"Id": "queue", "Arn": arn}])
        self.s3.create_bucket(Bucket="versions", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        self.s3.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
        self.s3.put_bucket_notification_configuration(
            Bucket="versions", NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        version = self.s3.put_object(Bucket="versions", Key="a", Body=b"abcdef")["VersionId"]
        (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=10)["Messages"]
        return bool(json.loads(message["Body"])["detail"]["object"].get("version-id") == version)

    def range_of_a_version(self) -> str:
        self.s3.create_bucket(Bucket="ranges", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        self.s3.put_bucket_versioning(Bucket="ranges", VersioningConfiguration={"Status": "Enabled"})
        version = self.s3.put_object(Bucket="ranges", Key="a", Body=b"abcdef")["VersionId"]
        part = self.s3.get_object(Bucket="ranges", Key="a", VersionId=version, Range="bytes=1-2")
        return str(part["Body"].read(), "utf-8")

    def refusal(self, call: Callable[..., Any], **arguments: Any) -> str:
        try:
            call(**arguments)
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "accepted"


def callback(function: str, **more: Any) -> dict[str, Any]:
    payload = {"token.$": "$$.Task.Token", "execution.$": "$$.Execution.Name", "retryCount.$": "$$.State.RetryCount"}
    return {"Type": "Task", "Resource": CALLBACK, "Parameters": {"FunctionName": function, "Payload": payload}, **more}


def map_of(at_once: int) -> dict[str, Any]:
    """A Map over two items, each of which leaves its token."""
    item = callback("keep")
    item["Parameters"]["Payload"]["execution.$"] = "States.Format('{}-{}', $$.Execution.Name, $$.Map.Item.Value)"
    processor = {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": "I", "States": {"I": {**item, "End": True}}}
    return {"Type": "Map", "ItemsPath": "$.items", "MaxConcurrency": at_once, "ItemProcessor": processor}


NOTHING = {"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}
ON_AWS = {
    "long_input": "ValidationException",
    "long_output": "InvalidOutput",
    "long_data": "FAILED States.DataLimitExceeded",
    "long_event": "ValidationException",
    "refused_call": "FAILED Lambda.TooManyRequestsException",
    "refused_events": 8,
    "heartbeat": "FAILED States.HeartbeatTimeout",
    "heartbeat_path": "FAILED States.HeartbeatTimeout",
    "timeout_path": "FAILED States.Timeout",
    "function_error": "FAILED",
    "error_type": "FAILED LookupError",
    "token_per_attempt": 2,
    "first_answer": "SUCCEEDED",
    "closed_token": "TaskTimedOut",
    "longest_delay": "SUCCEEDED",
    "machine_timeout": "TIMED_OUT",
    "stopped": ("ABORTED Stopped", "TaskTimedOut"),
    "stopped_map": "TaskTimedOut",
    "sibling_of_a_failed_item": "FAILED Lost, TaskTimedOut",
    "folders_of_one_bundle": 1,
    "version_of_an_event": True,
    "range_of_a_version": "bc",
    "archive_of_a_stack": "CREATE_COMPLETE",
    "api_of_a_stack": ["GET /mine JWT", "GET /open NONE"],
}


def observe(address: Address, patience: float) -> dict[str, Any]:
    probes = Probes(address, patience)
    with ThreadPoolExecutor(4) as pool:
        running = {name: pool.submit(getattr(probes, name)) for name in ON_AWS}
        return {name: future.result() for name, future in running.items()}


@contextmanager
def plain_ministack(folder: Path) -> Iterator[Address]:
    address = Address(*free_ports(2))
    (folder / "tmp").mkdir(parents=True)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack"],
            cwd=folder,
            env=server_environment(address, folder),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until_it_answers(address, process)
        yield address
    finally:
        process.kill()  # the threads of a Map that hangs would keep it from ending
        process.wait(20)


def wait_until_it_answers(address: Address, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            get(f"{address.url}/_ministack/health")
            return
        except OSError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What each probe sees, by MiniStack: side by side, since most of it is waiting."""
    folder = tmp_path_factory.mktemp("ministack")
    with (
        plain_ministack(folder / "plain") as plain,
        attached_cloud(folder / "patched") as patched,
        ThreadPoolExecutor(2) as pool,
    ):
        plainly, mended = pool.submit(observe, plain, HANGING), pool.submit(observe, patched.address, PATIENCE)
        return {"plain": plainly.result(), "patched": mended.result()}


@pytest.mark.parametrize("probe", ON_AWS)
def test_the_patched_ministack_does_what_aws_does(observed: dict[str, dict[str, Any]], probe: str) -> None:
    assert observed["patched"][probe] == ON_AWS[probe]


@pytest.mark.parametrize("probe", ON_AWS)
def test_the_patch_is_still_needed(observed: dict[str, dict[str, Any]], probe: str) -> None:
    assert observed["plain"][probe] != ON_AWS[probe], f"MiniStack does {probe} right now: take the patch out"
