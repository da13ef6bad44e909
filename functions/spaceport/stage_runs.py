"""The stage runs table: which task token waits for which SageMaker job. Tokens never leave the control plane."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from boto3.dynamodb.conditions import Attr, Key
from pydantic import BaseModel

from spaceport.stages import Stage, StageRun

KEEP_SECONDS = 30 * 24 * 3600


class WaitingRun(BaseModel):
    """A stage run and the token its callback task waits with."""

    run: StageRun
    task_token: str


class StageRuns:
    """Partition key `jobId`, sort key `stageRun` (`<stage>#<attempt, 4 digits>`)."""

    def __init__(self, table: Any, clock: Callable[[], float] = time.time) -> None:
        self._table, self._clock = table, clock

    def remember(self, run: StageRun, task_token: str) -> None:
        """Store the token of a new run, or again of the same invocation repeated.

        Raises ConditionalCheckFailedException when another token already waits for this run.
        """
        self._table.put_item(
            Item={
                **self._key(run),
                "stage": run.stage.value,
                "attempt": run.attempt,
                "taskToken": task_token,
                "expiresAt": int(self._clock()) + KEEP_SECONDS,
            },
            ConditionExpression=Attr("jobId").not_exists() | Attr("taskToken").eq(task_token),
        )

    def adopt(self, waiting: WaitingRun, task_token: str) -> None:
        """Let a new token wait for a run that is already there.

        Raises ConditionalCheckFailedException if somebody else's token took its place.
        """
        self._table.update_item(
            Key=self._key(waiting.run),
            UpdateExpression="SET taskToken = :new",
            ConditionExpression="taskToken = :old",
            ExpressionAttributeValues={":new": task_token, ":old": waiting.task_token},
        )

    def find(self, run: StageRun) -> WaitingRun | None:
        item = self._table.get_item(Key=self._key(run), ConsistentRead=True).get("Item")
        return _waiting(item) if item else None

    def of_job(self, job_id: str) -> list[WaitingRun]:
        """Every run of a job, oldest attempt first within a stage."""
        answer = self._table.query(KeyConditionExpression=Key("jobId").eq(job_id), ConsistentRead=True)
        return [_waiting(item) for item in answer["Items"]]

    def latest(self, job_id: str, stage: Stage) -> WaitingRun | None:
        runs = [waiting for waiting in self.of_job(job_id) if waiting.run.stage is stage]
        return max(runs, key=lambda waiting: waiting.run.attempt, default=None)

    @staticmethod
    def _key(run: StageRun) -> dict[str, str]:
        return {"jobId": run.job_id, "stageRun": f"{run.stage}#{run.attempt:04d}"}


def _waiting(item: dict[str, Any]) -> WaitingRun:
    run = StageRun(job_id=item["jobId"], stage=Stage(item["stage"]), attempt=int(item["attempt"]))
    return WaitingRun(run=run, task_token=item["taskToken"])
