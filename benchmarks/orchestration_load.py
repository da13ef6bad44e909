"""Run uploads through the local cloud with stub containers: the overhead on a warm cloud, and a load of many uploads.

The stack is the project's own template on the loopback interface. SageMaker's quota is a few machines of each kind, so
that the product's own queue limits how much runs at once on this machine.
"""

from __future__ import annotations

import io
import re
import shutil
import statistics
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contract.stages import JobName, Stage
from local.address import Address
from local.cloud import ROOT, attached_cloud
from local.customer import Subscription, inbox, subscribed
from local.deploy import deploy_pipeline
from local.logs import function_logs
from local.template import load_template

EMAIL = "load@example.com"
UPLOADS_EACH = 10  # within what one owner may have open, and be mailed of, in a day
LOAD = "load-"  # what the names of the load's uploads begin with
MACHINES = 2  # of each kind: as many as the cores here
JOB_SECONDS = 120.0
_REPORT = re.compile(r"Billed Duration: (\d+) ms\s+Memory Size: (\d+) MB")


@dataclass(frozen=True)
class Overhead:
    """The seconds of each warm job outside its SageMaker jobs; and per job, on average: state transitions, status
    events, function calls, and their billed GB-seconds."""

    seconds: list[float]
    transitions: float
    status_events: float
    invocations: float
    gb_seconds: float

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class Load:
    """The outcome of many simultaneous uploads, by their last events and the status of their executions. `mails`: the
    number of jobs by their number of mails."""

    uploads: int
    seconds: float
    outcomes: dict[str, int]
    executions: dict[str, int]
    mails: Counter[int]
    still_running: int

    @property
    def succeeded(self) -> int:
        return self.outcomes.get("Job Succeeded", 0)

    @property
    def all_well(self) -> bool:
        """Every upload one success, one mail, and nothing left running."""
        done = self.succeeded == self.executions.get("SUCCEEDED") == self.mails[1] == self.uploads
        return done and self.still_running == 0


@dataclass(frozen=True)
class Stack:
    """The pipeline on a local cloud with stub containers."""

    address: Address
    outputs: Mapping[str, str]

    def upload(self, key: str, body: bytes, email: str = EMAIL) -> None:
        s3 = self.address.client("s3")
        s3.put_object(Bucket=self.outputs["UploadsBucket"], Key=key, Body=body, Metadata={"email": email})

    def execution_arn(self, job_id: str) -> str:
        return f"{self.outputs['PipelineArn'].replace(':stateMachine:', ':execution:')}:{job_id}"

    def history(self, job_id: str) -> list[dict[str, Any]]:
        client = self.address.client("stepfunctions")
        pages = client.get_paginator("get_execution_history").paginate(executionArn=self.execution_arn(job_id))
        return [event for page in pages for event in page["events"]]

    def sagemaker_seconds(self, job_id: str) -> float:
        """From each job's creation to its end: containers, and what SageMaker does around them."""
        client = self.address.client("sagemaker")
        spans = 0.0
        for stage in Stage:
            describe = getattr(client, f"describe_{stage.kind.lower()}_job")
            job = describe(**{f"{stage.kind}JobName": str(JobName(job_id, stage, 1))})
            spans += (job[f"{stage.kind}EndTime"] - job["CreationTime"]).total_seconds()
        return spans


@contextmanager
def stub_stack(
    folder: Path,
    machines: int = MACHINES,
    parameters: Mapping[str, str] | None = None,
    concurrency: int | None = None,
) -> Iterator[Stack]:
    """The project's stack, its stages played by benchmarks/orchestration_stub.py."""
    stub = Path(__file__).with_name("orchestration_stub.py")
    for stage in Stage:
        place = folder / "stubs" / "containers" / stage / stage.spec.module
        place.mkdir(parents=True)
        shutil.copy(stub, place / "__main__.py")
    declared = load_template(ROOT / "template.yaml")["Parameters"]
    names = [declared[f"{stage.state_key.title()}InstanceTypes"]["Default"] for stage in Stage]
    types = {machine.strip() for listed in names for machine in listed.split(",")}
    quotas = dict.fromkeys(types, machines)
    with attached_cloud(folder / "cloud", root=folder / "stubs", quotas=quotas, concurrency=concurrency) as cloud:
        yield Stack(cloud.address, deploy_pipeline(cloud.address, ROOT, parameters))


