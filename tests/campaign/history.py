"""One history: customers upload, stop and rerun, an operator redrives; then the invariants are checked."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from contract.blocks import COARSE
from contract.stages import Stage, block_label
from domain.cancel import Canceller
from domain.cost import Prices
from domain.errors import RefusedRequest
from domain.executions import Executions
from domain.job import UploadedObject, job_id_of
from domain.jobs_table import JobsTable
from domain.limits import JobLimits, OwnerLimits
from domain.outcome import outcome_of
from domain.owner_spending import OwnerSpending
from domain.rerun import Rerunner, RerunRequest
from domain.sagemaker_requests import quota_of
from domain.stages import StageRun
from domain.starting import REPLACED
from tests.campaign.machine import Execution
from tests.campaign.pipeline import PILOT, Pipeline, running_pipeline
from tests.campaign.world import EPOCH, Crash, Faults, Refused
from tests.support.archives import TWO_PHOTOS, photos, zip_of
from tests.support.cloud import ENVIRONMENT, RESULTS, STACK, UPLOADS
from tests.support.fakes import RUNNING

LONG_ENOUGH = 50 * 86_400.0  # seconds: past the state machine's own timeout
MAX_ATTEMPTS = 60  # the sum of what the state machine's Retry blocks allow
TELL_SECONDS = 360.0  # from SageMaker's end to the task's, whichever events are lost
PERMITTED, OTHER_STACK = "permitted-bucket", "spaceport-prod"
# Answers to POST /start-job. 202: accepted; 200: already started; 404: replaced; 422: refused; 5xx: only after faults
ANSWERS = {200, 202, 404, 422, 429, 500, 503}
FINAL = {"REJECTED", "SUCCEEDED", "FAILED", "STOPPED"}
BAD = TWO_PHOTOS


@dataclass
class Seen:
    """Invariants checked at every write while the history runs."""

    faults: list[str] = field(default_factory=list)
    free_since: dict[str, float] = field(default_factory=dict)  # by quota: since when machines are idle while runs wait

    def item_written(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        for name in ("progress", "sequence", "sfmSequence", "trainingSequence", "compressorSequence"):
            if name in before and after.get(name, -1) < before[name]:
                self.faults.append(f"{after['jobId']}: {name} fell from {before[name]} to {after.get(name)}")

    def look(self, pipeline: Pipeline) -> None:
        """Checks every minute that each end was reported in time, no machine is idle, and each queued run gets its
        heartbeats."""
        now, machines, world = pipeline.world.now, pipeline.machines, pipeline.world
        waiting = {one.token: one for one in pipeline.machine.frames() if one.token}
        wanted = set()
        for item in pipeline.runs.items.values():
            name = job_name_of(item)
            execution = waiting.get(item["taskToken"])
            if execution is None:
                continue
            begun = (execution.entered_at - EPOCH).total_seconds()
            since = max(machines.ended.get(name, now), begun)
            if name in machines.ended and now - since > TELL_SECONDS + world.excused(since):
                self._once(f"{name} ended {now - since:.0f} s ago, and its task waits")
            if "queuedFor" in item and now - execution.beat_at > TELL_SECONDS + world.excused(execution.beat_at):
                self._once(f"{name} has had no heartbeat for {now - execution.beat_at:.0f} s in the queue")
            if "queuedFor" in item and machines.quota is not None:
                quota = quota_of(json.loads(item["createRequest"]))
                wanted.add(quota)
                self._idle(quota, name, pipeline)
        self.free_since = {quota: since for quota, since in self.free_since.items() if quota in wanted}

    def _idle(self, quota: str, name: str, pipeline: Pipeline) -> None:
        """The idle machines of a quota are those whose jobs ended last: the others have been given a job since."""
        machines, now = pipeline.machines, pipeline.world.now
        assert machines.quota is not None
        jobs = {name: job for name, job in machines.jobs.items() if quota_of(job.request) == quota}
        idle = machines.quota - sum(job.status in RUNNING for job in jobs.values())
        if idle <= 0:
            self.free_since.pop(quota, None)
            return
        ends = sorted((machines.ended[name] for name in jobs if name in machines.ended), reverse=True)
        since = max([self.free_since.setdefault(quota, now), *ends[idle - 1 : idle]])
        if now - since > TELL_SECONDS + pipeline.world.excused(since):
            self._once(f"{name} waits while a machine stands idle ({quota})")

    def _once(self, fault: str) -> None:
        if not any(known.split()[0] == fault.split()[0] for known in self.faults):
            self.faults.append(fault)


@dataclass(frozen=True)
class Report:
    """Result of one history. `faults` describes every broken invariant."""

    seed: int
    faults: tuple[str, ...]
    jobs: int
    outcomes: Counter[str]
    invocations: int
    dead_letters: int
    answers: Counter[int]  # of the API to POST /start-job, by status
    foreign: int  # SageMaker jobs of another stack


def draw_faults(seed: int) -> Faults:
    """The fault rates of a history: all zero, or up to twice the usual ones."""
    chance = random.Random(seed ^ 0x5EED)
    strength = chance.choice([0.0, 0.3, 1.0, 1.0, 2.0])
    return Faults(
        crash=0.01 * strength,
        throttle=0.01 * strength,
        refused=0.02 * strength,
        duplicate=0.15 * strength,
        lost=0.15 * strength,
        late=0.08 * strength,
        stale=0.1 * strength,
        interleave=0.05 * strength,
        behind=0.3 * strength,
        damaged=0.02 * strength,
        unreadable=0.03 * strength,
        skew=2.0 * strength,
        outages=chance.choice([0, 0, 1, 2]) if strength else 0,
        bursts=chance.choice([0, 0, 1, 3]) if strength else 0,
    )


class Customers:
    """Customers and an operator, who act at random times and repeat a call that failed."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline, self._world = pipeline, pipeline.world
        self._flights = itertools.count()
        self.job_ids: list[str] = []
        self.redriven: set[str] = set()
        self.rerun_ids: list[str] = []
        self.answers = Counter[int]()  # of the API to POST /start-job, by status

    def arrive(self) -> None:
        chance = self._world.random
        for number in range(chance.randint(1, 4)):
            key = chance.choice([f"flight-{number}.zip", "meadow.zip"])  # one key may be overwritten by a later upload
            self._world.after(chance.uniform(0, 7200), lambda key=key: self.upload(key))  # type: ignore[misc]

    def upload(self, key: str) -> None:
        chance = self._world.random
        # all flights differ, so that a result shows which job's photos it was made from
        good = zip_of({**dict.fromkeys(photos(6), b"x"), "flight.txt": str(next(self._flights)).encode()})
        (body,) = chance.choices([good, BAD], [9, 1])
        metadata = {"email": PILOT}
        # no event is sent for objects in a permitted bucket: its customer calls the API
        bucket = PERMITTED if self._world.happens(0.2) else UPLOADS
        hidden = self._world.happens(self._world.faults.unreadable)
        body += b"\0" * hidden  # changes the ETag
        answer = self._pipeline.storage.put_object(Bucket=bucket, Key=key, Body=body, Metadata=metadata)
        etag = answer["ETag"].strip('"')
        if hidden:
            self._pipeline.storage.unreadable.add(etag)
        described = {"key": key, "size": len(body), "etag": etag, "version-id": answer["VersionId"]}
        detail = {
            "version": "0",
            "bucket": {"name": bucket},
            "object": {**described, "sequencer": "1"},
            "request-id": "C3D13FE58DE4C810",
            "requester": "123456789012",
            "source-ip-address": "1.2.3.4",
            "reason": chance.choice(["PutObject", "CompleteMultipartUpload"]),
        }
        uploaded = UploadedObject(bucket=bucket, key=key, version_id=answer["VersionId"], etag=etag)
        job_id = job_id_of(uploaded, STACK)
        self.job_ids.append(job_id)
        if bucket == UPLOADS:
            self._pipeline.uploaded(self._pipeline.event("Object Created", "aws.s3", detail))
        if bucket == PERMITTED or self._world.happens(0.1):
            self._world.after(chance.uniform(0, 600), lambda: self._start(bucket, key))
        if self._world.happens(0.2):
            beside = StageRun(job_id=job_id_of(uploaded, OTHER_STACK), stage=chance.choice(list(Stage)), attempt=1)
            self._world.after(chance.uniform(0, 9000), lambda: self._pipeline.of_another_stack(beside.job_name))
        if self._world.happens(0.1):
            self._world.after(chance.uniform(0, 20_000), lambda: self._cancel(job_id))
        if self._world.happens(0.2):
            self._world.after(chance.uniform(20_000, 100_000), lambda: self._rerun(job_id, f"button-{job_id}"))
        if self._world.happens(0.1):
            self._world.after(chance.uniform(10_000, 100_000), lambda: self._redrive(job_id))

    def _start(self, bucket: str, key: str) -> None:
        """POST /start-job, repeated until the API accepts or refuses it."""
        try:
            status = self._pipeline.ask("POST", "/start-job", {"s3_url": f"s3://{bucket}/{key}", "email": PILOT})
        except (Crash, Refused):
            status = 500
        if status >= 500 or status == 429:
            self._world.after(30, lambda: self._start(bucket, key))
        self.answers[status] += 1

    def maybe_cancel(self, execution: Execution) -> None:
        """Stops some executions at the moment in which they enter a state, when most can go wrong."""
        if self._world.happens(0.02) and self._world.faults.crash:
            self._world.after(self._world.random.uniform(0, 2), lambda: self._cancel(execution.name))

    def _cancel(self, job_id: str) -> None:
        try:
            Canceller(self.executions()).cancel(job_id)
        except RefusedRequest:
            pass
        except (ClientError, Crash):
            self._world.after(30, lambda: self._cancel(job_id))

    def _rerun(self, job_id: str, request_id: str) -> None:
        stage = self._world.random.choice(list(Stage))
        client, table = self._pipeline.client, self._pipeline.table
        jobs = JobsTable(table("jobs"))
        limits = OwnerLimits(jobs, OwnerSpending(table("limits")), JobLimits.read())
        rerunner = Rerunner(client("s3"), self.executions(), jobs, limits)
        request = RerunRequest(job_id=job_id, from_stage=stage, request_id=request_id)

        def press() -> None:
            try:
                self.rerun_ids.append(rerunner.rerun(request).job_id)
            except RefusedRequest:
                pass
            except (ClientError, Crash):
                self._world.after(30, press)

        press()
        if self._world.happens(0.5):
            self._world.after(self._world.random.uniform(1, 10_000), press)

    def _redrive(self, job_id: str) -> None:
        if job_id in self._pipeline.machine.executions and self._pipeline.machine.redrive(job_id):
            self.redriven.add(job_id)

    def executions(self) -> Executions:
        return Executions(self._pipeline.client("stepfunctions"), ENVIRONMENT["PIPELINE_ARN"])


