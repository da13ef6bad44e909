"""The control plane on moto: the committed state machine, the real handlers, and SageMaker played by the test.

A test uploads a file, then plays SageMaker: it waits for jobs and completes, fails or interrupts them. What
EventBridge would deliver to `report_stage` and `stop_job` is delivered here, at the moment that the test chooses.
"""

from __future__ import annotations

import importlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from contract.blocks import BLOCKS_FILE, COARSE
from contract.stages import PipelineStep, Stage
from domain import clients
from domain.job import UploadedObject, job_id_of
from domain.layout import output_uri
from domain.stage_runs import StageRuns
from domain.stages import StageRun
from tests.support.asl import Transition, load_pipeline
from tests.support.blocks import strip_of
from tests.support.cloud import STACK, empty_result
from tests.support.events import sample_event
from tests.support.fakes import FakeSageMaker
from tests.support.moto_states import Invoke, executing_aws, hurried
from tests.support.pipeline_setup import (
    ARN,
    BUS,
    LEFT_BEHIND,
    QUEUE,
    RESULTS,
    ROLE,
    UPLOADS,
    settings_of,
    upload_of,
    with_names_filled_in,
)
from tests.support.sam_template import Template

Incident = Callable[[], None]

HANDLERS = (
    "start_job",
    "run_stage",
    "report_stage",
    "settle_stage",
    "deliver",
    "stop_job",
    "dispatch",
    "track_progress",
)
PATIENCE_SECONDS = 20
CONTEXT = SimpleNamespace(
    function_name="test",
    memory_limit_in_mb=512,
    invoked_function_arn=ARN.format("test"),
    aws_request_id="test",
    get_remaining_time_in_millis=lambda: 30_000,
)


def failing_with(error: Exception) -> Incident:
    def incident() -> None:
        raise error

    return incident


def _meet(incidents: list[Incident] | None) -> None:
    if incidents:
        incidents.pop(0)()


@dataclass(frozen=True)
class Ended:
    """An execution that has ended. `published`: its status events, oldest first, as a subscriber received them."""

    job_id: str
    status: str
    error: str | None
    cause: str | None
    states: tuple[str, ...]
    published: tuple[dict[str, Any], ...]

    @property
    def transitions(self) -> set[Transition]:
        return set(zip(self.states, self.states[1:], strict=False))

    def types(self) -> list[str]:
        return [event["detail-type"] for event in self.published]


