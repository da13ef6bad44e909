"""The real handlers, connected to the campaign's AWS as template.yaml connects them to the real one."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from aws_lambda_powertools.utilities.idempotency import BasePersistenceLayer
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyItemAlreadyExistsError,
    IdempotencyItemNotFoundError,
    IdempotencyPersistenceLayerError,
)
from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import DataRecord

from contract.events import SOURCE, StatusType
from domain.jobs_table import JobsTable
from domain.stage_runs import StageRuns
from domain.stages import StageRun
from tests.campaign.compute import Machines
from tests.campaign.machine import Execution, Machine
from tests.campaign.storage import Mail, Storage
from tests.campaign.tables import Table
from tests.campaign.world import Crash, Faults, Faulty, Refused, World
from tests.support.cloud import ENVIRONMENT, HANDLERS, LambdaContext, forget
from tests.support.events import sample_event
from tests.support.fakes import FakeJob, check_entries
from watch_runs.watch import Watcher

OUTCOMES = (StatusType.JOB_REJECTED, StatusType.JOB_SUCCEEDED, StatusType.JOB_FAILED, StatusType.JOB_STOPPED)
PILOT = "pilot@example.com"
TRIES = 3  # Lambda retries a failed event twice; then it becomes a dead letter
MAX_REFUSED_SECONDS = 300.0  # longest pause between tries while Lambda has no concurrency; the first is 1 s
REDRIVE_SECONDS = 6 * 3600.0  # until an operator reacts to the alarm
Json = dict[str, Any]


class Once(BasePersistenceLayer):
    """The idempotency table, with the same faults as all others. A record in progress expires after a minute."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world, self._records = world, dict[str, tuple[DataRecord, float]]()

    def _get_record(self, idempotency_key: str) -> DataRecord:
        self._world.may_fail("dynamodb", "get")
        if idempotency_key not in self._records:
            raise IdempotencyItemNotFoundError
        return self._records[idempotency_key][0]

    def _put_record(self, data_record: DataRecord) -> None:
        self._world.may_fail("dynamodb", "put")
        known = self._records.get(data_record.idempotency_key)
        if known and (known[0].status == "COMPLETED" or self._world.now < known[1] + 60):
            raise IdempotencyItemAlreadyExistsError
        self._records[data_record.idempotency_key] = (data_record, self._world.now)

    def _update_record(self, data_record: DataRecord) -> None:
        self._world.may_fail("dynamodb", "update")
        self._records[data_record.idempotency_key] = (data_record, self._world.now)

    def _delete_record(self, data_record: DataRecord) -> None:
        self._world.may_fail("dynamodb", "delete")
        self._records.pop(data_record.idempotency_key, None)