def play(seed: int) -> Report:
    """Plays the history of `seed` to its end and checks the invariants."""
    seen = Seen()
    with running_pipeline(seed, draw_faults(seed)) as pipeline:
        pipeline.jobs.watch = seen.item_written
        pipeline.machines.quota = pipeline.world.random.choice([1, 1, 2, None])
        customers = Customers(pipeline)
        pipeline.machine.entered = customers.maybe_cancel
        pipeline.looked_round = lambda: seen.look(pipeline)
        customers.arrive()
        pipeline.world.run(LONG_ENOUGH)
        faults = (*seen.faults, *broken_invariants(pipeline, customers))
    statuses = Counter(str(item.get("status")) for item in pipeline.jobs.items.values())
    return Report(
        seed,
        faults,
        len(customers.job_ids),
        statuses,
        pipeline.invocations,
        pipeline.dead_letters,
        customers.answers,
        len(pipeline.foreign),
    )


def broken_invariants(pipeline: Pipeline, customers: Customers) -> list[str]:
    faults = [f"{name} ran beside another of its stage" for name in pipeline.machines.twice]
    running = [job.name for job in pipeline.machines.jobs.values() if job.status in RUNNING]
    faults += [f"{name} still runs" for name in running]
    executions = pipeline.machine.executions
    faults += [f"{one.name} is still {one.status}" for one in executions.values() if one.status == "RUNNING"]
    faults += [f"{one.name} has a token that waits" for one in pipeline.machine.frames() if one.token]
    faults += _over_budget(pipeline)
    faults += [f"{key} still queues" for key, item in pipeline.runs.items.items() if "queuedFor" in item]
    items = {key[0]: item for key, item in pipeline.jobs.items.items()}
    faults += _paid_for_nothing(pipeline)
    faults += [f"{name} was given up, as Lambda had no room for a call" for name in pipeline.machine.given_up]
    faults += [f"{name} has no item" for name in executions if name not in items]
    for job_id, item in items.items():
        faults += _faults_of(job_id, item, pipeline, job_id in customers.redriven)
    faults += _lost(pipeline, customers, set(items))
    pressed = Counter(customers.rerun_ids)
    faults += [f"{one} is no rerun that anybody asked for" for one in executions if "-r" in one and one not in pressed]
    faults += [
        f"{name} is another stack's, and was stopped" for name in pipeline.foreign if name in pipeline.machines.stopped
    ]
    faults += [f"{key} is another stack's job" for key, _ in pipeline.runs.items if key in _foreign_jobs(pipeline)]
    if unexpected := customers.answers.keys() - ANSWERS:
        faults.append(f"the API answered {sorted(unexpected)} to a start")
    return faults + _of_others(pipeline)