class PipelineCloud:
    """`before[function]`, `after[function]`: callables for the next calls of that function, run before or after it;
    each may raise. `calls`: how often each function was called."""

    def __init__(self) -> None:
        self.sagemaker = FakeSageMaker()
        self.before: dict[str, list[Incident]] = {}
        self.after: dict[str, list[Incident]] = {}
        self.calls: Counter[str] = Counter()
        self.blocks = 1
        self._one_at_a_time = threading.RLock()
        self._s3, self._stepfunctions = boto3.client("s3"), boto3.client("stepfunctions")
        self._sqs, self._events = boto3.client("sqs"), boto3.client("events")
        self._deploy()

    # ── what a customer does ──

    def upload(self, name: str, step: PipelineStep, heartbeats: Mapping[str, int] | None = None) -> str:
        """Uploads a file that fits `step` and lets start_job start the pipeline; returns the job's id.

        `heartbeats`: callback task → seconds, for tasks that should time out soon.
        """
        self.calls.clear()
        self._deploy_pipeline(heartbeats or {})
        key = f"{name}.ply" if step is PipelineStep.COMPRESSION else f"{name}.zip"
        metadata = {"pipelinestep": step.value}
        answer = self._s3.put_object(Bucket=UPLOADS, Key=key, Body=upload_of(step), Metadata=metadata)
        event = sample_event("start_job/object-created")
        event["detail"]["bucket"]["name"] = UPLOADS
        event["detail"]["object"] |= {"key": key, "etag": answer["ETag"].strip('"'), "version-id": answer["VersionId"]}
        outcome = self.call("start_job", event)
        assert outcome["error"] is None, outcome["error"]
        uploaded = UploadedObject(bucket=UPLOADS, key=key, version_id=answer["VersionId"], etag=answer["ETag"])
        assert outcome["jobId"] == job_id_of(uploaded, STACK)
        job_id: str = outcome["jobId"]
        return job_id

    # ── what SageMaker does ──

    def await_job(self, run: StageRun) -> None:
        self._await(lambda: run.job_name in self.sagemaker.jobs, f"SageMaker job {run.job_name}")

    def await_calls(self, function: str, count: int) -> None:
        """Waits until `function` has been called `count` times since the last upload."""
        self._await(lambda: self.calls[function] >= count, f"call {count} of {function}")

    def await_queue(self, stage: Stage) -> None:
        """Waits until a run is queued for a machine."""
        runs = StageRuns(boto3.resource("dynamodb").Table("StageRunsTable"))
        self._await(lambda: any(runs.queue(stage)), f"a {stage} run in the queue")

    def leave_result(self, run: StageRun) -> None:
        """Writes what the run's container would leave in S3 at its end; for structure from motion, with a plan of as
        many blocks as the test has set (`blocks`)."""
        files = ["scene.sog", "scene.ply", "viewer/index.html", "preview.png", "result.json", "cameras.png"]
        listed = [{"path": path, "bytes": 1, "sha256": "0"} for path in files]
        result = {**empty_result(output_uri(run, RESULTS)), **LEFT_BEHIND[run.stage], "files": listed}
        folder = output_uri(run, RESULTS).removeprefix(f"s3://{RESULTS}/")
        if run.stage is Stage.SFM and self.blocks > 1:
            result["counts"] = {**result["counts"], "blocks": self.blocks}
            plan = json.dumps(strip_of(self.blocks).as_json()).encode()
            self._s3.put_object(Bucket=RESULTS, Key=f"{folder}/{BLOCKS_FILE}", Body=plan)
        if run.block is not None:  # listed files are gathered later, and must exist
            left = {"scene.ply": f"{run.block}".encode()}
            if run.block == COARSE:
                left[str(BLOCKS_FILE)] = json.dumps(strip_of(self.blocks).as_json()).encode()
            result["files"] = [{"path": path, "bytes": len(body), "sha256": "0"} for path, body in left.items()]
            for path, body in left.items():
                self._s3.put_object(Bucket=RESULTS, Key=f"{folder}/{path}", Body=body)
        self._s3.put_object(Bucket=RESULTS, Key=f"{folder}/result.json", Body=json.dumps(result).encode())

    def read(self, key: str) -> bytes:
        """An object of the results bucket."""
        body: bytes = self._s3.get_object(Bucket=RESULTS, Key=key)["Body"].read()
        return body

    def lose_result(self, run: StageRun) -> None:
        key = output_uri(run, RESULTS).removeprefix(f"s3://{RESULTS}/") + "/result.json"
        self._s3.delete_object(Bucket=RESULTS, Key=key)

    def complete(self, run: StageRun) -> None:
        self.await_job(run)
        self.leave_result(run)
        self.sagemaker.complete(run.job_name)
        self.tell_of_change(run)

    def complete_newest_in_silence(self) -> None:
        """Completes the job that was created last; its event is lost."""
        run = StageRun.parse(self.sagemaker.created[-1])
        assert run is not None
        self.leave_result(run)
        self.sagemaker.complete(run.job_name)

    def fail(self, run: StageRun, reason: str) -> None:
        """The container writes `reason`, which SageMaker shows in the field for that kind of job."""
        self.await_job(run)
        if run.stage.kind == "Processing":
            self.sagemaker.fail(run.job_name, ExitMessage=reason)
        else:
            self.sagemaker.fail(run.job_name, FailureReason=f"AlgorithmError: {reason}, exit code: 1")
        self.tell_of_change(run)

    def interrupt(self, run: StageRun) -> None:
        """Spot capacity is taken away."""
        self.await_job(run)
        self.sagemaker.end_stopped(run.job_name, SecondaryStatus="Interrupted")
        self.tell_of_change(run)

    # ── what EventBridge does ──

    def tell_of_change(self, run: StageRun) -> dict[str, Any]:
        kind = run.stage.kind
        event = sample_event("report_stage/processing-completed")
        event["detail-type"] = f"SageMaker {kind} Job State Change"
        status = self.sagemaker.jobs[run.job_name].status
        event["detail"] = {f"{kind}JobName": run.job_name, f"{kind}JobStatus": status}
        return self.call("report_stage", event)

    def tell_of_progress(self, run: StageRun) -> None:
        event = sample_event("status/stage-progressed")
        event["detail"] |= {"jobId": run.job_id, "stage": run.stage.value, "attempt": run.attempt}
        self.call("report_stage", event)

    def tell_of_end(self, ended: Ended) -> dict[str, Any]:
        """Delivers Step Functions' own event of an execution that failed."""
        event = sample_event("stop_job/execution-aborted")
        event["detail"] |= {"executionArn": self.execution_arn(ended.job_id), "name": ended.job_id}
        event["detail"]["status"] = ended.status
        return self.call("stop_job", event)

    def track(self, published: Iterable[dict[str, Any]]) -> None:
        """Deliver status events to track_progress, in this order."""
        for event in published:
            self.call("track_progress", event)

    def drop_item(self, job_id: str) -> None:
        boto3.resource("dynamodb").Table("JobsTable").delete_item(Key={"jobId": job_id})

    def item(self, job_id: str) -> dict[str, Any]:
        """The job's item of the jobs table."""
        return dict(boto3.resource("dynamodb").Table("JobsTable").get_item(Key={"jobId": job_id})["Item"])

    def end(self, job_id: str) -> Ended:
        """Waits for the job's execution to end."""
        arn = self.execution_arn(job_id)
        self._await(lambda: not self._runs(arn), f"the end of {job_id}", lambda: self._state(arn))
        described = self._describe(arn)
        return Ended(
            job_id=job_id,
            status=described["status"],
            error=described.get("error"),
            cause=described.get("cause"),
            states=tuple(self._states(arn)),
            published=tuple(self._published(job_id)),
        )

    def told_since(self, job_id: str) -> list[dict[str, Any]]:
        """Status events that arrived since the last call, oldest first."""
        return self._published(job_id)

    def call(self, function: str, event: dict[str, Any]) -> dict[str, Any]:
        """Invokes the real handler, with the incidents that the test has scheduled before and after it."""
        self.calls[function] += 1
        _meet(self.before.get(function))
        with self._one_at_a_time:  # moto reads its items while another thread writes them
            answer = importlib.import_module(f"{function}.handler").handler(event, CONTEXT)
        _meet(self.after.get(function))
        document: dict[str, Any] = json.loads(json.dumps(answer))
        return document

    def execution_arn(self, job_id: str) -> str:
        return self.pipeline_arn.replace(":stateMachine:", ":execution:") + f":{job_id}"

    # ── moto ──

    def _deploy(self) -> None:
        region = {"LocationConstraint": "eu-west-1"}
        for bucket in (UPLOADS, RESULTS):
            self._s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=region)
        self._s3.put_bucket_versioning(Bucket=UPLOADS, VersioningConfiguration={"Status": "Enabled"})
        template = Template.load()
        for resource in ("JobsTable", "StageRunsTable", "PaceTable", "LimitsTable"):
            properties = template.resources[resource]["Properties"]
            kept = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
            given = {name: properties[name] for name in kept if name in properties}
            boto3.client("dynamodb").create_table(TableName=resource, **given)
        self._events.create_event_bus(Name=BUS)
        self._queue_url = self._sqs.create_queue(QueueName=QUEUE)["QueueUrl"]
        pattern = json.dumps({"source": ["spaceport.pipeline"]})
        self._events.put_rule(Name="all", EventBusName=BUS, EventPattern=pattern)
        target = {"Id": "queue", "Arn": f"arn:aws:sqs:eu-west-1:123456789012:{QUEUE}"}
        self._events.put_targets(Rule="all", EventBusName=BUS, Targets=[target])
        self._definition = with_names_filled_in(hurried(load_pipeline(), {}))
        created = self._stepfunctions.create_state_machine(
            name="spaceport-test", definition=self._definition, roleArn=ROLE
        )
        self.pipeline_arn: str = created["stateMachineArn"]

    def _deploy_pipeline(self, heartbeats: Mapping[str, int]) -> None:
        definition = with_names_filled_in(hurried(load_pipeline(), heartbeats))
        if definition != self._definition:  # moto takes half a second to read it
            self._stepfunctions.update_state_machine(stateMachineArn=self.pipeline_arn, definition=definition)
            self._definition = definition

    def _runs(self, arn: str) -> bool:
        return bool(self._describe(arn)["status"] == "RUNNING")

    def _describe(self, arn: str) -> dict[str, Any]:
        return dict(self._stepfunctions.describe_execution(executionArn=arn))

    def _states(self, arn: str) -> Iterator[str]:
        """Without those of a Map's items, which run in parallel."""
        history = self._stepfunctions.get_execution_history(executionArn=arn, maxResults=1000)
        own = load_pipeline()["States"]
        for event in history["events"]:
            if event["type"].endswith("StateEntered") and event["stateEnteredEventDetails"]["name"] in own:
                yield event["stateEnteredEventDetails"]["name"]

    def _state(self, arn: str) -> str:
        return f"in {(['no state', *self._states(arn)])[-1]}"

    def _published(self, job_id: str) -> list[dict[str, Any]]:
        """Drains the queue; other jobs have ended, and their events were drained before."""
        published: list[dict[str, Any]] = []
        while messages := self._sqs.receive_message(QueueUrl=self._queue_url, MaxNumberOfMessages=10).get("Messages"):
            # moto omits the account
            published += [{"account": "123456789012", **json.loads(message["Body"])} for message in messages]
            for message in messages:
                self._sqs.delete_message(QueueUrl=self._queue_url, ReceiptHandle=message["ReceiptHandle"])
        assert {event["detail"]["jobId"] for event in published} <= {job_id}
        return published

    @staticmethod
    def _await(met: Callable[[], bool], what: str, instead: Callable[[], str] = lambda: "") -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while not met():
            if time.monotonic() > until:
                pytest.fail(f"{what} did not come within {PATIENCE_SECONDS} s {instead()}")
            time.sleep(0.01)


@contextmanager
def pipeline_cloud() -> Iterator[PipelineCloud]:
    """A fresh cloud; the handlers' settings and clients are made for it and cleared afterwards."""
    held: list[PipelineCloud] = []

    def invoking(function: str) -> Invoke:
        return lambda event: held[0].call(function, event)

    functions = {name: invoking(name) for name in ("run_stage", "settle_stage", "deliver")}
    with pytest.MonkeyPatch.context() as patch, executing_aws(functions):
        cloud = PipelineCloud()
        held.append(cloud)
        for name, value in settings_of(cloud.pipeline_arn).items():
            patch.setenv(name, value)
        forget()
        for name in HANDLERS:
            if name != "track_progress":  # which needs a table and no client
                patch.setattr(f"{name}.handler.client", lambda service: _client(cloud, service))
        yield cloud
    forget()


def _client(cloud: PipelineCloud, service: str) -> Any:
    return cloud.sagemaker if service == "sagemaker" else clients.client(service)


def forget() -> None:
    """Clears what warm functions keep."""
    for name in HANDLERS:
        for member in vars(importlib.import_module(f"{name}.handler")).values():
            if hasattr(member, "cache_clear"):
                member.cache_clear()
    clients.client.cache_clear()
    clients.table.cache_clear()
