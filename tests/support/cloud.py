"""The AWS around the Lambda functions: moto for S3, DynamoDB, EventBridge, SQS and SES, fakes for the rest.

Every call that a function makes goes through one counter, so that a test can make any of them the last before a crash.
Every status event is read back from the bus and checked against its schema.
"""

from __future__ import annotations

import copy
import email
import email.policy
import importlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from functools import cache
from typing import Any

import boto3
import jsonschema
import pytest
from moto import mock_aws
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends
from moto.events.models import events_backends
from moto.s3.models import s3_backends
from moto.ses.models import ses_backends

from contract.stages import Stage
from domain.clients import config
from domain.job import UploadedObject, job_id_of
from domain.layout import upload_uri
from tests.support import key_limits, quick_moto
from tests.support.events import EVENTS
from tests.support.fakes import FakeSageMaker, FakeStepFunctions

REGION = "eu-west-1"
UPLOADS = "spaceport-dev-uploads-123456789012"
RESULTS = "spaceport-dev-results-123456789012"
BUS = "spaceport-dev-status"
SENDER = "spaceport@example.com"
STATUS_SCHEMA = json.loads((EVENTS / "schemas" / "status-event.schema.json").read_text(encoding="utf-8"))
TABLES = {
    "jobs": [("jobId", "HASH")],
    "stage-runs": [("jobId", "HASH"), ("stageRun", "RANGE")],
    "idempotency": [("id", "HASH")],
    "pace": [("pace", "HASH")],
    "mailboxes": [("address", "HASH")],
    "webhooks": [("owner", "HASH")],
    "limits": [("counter", "HASH")],
}
INDEXES = {
    "jobs": {
        "byOwner": [("owner", "HASH"), ("uploadedAt", "RANGE")],
        "starting": [("startingFor", "HASH"), ("startingAt", "RANGE")],
    },
    "stage-runs": {
        "queue": [("queuedFor", "HASH"), ("queuedAt", "RANGE")],
        "watch": [("watchedFor", "HASH"), ("nextLook", "RANGE")],
    },
}
STACK = "spaceport-dev"
ENVIRONMENT = {
    "STATUS_BUS": BUS,
    "JOBS_TABLE": "jobs",
    "STAGE_RUNS_TABLE": "stage-runs",
    "IDEMPOTENCY_TABLE": "idempotency",
    "PACE_TABLE": "pace",
    "LIMITS_TABLE": "limits",
    "OWNER_OPEN_JOBS": "20",
    "OWNER_DAILY_JOBS": "100",
    "OWNER_DAILY_DOLLARS": "100",
    "DAILY_SPEND_DOLLARS": "100000",
    "RESULTS_BUCKET": RESULTS,
    "RESULTS_KEY_ARN": "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    "STACK": STACK,
    "STACK_REGION": "us-east-1",
    "REGION_PRICES": "",
    **{
        f"{stage.state_key.upper()}_IMAGE": f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/spaceport/{stage}:1"
        for stage in Stage
    },
    **{f"{stage.state_key.upper()}_INSTANCE_TYPES": ",".join(["ml.c6i.4xlarge"] * 3) for stage in Stage},
    "SFM_INSTANCE_TYPES": "ml.c6i.4xlarge,ml.c6i.4xlarge,ml.c6i.8xlarge",
    "TRAINING_INSTANCE_TYPES": "ml.g4dn.xlarge,ml.g4dn.xlarge,ml.g5.xlarge",
    "STAGE_SUBNETS": "",
    "STAGE_SECURITY_GROUPS": "",
    "JOB_BUDGET_DOLLARS": "25",
    "COMPANY_NAME": "",
    "COMPANY_ADDRESS": "",
    "COMPANY_LOGO": "",
    "SAGEMAKER_ROLE_ARN": "arn:aws:iam::123456789012:role/spaceport",
    "SPOT_TRAINING": "true",
    "CAPACITY_WAIT_MINUTES": "60",
    "PIPELINE_ARN": "arn:aws:states:eu-west-1:123456789012:stateMachine:spaceport-dev",
    "MAILBOX_TABLE": "mailboxes",
    "WEBHOOK_TABLE": "webhooks",
    "WEBHOOK_TARGETS": "any",
    "WEBHOOK_QUEUE": "https://sqs.eu-west-1.amazonaws.com/123456789012/calls",
    "SENDER_EMAIL": SENDER,
    "SENDER_NAME": "Spaceport",
    "SUPPORT_EMAIL": "help@example.com",
    "CONFIGURATION_SET": "spaceport-dev",
    "PAGE_URL": "https://page.example.com/",
    "API_URL": "https://api.example.com",
    "LINK_HOURS": "6",
    "SOURCE_BUCKETS": f"{UPLOADS},permitted-bucket",
}
HANDLERS = (
    "start_job", "run_stage", "report_stage", "settle_stage", "stop_job", "deliver", "track_progress", "notify", "api",
    "dispatch", "watch_runs", "sweep_jobs", "suppress", "unsubscribe", "call_webhook",
)  # fmt: skip
_create_client, _create_resource = boto3.client, boto3.resource
quick_moto.quicken()