def _foreign_jobs(pipeline: Pipeline) -> set[str]:
    runs = [StageRun.parse(name) for name in pipeline.foreign]
    return {run.job_id for run in runs if run is not None}


def _of_others(pipeline: Pipeline) -> list[str]:
    """Checks that each result is of its own upload: the first stage read the version that its job was started for."""
    faults = []
    for name, execution in pipeline.machine.executions.items():
        copy = pipeline.storage.objects.get((RESULTS, f"intermediates/{name}/upload/upload.zip"))
        number = int(execution.input["versionId"].removeprefix("v"))
        own = pipeline.storage.objects[execution.input["bucket"], execution.input["key"]][number - 1]
        if copy is not None and (own is None or [one.body for one in copy if one] != [own.body]):
            faults.append(f"{name} was given another upload than its own")
    return faults


def job_name_of(item: dict[str, Any]) -> str:
    """The SageMaker job's name in a row of the stage runs table."""
    stage, *block, attempt = item["stageRun"].split("#")
    part = [label if label == COARSE else block_label(int(label[1:])) for label in block]
    return "-".join([item["jobId"], stage, *part, str(int(attempt))])


def _over_budget(pipeline: Pipeline) -> list[str]:
    """No job costs more than its budget, however many blocks train side by side."""
    budget, prices = float(ENVIRONMENT["JOB_BUDGET_DOLLARS"]), Prices()
    spent = dict[str, float]()
    for name, job in pipeline.machines.jobs.items():
        run = StageRun.parse(name)
        assert run is not None
        outcome = outcome_of(run, job.described())
        dollars = prices.dollars(outcome.instance_type, outcome.seconds) or 0.0
        spent[run.job_id] = spent.get(run.job_id, 0.0) + dollars
    return [f"{job_id} cost {cost:.2f} of {budget:.2f} dollars" for job_id, cost in spent.items() if cost > budget]


