"""Tasks that ask for a machine, and what dispatch starts from the queue."""

from __future__ import annotations

from typing import Any

from contract.stages import Stage
from tests.support.cloud import invoke
from tests.support.events import sample_event
from tests.support.runs import ask_for

UPLOADED = "2026-05-04T10:{:02d}:00Z"


def ask(
    number: int, stage: Stage = Stage.TRAINING, token: str = "", quality: str = "standard", owner: str | None = "alice"
) -> None:
    """Asks for a machine for the task of the job that was uploaded at `number` minutes past ten."""
    event = ask_for(stage, token or f"token-{number}")
    event["job"] |= {"jobId": f"job-{number}", "uploadedAt": UPLOADED.format(number)}
    event["job"]["options"]["quality"] = quality
    event["job"]["owner"] = owner
    invoke("run_stage", event)


def name(number: int, stage: Stage = Stage.TRAINING) -> str:
    return f"job-{number}-{stage}-1"


def ended(number: int, stage: Stage = Stage.TRAINING) -> dict[str, Any]:
    event = sample_event("dispatch/job-stopped")
    event["detail-type"] = f"SageMaker {stage.kind} Job State Change"
    event["detail"] = {f"{stage.kind}JobName": name(number, stage), f"{stage.kind}JobStatus": "Completed"}
    return event


def look_round() -> list[str]:
    served: list[str] = invoke("dispatch", sample_event("dispatch/scheduled"))["served"]
    return served


class Clock:
    """A clock that stands still unless a test advances it."""

    def __init__(self) -> None:
        self.now = 1_777_000_000.0

    def __call__(self) -> float:
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        self.now += seconds

    def pass_minutes(self, minutes: float) -> None:
        self.pass_seconds(60 * minutes)