class Crash(Exception):
    """The function's machine failed between two calls, or before an answer arrived."""


@dataclass
class LambdaContext:
    """The attributes of Lambda's context that Powertools reads."""

    function_name: str = "spaceport-test"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:eu-west-1:123456789012:function:spaceport-test"
    aws_request_id: str = "52fdfc07-2182-154f-163f-5f0f9a621d72"

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


@dataclass
class Watch:
    """Counts the calls that functions make. `crash_at`: the index (from 0) of the last call; `answered`: whether its
    answer arrives."""

    calls: list[str] = field(default_factory=list)
    crash_at: int | None = None
    arrives: bool = False

    def __call__(self, name: str, call: Callable[[], Any]) -> Any:
        self.calls.append(name)
        last = self.crash_at is not None and len(self.calls) > self.crash_at
        if last and not self.arrives:
            raise Crash(name)
        answer = call()
        if last:
            raise Crash(name)
        return answer


class Watched:
    """A boto3 client or table whose calls are counted."""

    def __init__(self, target: Any, name: str, watch: Watch) -> None:
        self._target, self._name, self._watch = target, name, watch

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._target, name)
        if name == "Table":
            return lambda table: Watched(attribute(table), self._name, self._watch)
        if name in ("exceptions", "meta", "generate_presigned_url") or not callable(attribute):
            return attribute

        def call(*arguments: Any, **named: Any) -> Any:
            return self._watch(f"{self._name}.{name}", lambda: attribute(*arguments, **named))

        return call


@cache
def _moto(kind: str, service: str) -> Any:
    """Created once: a client from one test works in the next, because moto answers for whichever mock is active."""
    made = (_create_client if kind == "client" else _create_resource)(
        service, region_name=REGION, config=config(service)
    )
    if service == "dynamodb":
        key_limits.enforce(made if kind == "client" else made.meta.client, TABLES, INDEXES)
    return made


def empty_result(uri: str) -> dict[str, Any]:
    """A result without content, of the run whose output is in the folder `uri` (docs/contracts.md, "S3")."""
    _bucket, _kept, job_id, stage, run, *_ = uri.removeprefix("s3://").split("/")
    about = {"version": 1, "stage": stage, "jobId": job_id, "attempt": int(run.rsplit("-", 1)[-1])}
    return {**about, "counts": {}, "metrics": {}, "timings": {}, "warnings": [], "files": []}


# moto's state of a set-up account, copied once per process: setting it up by 20 calls takes 40 ms in each test
_BACKENDS = ((dynamodb_backends, REGION), (events_backends, REGION), (s3_backends, "aws"), (ses_backends, REGION))
_furnished: list[tuple[Any, dict[str, Any]]] = []  # a backend of the first account, and its state
_buckets: dict[str, tuple[str, str]] = {}