def _paid_for_nothing(pipeline: Pipeline) -> list[str]:
    """Each attempt at a stage but the first follows one that did not complete, or whose result was damaged."""
    faults, attempts = [], dict[tuple[str, str], list[str]]()  # by job, and by stage and block
    for name in pipeline.machines.created:
        run = StageRun.parse(name)
        assert run is not None
        part = run.stage.value if run.block is None else f"{run.stage} {run.block}"
        attempts.setdefault((run.job_id, part), []).append(name)
    for (job_id, stage), names in attempts.items():
        explained = [
            name
            for name in names
            if pipeline.machines.jobs[name].status != "Completed" or name in pipeline.machines.damaged
        ]
        if len(names) > len(explained) + 1 or [name for name in names[:-1] if name not in explained]:
            faults.append(f"{job_id} was paid for {len(names)} attempts at {stage}, and {len(explained)} are explained")
        if len(names) > MAX_ATTEMPTS:
            faults.append(f"{job_id} had {len(names)} attempts at {stage}")
    return faults


def _faults_of(job_id: str, item: dict[str, Any], pipeline: Pipeline, redriven: bool) -> list[str]:
    faults = []
    status = item.get("status")
    if status not in FINAL:
        faults.append(f"{job_id} ended nowhere: {status}")
    execution = pipeline.machine.executions.get(job_id)
    ended = execution.status if execution else "none"
    entered = {event["stateEnteredEventDetails"]["name"] for event in _entered(execution)}
    begun = {"SUCCEEDED"} if "JobSucceeded" in entered else {"FAILED"} if "JobFailed" in entered else set()
    expected = {
        "none": {"REJECTED"},
        "SUCCEEDED": {"SUCCEEDED"},
        "FAILED": {"FAILED"},
        "TIMED_OUT": {"FAILED"},
        "ABORTED": {"STOPPED", *begun},  # it may have been stopped while it published its final event
    }[ended]
    if redriven and ended != "SUCCEEDED":
        expected = {"FAILED", "STOPPED", *begun}
    if status not in expected:
        faults.append(f"{job_id} is {status}, and its execution ended as {ended}")
    if item.get("message") == REPLACED:
        return faults  # no final event: the newer upload has one
    mails = Counter(type_ for mailed, type_ in pipeline.mail.sent if mailed == job_id)
    # a mail is sent twice only if a crash, or faults in writing both records, followed SES's acceptance
    if any(count > 1 + pipeline.mail.unrecorded[job_id, type_] for type_, count in mails.items()):
        faults.append(f"{job_id} got a mail twice: {dict(mails)}")
    # a redrive may turn a published failure into a success
    if len(mails) != 1 and not (redriven and "Job Succeeded" in mails and len(mails) == 2):
        faults.append(f"{job_id} got {sorted(mails) or 'no mail'}")
    if status not in {type_.removeprefix("Job ").upper() for type_ in mails}:
        faults.append(f"{job_id} is {status}, and its mails say {sorted(mails)}")
    return faults


def _entered(execution: Execution | None) -> list[dict[str, Any]]:
    return [event for event in execution.history if event["type"] == "TaskStateEntered"] if execution else []


def _lost(pipeline: Pipeline, customers: Customers, known: set[str]) -> list[str]:
    """Uploads that became no job, except those that were overwritten before start_job read them."""
    newest: dict[tuple[str, str], str] = {}
    for (bucket, key), versions in pipeline.storage.objects.items():
        if bucket in (UPLOADS, PERMITTED) and versions[-1] is not None:
            last = versions[-1]
            uploaded = UploadedObject(bucket=bucket, key=key, version_id=f"v{last.number}", etag=last.etag)
            newest[bucket, key] = job_id_of(uploaded, STACK)
    lost = [f"{job_id} was lost" for job_id in newest.values() if job_id not in known]
    return lost + [f"{job_id} came from nowhere" for job_id in known if job_id.split("-r")[0] not in customers.job_ids]
