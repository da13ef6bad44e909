"""Implement the API's operations on the jobs of one machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from local.sagemaker.job import STOPPING, Announce, Job
from local.sagemaker.plan import Kind, plan_processing, plan_training
from local.sagemaker.runner import Runner
from local.sagemaker.validation import RequestError, validate

_PLANNERS = {Kind.PROCESSING: plan_processing, Kind.TRAINING: plan_training}
CLOSE_SECONDS = 5.0


@dataclass
class SageMaker:
    """Jobs by kind and name, each run in a separate thread. `announce` is called at every change of state.

    `quotas`: machines by instance type. As in AWS, each kind of job has a separate quota of that size, and so has Spot;
    a type that is not named has no limit.
    """

    runner: Runner
    announce: Announce
    region: str
    account: str
    quotas: Mapping[str, int] = field(default_factory=dict)
    clock: Callable[[], float] = time.time
    _jobs: dict[tuple[Kind, str], Job] = field(default_factory=dict)
    _threads: list[threading.Thread] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one API call (`CreateTrainingJob` …). Raises RequestError."""
        kind = Kind.TRAINING if "TrainingJob" in operation else Kind.PROCESSING
        operations: dict[str, Callable[[Kind, Mapping[str, Any]], dict[str, Any]]] = {
            f"Create{kind}Job": self._create,
            f"Describe{kind}Job": self._describe,
            f"Stop{kind}Job": self._stop,
            f"List{kind}Jobs": self._list,
        }
        if operation not in operations:
            raise RequestError("UnknownOperationException", f"{operation} is not supported by the local SageMaker")
        validate(operation, request)
        return operations[operation](kind, request)

    def tags(self, operation: str, request: Mapping[str, Any]) -> dict[str, str]:
        """The tags of the job that a request names; empty if the job does not exist yet."""
        kind = Kind.TRAINING if "TrainingJob" in operation else Kind.PROCESSING
        with self._lock:
            job = self._jobs.get((kind, request.get(f"{kind}JobName", "")))
        return {tag["Key"]: tag["Value"] for tag in job.request.get("Tags", [])} if job else {}

    def close(self) -> None:
        """Stop every job and wait up to CLOSE_SECONDS for them, before the process ends."""
        for job in self._running():
            job.stop_requested.set()
        deadline = self.clock() + CLOSE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - self.clock()))

    def _create(self, kind: Kind, request: Mapping[str, Any]) -> dict[str, Any]:
        plan = _PLANNERS[kind](request)
        name = request[f"{kind}JobName"]
        arn = f"arn:aws:sagemaker:{self.region}:{self.account}:{kind.lower()}-job/{name}"
        with self._lock:
            if (kind, name) in self._jobs:
                raise RequestError("ResourceInUse", f"Job name must be unique, and a job with this name exists: {arn}")
            self._check_quota(kind, request)
            # its time is read after the check: otherwise it could begin before the job whose machine it gets has ended
            job = Job(kind, name, arn, request, plan, self.clock(), self.clock, self.announce)
            self._jobs[kind, name] = job
            thread = threading.Thread(target=self._run, args=(job,), name=name, daemon=True)
            self._threads = [other for other in self._threads if other.is_alive()] + [thread]
        thread.start()
        return {f"{kind}JobArn": arn}

    def _check_quota(self, kind: Kind, request: Mapping[str, Any]) -> None:
        machine, quota = _machine(kind, request), _quota(kind, request)
        at_work = sum(
            not job.finished and other is kind and _quota(kind, job.request) == quota
            for (other, _), job in self._jobs.items()
        )
        if at_work >= self.quotas.get(machine, at_work + 1):
            usage = f"'{quota}' is {self.quotas[machine]} Instances"
            message = f"The account-level service limit {usage}, with current utilization of {at_work} Instances"
            raise RequestError("ResourceLimitExceeded", f"{message} and a request delta of 1 Instances.")

    def _run(self, job: Job) -> None:
        self.announce(job)
        self.runner.run(job)

    def _describe(self, kind: Kind, request: Mapping[str, Any]) -> dict[str, Any]:
        return self._find(kind, request).describe()

    def _stop(self, kind: Kind, request: Mapping[str, Any]) -> dict[str, Any]:
        job = self._find(kind, request)
        if job.finished:
            message = f"The request was rejected because the {kind.lower()} job is in status {job.status}."
            raise RequestError("ValidationException", message)
        job.stop_requested.set()
        job.move(STOPPING, "Stopping")
        return {}

    def _list(self, kind: Kind, request: Mapping[str, Any]) -> dict[str, Any]:
        start = int(request.get("NextToken", 0))
        size = request.get("MaxResults", 10)
        with self._lock:
            jobs = [job for (job_kind, _), job in self._jobs.items() if job_kind is kind]
        found = [
            job
            for job in jobs
            if request.get("NameContains", "") in job.name
            and request.get("StatusEquals", job.status) == job.status
            and request.get("CreationTimeAfter", 0) <= job.created <= request.get("CreationTimeBefore", float("inf"))
        ]
        found.sort(key=_sort_key(request), reverse=request.get("SortOrder", "Descending") == "Descending")
        answer: dict[str, Any] = {f"{kind}JobSummaries": [job.summary() for job in found[start : start + size]]}
        if start + size < len(found):
            answer["NextToken"] = str(start + size)
        return answer

    def _find(self, kind: Kind, request: Mapping[str, Any]) -> Job:
        name = request[f"{kind}JobName"]
        with self._lock:
            job = self._jobs.get((kind, name))
        if job is None:
            message = (
                "Requested resource not found."
                if kind is Kind.TRAINING
                else f"Could not find requested job with name: {name}"
            )
            raise RequestError("ValidationException", message)
        return job

    def _running(self) -> list[Job]:
        with self._lock:
            return [job for job in self._jobs.values() if not job.finished]


def _machine(kind: Kind, request: Mapping[str, Any]) -> str:
    """The instance type that the job asks for."""
    resources = request["ResourceConfig"] if kind is Kind.TRAINING else request["ProcessingResources"]["ClusterConfig"]
    machine: str = resources["InstanceType"]
    return machine


def _quota(kind: Kind, request: Mapping[str, Any]) -> str:
    """The name of the quota that the job uses; Spot has a separate one."""
    spot = "spot " if request.get("EnableManagedSpotTraining") else ""
    return f"{_machine(kind, request)} for {spot}{kind.lower()} job usage"


def _sort_key(request: Mapping[str, Any]) -> Callable[[Job], Any]:
    by = request.get("SortBy", "CreationTime")
    if by == "Name":
        return lambda job: job.name
    if by == "Status":
        return lambda job: job.status
    return lambda job: job.created
