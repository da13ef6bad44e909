"""The state of one job: the answer to Describe and the content of its state-change events."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from local.sagemaker.plan import Kind, Plan
from local.sagemaker.validation import api_model

IN_PROGRESS, COMPLETED, FAILED, STOPPING, STOPPED = "InProgress", "Completed", "Failed", "Stopping", "Stopped"
TERMINAL = frozenset({COMPLETED, FAILED, STOPPED})
MAX_REASON_CHARACTERS = 1024

_STATUS_MESSAGES = {
    "Starting": "Preparing the instances for training",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Stopping": "Stopping the training job",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopped": "Training job stopped",
    "Interrupted": "Training job was interrupted: the Spot instance was reclaimed",
    "MaxWaitTimeExceeded": "Training job waited for Spot instances for longer than MaxWaitTimeInSeconds provided",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
}

Announce = Callable[["Job"], None]


@dataclass
class Job:
    """A processing or training job. Times are seconds since the epoch. Only `move` changes the job's state."""

    kind: Kind
    name: str
    arn: str
    request: Mapping[str, Any]
    plan: Plan
    created: float
    clock: Callable[[], float]
    announce: Announce
    status: str = IN_PROGRESS
    secondary: str = "Starting"
    started: float | None = None
    ended: float | None = None
    modified: float = 0.0
    failure_reason: str | None = None
    exit_message: str | None = None
    transitions: list[dict[str, Any]] = field(default_factory=list)
    stop_requested: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.modified = self.created
        self._open_transition(self.created)

    @property
    def finished(self) -> bool:
        return self.status in TERMINAL

    def move(self, status: str, secondary: str, *, failure_reason: str | None = None) -> None:
        """Change the status and announce it; a job that has ended, or is being stopped, never goes back."""
        with self._lock:
            if self.finished or (self.status == STOPPING and status == IN_PROGRESS):
                return
            now = self.clock()
            if secondary == "Training" and self.started is None:
                self.started = now
            self.status, self.secondary, self.modified = status, secondary, now
            if failure_reason is not None:
                self.failure_reason = failure_reason[:MAX_REASON_CHARACTERS]
            self.transitions[-1]["EndTime"] = now
            self._open_transition(now)
            if status in TERMINAL:
                self.ended = self.transitions[-1]["EndTime"] = now
        # a Processing job has no secondary status: SageMaker does not report its transfers
        if self.kind is Kind.TRAINING or secondary not in ("Downloading", "Uploading"):
            self.announce(self)

    def _open_transition(self, now: float) -> None:
        message = _STATUS_MESSAGES[self.secondary]
        self.transitions.append({"Status": self.secondary, "StartTime": now, "StatusMessage": message})

    def describe(self) -> dict[str, Any]:
        """The answer of DescribeProcessingJob or DescribeTrainingJob; times in seconds since the epoch."""
        kind = self.kind.value
        members = api_model().shape_for(f"Describe{kind}JobResponse").members
        answer = {name: value for name, value in self.request.items() if name in members}
        answer |= {
            f"{kind}JobName": self.name,
            f"{kind}JobArn": self.arn,
            f"{kind}JobStatus": self.status,
            "CreationTime": self.created,
            "LastModifiedTime": self.modified,
        }
        if self.started is not None:
            answer[f"{kind}StartTime"] = self.started
        if self.ended is not None and self.started is not None:
            answer[f"{kind}EndTime"] = self.ended
        if self.failure_reason is not None:
            answer["FailureReason"] = self.failure_reason
        if self.kind is Kind.PROCESSING:
            answer.setdefault("StoppingCondition", {"MaxRuntimeInSeconds": int(self.plan.max_runtime)})
            if self.exit_message is not None:
                answer["ExitMessage"] = self.exit_message
        else:
            answer |= self._training_members()
        return answer

    def _training_members(self) -> dict[str, Any]:
        members: dict[str, Any] = {
            "SecondaryStatus": self.secondary,
            "SecondaryStatusTransitions": [dict(transition) for transition in self.transitions],
            "ModelArtifacts": {},
        }
        if self.started is not None and self.ended is not None:
            seconds = max(1, round(self.ended - self.started))
            members |= {"TrainingTimeInSeconds": seconds, "BillableTimeInSeconds": seconds}
            if self.status in (COMPLETED, STOPPED):
                members["ModelArtifacts"] = {"S3ModelArtifacts": self.plan.outputs[0].uri}
        return members

    def summary(self) -> dict[str, Any]:
        """The job's entry in ListProcessingJobs or ListTrainingJobs."""
        members = api_model().shape_for(f"{self.kind.value}JobSummary").members
        return {name: value for name, value in self.describe().items() if name in members}

    def event_detail(self) -> dict[str, Any]:
        """The detail of a state-change event: Describe's answer without the environment, times in milliseconds.

        https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html
        """
        detail: dict[str, Any] = _in_milliseconds(self.describe())
        detail.pop("Environment", None)
        return detail | {"Tags": {tag["Key"]: tag["Value"] for tag in self.request.get("Tags", [])}}


def _in_milliseconds(value: Any) -> Any:
    if isinstance(value, list):
        return [_in_milliseconds(member) for member in value]
    if isinstance(value, dict):
        return {
            name: round(member * 1000)
            if name.endswith("Time") and isinstance(member, float)
            else _in_milliseconds(member)
            for name, member in value.items()
        }
    return value