def zip_of_photos(number: int) -> bytes:
    """A ZIP that passes the first look, which reads names and sizes only; each number makes another."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for photo in range(20):
            archive.writestr(f"DJI_{photo:04}.JPG", f"{number}/{photo}".encode() * 100)
    return buffer.getvalue()


def measure_overhead(stack: Stack, jobs: int, warm_up: int = 3) -> Overhead:
    """One job after the other, the first ones unmeasured: from the upload to the job's last event."""
    seconds, transitions, events = [], [], []
    with subscribed(stack.address, stack.outputs["StatusBusName"]) as subscription:
        for number in range(warm_up + jobs):
            if number == warm_up:
                before = _billed(stack)
            body, started = zip_of_photos(-number), datetime.now(UTC)
            stack.upload(f"warm-{number}.zip", body)
            heard = list(subscription.follow(JOB_SECONDS))
            last = next(event for event in heard if event.ends_job)
            if last.type != "Job Succeeded":
                raise RuntimeError(f"{last.job_id}: {last.type}, {last.message}")
            if number >= warm_up:
                took = (last.at - started).total_seconds()
                seconds.append(took - stack.sagemaker_seconds(last.job_id))
                transitions.append(sum(event["type"].endswith("StateEntered") for event in stack.history(last.job_id)))
                events.append(len(heard))
    after = _billed(stack)
    invocations, gb_seconds = ((now - then) / jobs for now, then in zip(after, before, strict=True))
    return Overhead(seconds, statistics.mean(transitions), statistics.mean(events), invocations, gb_seconds)


def _billed(stack: Stack) -> tuple[int, float]:
    """Invocations of all functions so far and their GB-seconds, from the reports in their logs."""
    reports = [_REPORT.search(line) for line in function_logs(stack.address)]
    billed = [(int(found[1]), int(found[2])) for found in reports if found]
    return len(billed), sum(milliseconds / 1000 * megabytes / 1024 for milliseconds, megabytes in billed)


def run_load(stack: Stack, uploads: int, report: Callable[[int], None], patience: float = JOB_SECONDS) -> Load:
    """All uploads, UPLOADS_EACH a customer, as fast as one connection can put them; then wait for the end of each job
    and its mail.

    Raises TimeoutError when nothing has ended for `patience` seconds.
    """
    started = last_end = time.monotonic()
    ended: dict[str, str] = {}
    with subscribed(stack.address, stack.outputs["StatusBusName"]) as subscription:
        for number in range(uploads):
            stack.upload(f"{LOAD}{number:04}.zip", zip_of_photos(number), customer_of(number))
            _hear(subscription, ended, wait_seconds=0)
        while len(ended) < uploads:
            if _hear(subscription, ended, wait_seconds=1):
                last_end = time.monotonic()
                report(len(ended))
            if time.monotonic() - last_end > patience:
                raise TimeoutError(f"{len(ended)} of {uploads} jobs ended, and then none for {patience:.0f} s")
    return Load(
        uploads=uploads,
        seconds=last_end - started,
        outcomes=dict(Counter(ended.values())),
        executions=_executions(stack),
        mails=_mails(stack, uploads),
        still_running=_still_running(stack),
    )


def _hear(subscription: Subscription, ended: dict[str, str], wait_seconds: int) -> bool:
    """Read the events that have arrived; returns whether a job has ended."""
    heard = [event for event in subscription.receive(wait_seconds) if event.ends_job]
    ended |= {event.job_id: event.type for event in heard}
    return bool(heard)


def customer_of(number: int) -> str:
    """The address of the customer whose upload it is."""
    return f"load-{number // UPLOADS_EACH}@example.com"


def _mails(stack: Stack, expected: int) -> Counter[int]:
    """How many of the load's jobs got no mail, one, two …; the last mails come a moment after the last events."""
    deadline = time.monotonic() + JOB_SECONDS
    while True:
        customers = {customer_of(number) for number in range(expected)}
        mails = [mail for customer in customers for mail in inbox(stack.address, customer) if mail.tells_outcome]
        subjects = Counter(mail.subject for mail in mails if LOAD in mail.subject)
        if len(subjects) == expected or time.monotonic() > deadline:
            return Counter(subjects.values()) + Counter({0: expected - len(subjects)})
        time.sleep(1)


def _executions(stack: Stack) -> dict[str, int]:
    client = stack.address.client("stepfunctions")
    pages = client.get_paginator("list_executions").paginate(stateMachineArn=stack.outputs["PipelineArn"])
    found = [one for page in pages for one in page["executions"] if one["name"].startswith(LOAD)]
    return dict(Counter(one["status"] for one in found))


def _still_running(stack: Stack) -> int:
    client = stack.address.client("sagemaker")
    processing = client.list_processing_jobs(StatusEquals="InProgress")["ProcessingJobSummaries"]
    return len(processing) + len(client.list_training_jobs(StatusEquals="InProgress")["TrainingJobSummaries"])