class Bus:
    """EventBridge's PutEvents, as the functions and the state machine use it."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def put_events(self, Entries: list[Json]) -> Json:
        for entry in Entries:
            self._pipeline.publish(entry["DetailType"], json.loads(entry["Detail"]))
        return {"FailedEntryCount": 0}


class Pipeline:
    """Handlers, state machine, bus, tables and storage in one world. `dead_letters` counts the redriven events."""

    def __init__(self, seed: int, faults: Faults) -> None:
        self.world = World(seed, faults)
        self.storage, self.mail = Storage(self.world), Mail()
        self.jobs = Table(
            self.world, ("jobId",), {"byOwner": ("owner", "uploadedAt"), "starting": ("startingFor", "startingAt")}
        )
        self.paces, self.mailboxes = Table(self.world, ("pace",)), Table(self.world, ("address",))
        self.limits = Table(self.world, ("counter",))
        indexes = {"queue": ("queuedFor", "queuedAt"), "watch": ("watchedFor", "nextLook")}
        self.runs = Table(self.world, ("jobId", "stageRun"), indexes)
        self.machines = Machines(self.world, self.storage, self._job_changed, self._progressed)
        self.machine = Machine(self.world, self._invoke, self.publish, self._execution_ended)
        self.once = Once(self.world)
        self.dead_letters = 0
        self.foreign: list[str] = []  # names of another stack's SageMaker jobs
        self.looked_round: Callable[[], None] = lambda: None  # called every minute while there is work
        self.invocations = 0
        self._clients = {
            "s3": self.storage,
            "sagemaker": self.machines,
            "stepfunctions": self.machine,
            "events": Bus(self),
            "sesv2": self.mail,
        }
        self._every(300, lambda: self.invoke_later("dispatch", self._scheduled()))
        self._every(60, self._watch)
        self._every(60, lambda: self.looked_round())
        self._every(600, lambda: self.invoke_later("sweep_jobs", self._scheduled()))

    def client(self, service: str) -> Any:
        return Faulty(self._clients[service], self.world, service)

    def table(self, name: str) -> Any:
        tables = {"jobs": self.jobs, "stage-runs": self.runs, "pace": self.paces, "mailboxes": self.mailboxes}
        tables["limits"] = self.limits
        return Faulty(tables[name], self.world, "dynamodb")

    # ── EventBridge and Lambda ──

    def publish(self, type_: str, detail: Json) -> None:
        """Puts a status event on the bus, which delivers it to its consumers durably."""
        check_entries([{"Source": SOURCE, "DetailType": type_, "Detail": json.dumps(detail)}])
        event = self.event(type_, SOURCE, detail)
        self.world.deliver(lambda: self.invoke_later("track_progress", event), durable=True)
        if type_ in OUTCOMES:
            self.world.deliver(lambda: self.invoke_later("notify", event), durable=True)
        if type_ == StatusType.STAGE_PROGRESSED:
            self.world.deliver(lambda: self.invoke_later("report_stage", event), durable=True)

    def uploaded(self, event: Json) -> None:
        self.world.deliver(lambda: self.invoke_later("start_job", event), durable=True)

    def ask(self, method: str, path: str, body: Json) -> int:
        """A customer's call to the API; returns the status of its answer. Raises Crash if there is none."""
        event = sample_event("api/get-jobs") | {
            "routeKey": f"{method} {path}",
            "rawPath": path,
            "body": json.dumps(body),
        }
        event["headers"]["content-type"] = "application/json"
        event["requestContext"]["http"] |= {"method": method, "path": path}
        event["requestContext"]["routeKey"] = f"{method} {path}"
        event["requestContext"]["authorizer"]["jwt"]["claims"] = {
            "sub": "pilot-1",
            "email": PILOT,
            "email_verified": "true",
            "token_use": "id",
        }
        return int(self._invoke("api", event)["statusCode"])

    def of_another_stack(self, name: str) -> None:
        """Creates a SageMaker job of another stack in the account: quotas, names and SageMaker's events are shared."""
        run = StageRun.parse(name)
        assert run is not None
        kind, machine = run.stage.kind, {"InstanceType": "ml.c6i.4xlarge"}
        resources = {"ResourceConfig": machine, "ProcessingResources": {"ClusterConfig": machine}}
        request = {f"{kind}JobName": name, "StoppingCondition": {"MaxRuntimeInSeconds": 3600}, **resources}
        self.machines.jobs[name] = FakeJob(kind, request, created_at=self.world.at())
        self.foreign.append(name)
        self._job_changed(run, "InProgress")

        def end() -> None:
            self.machines.complete(name)
            self._job_changed(run, "Completed")

        self.world.after(self.world.random.uniform(300, 5000), end)

    def invoke_later(self, function: str, event: Json, tries: int = TRIES, refused_seconds: float = 1.0) -> None:
        """An asynchronous invocation with its retries; an event that fails for good becomes a dead letter and is
        redriven. An event that Lambda cannot run for want of concurrency stays in its queue (for six hours on AWS) and
        does not count as a retry."""
        try:
            self._invoke(function, event)
        except Refused:
            doubled = min(2 * refused_seconds, MAX_REFUSED_SECONDS)
            self.world.after(refused_seconds, lambda: self.invoke_later(function, event, tries, doubled))
        except (Exception, Crash):
            if tries > 1:
                wait = 60 * (TRIES - tries + 1)
                self.world.after(wait, lambda: self.invoke_later(function, event, tries - 1))
            else:
                self.dead_letters += 1
                self.world.after(REDRIVE_SECONDS, lambda: self.invoke_later(function, event))

    def _invoke(self, function: str, event: Json) -> Any:
        self.world.may_refuse()
        self.invocations += 1
        handler = importlib.import_module(f"{function}.handler").handler
        about = (str(event.get("detail", {}).get("jobId")), str(event.get("detail-type")))
        before = len(self.mail.sent)
        if function == "notify":
            self.mail.about.append(about)
        try:
            with self.world.function():
                return json.loads(json.dumps(handler(json.loads(json.dumps(event)), LambdaContext())))
        except (Crash, IdempotencyPersistenceLayerError):
            if function == "notify" and about in self.mail.sent[before:] and not self._noted(*about):
                self.mail.unrecorded[about] += 1
            raise
        finally:
            if function == "notify":
                self.mail.about.pop()

    def _noted(self, job_id: str, type_: str) -> bool:
        """Whether the job's item records that the mail was sent, which keeps the next try from sending it again."""
        return type_ in self.jobs.items.get((job_id,), {}).get("mailed", set())

    def _job_changed(self, run: StageRun, status: str) -> None:
        kind = run.stage.kind
        detail = {f"{kind}JobName": run.job_name, f"{kind}JobStatus": status}
        event = self.event(f"SageMaker {kind} Job State Change", "aws.sagemaker", detail)
        self.world.deliver(lambda: self.invoke_later("report_stage", event), durable=False)
        if status in ("Completed", "Failed", "Stopped"):
            self.world.deliver(lambda: self.invoke_later("dispatch", event), durable=False)

    def _progressed(self, run: StageRun, share: float) -> None:
        sequence = run.stage.ordinal * 1_000_000 + run.attempt * 10_000 + 1 + round(share * 1000)
        detail = {
            "version": "1",
            "jobId": run.job_id,
            "stage": run.stage.value,
            "attempt": run.attempt,
            **({} if run.block is None else {"block": run.block}),
            "sequence": sequence,
            "at": self.world.skewed().isoformat(),
            "progress": share,
            "message": "getting on",
        }
        if not self.world.happens(self.world.faults.lost):  # the container's PutEvents may fail
            self.publish(StatusType.STAGE_PROGRESSED, detail)

    def _execution_ended(self, execution: Execution) -> None:
        if execution.status == "SUCCEEDED":
            return
        arn = f"{ENVIRONMENT['PIPELINE_ARN'].replace(':stateMachine:', ':execution:')}:{execution.name}"
        detail = {"executionArn": arn, "name": execution.name, "status": execution.status}
        event = self.event("Step Functions Execution Status Change", "aws.states", detail)
        self.world.deliver(lambda: self.invoke_later("stop_job", event), durable=False)

    def _scheduled(self) -> Json:
        return self.event("Scheduled Event", "aws.events", {})

    def _every(self, seconds: float, do: Callable[[], None]) -> None:
        self.world.every(seconds, do, self._at_work)

    def _watch(self) -> None:
        """Checks in which nothing would be found are skipped."""
        now = self.world.at().isoformat(timespec="seconds")
        if any(item.get("nextLook", "~") <= now for item in self.runs.items.values()):
            self.invoke_later("watch_runs", self._scheduled())

    def _at_work(self) -> bool:
        """Whether a schedule would find anything to do; for most of the fifty days it would not."""
        ended = self.world.at() - timedelta(hours=3)
        executions = self.machine.executions.values()
        return any(one.stopped_at is None or one.stopped_at > ended for one in executions)

    def event(self, type_: str, source: str, detail: Json) -> Json:
        return {
            "version": "0",
            "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
            "detail-type": type_,
            "source": source,
            "account": "123456789012",
            "time": self.world.at().isoformat(),
            "region": "eu-west-1",
            "resources": [],
            "detail": detail,
        }