def _backends() -> list[Any]:
    return [backends[DEFAULT_ACCOUNT_ID][region] for backends, region in _BACKENDS]


def _remember() -> None:
    _furnished.extend((backend, copy.deepcopy(vars(backend), {id(backend): backend})) for backend in _backends())
    _buckets.update(s3_backends.bucket_accounts)


def _furnished_as_before() -> bool:
    """Gives moto's empty account the state of this process's first one; returns False for the first one."""
    for (first, state), backend in zip(_furnished, _backends(), strict=False):
        vars(backend).update(copy.deepcopy(state, {id(first): backend}))
    s3_backends.bucket_accounts.update(_buckets)
    return bool(_furnished)


class Cloud:
    """An account with the template's buckets, tables, bus and sender, all empty."""

    def __init__(self) -> None:
        self.sagemaker, self.stepfunctions, self.watch = FakeSageMaker(), FakeStepFunctions(), Watch()
        self.s3 = _moto("client", "s3")
        self.events, self.ses = _moto("client", "events"), _moto("client", "sesv2")
        self._sqs, self._seen = _moto("client", "sqs"), list[dict[str, Any]]()
        self._queue = self._sqs.create_queue(QueueName="heard")["QueueUrl"]
        if not _furnished_as_before():
            self._furnish()
            _remember()

    def _furnish(self) -> None:
        """Creates the template's resources."""
        for bucket in (UPLOADS, RESULTS):
            self.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.s3.put_bucket_versioning(Bucket=UPLOADS, VersioningConfiguration={"Status": "Enabled"})
        dynamodb = _moto("client", "dynamodb")
        for name, keys in TABLES.items():
            indexes = INDEXES.get(name, {})
            attributes = [*keys, *(key for index in indexes.values() for key in index)]
            dynamodb.create_table(
                TableName=name,
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key, _ in attributes],
                KeySchema=_schema(keys),
                **(
                    {
                        "GlobalSecondaryIndexes": [
                            {"IndexName": index, "KeySchema": _schema(of), "Projection": _projection(index)}
                            for index, of in indexes.items()
                        ]
                    }
                    if indexes
                    else {}
                ),
            )
        self.has_upload("meadow-0123456789ab")
        self.events.create_event_bus(Name=BUS)
        self.events.put_rule(Name="all", EventBusName=BUS, EventPattern=json.dumps({"source": ["spaceport.pipeline"]}))
        arn = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])["Attributes"]
        self.events.put_targets(Rule="all", EventBusName=BUS, Targets=[{"Id": "1", "Arn": arn["QueueArn"]}])
        self.ses.create_email_identity(EmailIdentity=SENDER)
        self.ses.create_configuration_set(ConfigurationSetName=ENVIRONMENT["CONFIGURATION_SET"])

    def client(self, service: str, **_settings: Any) -> Any:
        """The replacement of boto3.client inside this cloud."""
        fakes: dict[str, Any] = {"sagemaker": self.sagemaker, "stepfunctions": self.stepfunctions}
        return Watched(fakes.get(service) or _moto("client", service), service, self.watch)

    def resource(self, service: str, **_settings: Any) -> Any:
        return Watched(_moto("resource", service), service, self.watch)

    def table(self, name: str) -> Any:
        return _moto("resource", "dynamodb").Table(name)

    def item(self, job_id: str) -> dict[str, Any] | None:
        """The job's item in the jobs table."""
        item: dict[str, Any] | None = self.table("jobs").get_item(Key={"jobId": job_id}).get("Item")
        return item

    def upload(self, key: str, body: bytes, **metadata: str) -> dict[str, Any]:
        """Puts an object into the uploads bucket; returns the EventBridge event that S3 sends about it."""
        answer = self.s3.put_object(Bucket=UPLOADS, Key=key, Body=body, Metadata=metadata)
        event: dict[str, Any] = json.loads((EVENTS / "start_job" / "object-created.json").read_text(encoding="utf-8"))
        event["detail"]["object"] |= {
            "key": key,
            "size": len(body),
            "etag": answer["ETag"].strip('"'),
            "version-id": answer["VersionId"],
        }
        return event

    def has_upload(self, job_id: str) -> None:
        """Creates the copy of a job's upload, because the uploads of sample events do not exist."""
        self.put(upload_uri(job_id, "meadow.zip", RESULTS), b"zip")

    def put_result(self, uri: str, **result: Any) -> None:
        """Writes the result.json of the run whose output is the folder `uri`; whatever is not given is empty."""
        body = empty_result(uri) | result
        self.put(f"{uri}/result.json", json.dumps(body).encode())

    def put(self, uri: str, body: bytes) -> None:
        bucket, key = uri.removeprefix("s3://").split("/", 1)
        self.s3.put_object(Bucket=bucket, Key=key, Body=body)

    def get(self, uri: str) -> bytes:
        bucket, key = uri.removeprefix("s3://").split("/", 1)
        body: bytes = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return body

    def get_json(self, uri: str) -> Any:
        return json.loads(self.get(uri))

    def delete(self, uri: str) -> None:
        bucket, key = uri.removeprefix("s3://").split("/", 1)
        self.s3.delete_object(Bucket=bucket, Key=key)

    def heard(self) -> list[dict[str, Any]]:
        """Every status event on the bus so far, each valid by the published schema."""
        while True:
            answer = self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10)
            for message in answer.get("Messages", []):
                self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
                event = json.loads(message["Body"])
                jsonschema.validate(event, STATUS_SCHEMA, format_checker=jsonschema.FormatChecker())
                self._seen.append(event)
            if not answer.get("Messages"):
                return list(self._seen)

    def said(self) -> list[str]:
        """The types of the status events on the bus."""
        return [event["detail-type"] for event in self.heard()]

    def mails(self) -> list[EmailMessage]:
        return [_parsed(raw) for raw in self.raw_mails()]

    def raw_mails(self) -> list[bytes]:
        sent = [message.raw_data for message in ses_backends[DEFAULT_ACCOUNT_ID][REGION].sent_messages]
        return [raw.encode() if isinstance(raw, str) else raw for raw in sent]