@contextlib.contextmanager
def running_pipeline(seed: int, faults: Faults) -> Iterator[Pipeline]:
    """Gives the handlers the pipeline's settings, clients and tables inside the block."""
    pipeline = Pipeline(seed, faults)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.filterwarnings("ignore", message="No application metrics")
        for variable, text in ENVIRONMENT.items():
            patch.setenv(variable, text)
        forget()
        for name in (*(f"{function}.handler" for function in HANDLERS), "api.wiring"):
            module = importlib.import_module(name)
            for attribute, value in (("client", pipeline.client), ("table", pipeline.table)):
                patch.setattr(module, attribute, value, raising=False)
        patch.setattr("notify.handler.persistence", lambda: pipeline.once)
        patch.setattr(
            "watch_runs.handler.in_parallel", map
        )  # threads would make a history depend on more than its seed
        patch.setattr(Watcher.__init__, "__kwdefaults__", {"clock": pipeline.world.seconds})
        patch.setattr("settle_stage.handler.in_parallel", map)
        for class_ in (StageRuns, JobsTable):
            patch.setattr(class_.__init__, "__defaults__", (pipeline.world.seconds,))
        logging.disable(logging.CRITICAL)
        try:
            yield pipeline
        finally:
            logging.disable(logging.NOTSET)
            forget()