def _projection(index: str) -> dict[str, Any]:
    """As template.yaml defines it."""
    if index == "starting":
        return {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["startWith"]}
    return {"ProjectionType": "ALL" if index == "queue" else "KEYS_ONLY"}


def _schema(keys: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"AttributeName": key, "KeyType": kind} for key, kind in keys]


def _parsed(raw: bytes) -> EmailMessage:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


@contextmanager
def cloud_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """A fresh cloud, and functions that have not run yet, as at a cold start."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        cloud = Cloud()
        monkeypatch.setattr(boto3, "client", cloud.client)
        monkeypatch.setattr(boto3, "resource", cloud.resource)
        forget()
        yield cloud
        forget()


def forget() -> None:
    """Clears what the functions keep while they are warm."""
    for kept in _kept_while_warm():
        kept.cache_clear()


@cache
def _kept_while_warm() -> tuple[Any, ...]:
    modules = [importlib.import_module("domain.clients")]
    modules += [importlib.import_module(f"{name}.handler") for name in HANDLERS]
    return tuple(value for module in modules for value in vars(module).values() if hasattr(value, "cache_clear"))


def invoke(function: str, event: dict[str, Any]) -> Any:
    """Call a function's handler as Lambda does: JSON in, JSON out."""
    handler = importlib.import_module(f"{function}.handler").handler
    return json.loads(json.dumps(handler(json.loads(json.dumps(event)), LambdaContext())))


def job_id(event: dict[str, Any]) -> str:
    """The id of the job that an upload's event starts."""
    found = event["detail"]["object"]
    return job_id_of(
        UploadedObject(bucket=UPLOADS, key=found["key"], version_id=found["version-id"], etag=found["etag"]), STACK
    )
