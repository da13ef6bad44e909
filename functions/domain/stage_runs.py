"""The stage runs table: which task token waits for which SageMaker job, and which runs wait for a machine.

Tokens never leave the control plane.
"""

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from contract.stages import Stage
from domain.dynamo import holds
from domain.stages import RetryState, StageRun

KEEP_SECONDS = 60 * 24 * 3600


class WaitingRun(BaseModel):
    """A stage run and the token its callback task waits with.

    While it waits for a machine, `request` holds the arguments of its Create call and `queued_at` when its job was
    uploaded.
    """

    run: StageRun
    task_token: str
    retry_state: RetryState = RetryState()
    request: dict[str, Any] | None = None
    queued_at: str = ""

    @property
    def queued(self) -> bool:
        return self.request is not None


class StageRuns:
    """Partition key `jobId`, sort key `stageRun` (`<stage>#<attempt, 4 digits>`).

    The index `queue` holds the items that have `queuedFor` (a stage) and `queuedAt` (when its job was uploaded).
    """

    def __init__(self, table: Any, clock: Callable[[], float] = time.time) -> None:
        self._table, self._clock = table, clock

    def remember(self, run: StageRun, task_token: str, retry_state: RetryState) -> None:
        """Store the token of a new run, or again of the same invocation repeated.

        Raises ConditionalCheckFailedException when another token already waits for this run.
        """
        self._table.put_item(
            Item={
                **self._key(run),
                "stage": run.stage.value,
                "attempt": run.attempt,
                "taskToken": task_token,
                "retryState": retry_state.model_dump(by_alias=True),
                "expiresAt": int(self._clock()) + KEEP_SECONDS,
            },
            ConditionExpression="attribute_not_exists(jobId) OR taskToken = :token",
            ExpressionAttributeValues={":token": task_token},
        )

    def adopt(self, waiting: WaitingRun, task_token: str) -> None:
        """Let a new token wait for an existing run.

        Raises ConditionalCheckFailedException if another token has replaced it.
        """
        self._table.update_item(
            Key=self._key(waiting.run),
            UpdateExpression="SET taskToken = :new",
            ConditionExpression="taskToken = :old",
            ExpressionAttributeValues={":new": task_token, ":old": waiting.task_token},
        )

    def queue_up(self, run: StageRun, task_token: str, request: dict[str, Any], uploaded_at: str) -> None:
        """Let the run wait for a machine, behind those of earlier uploads.

        Raises ConditionalCheckFailedException when another token took the run over meanwhile.
        """
        self._table.update_item(
            Key=self._key(run),
            UpdateExpression="SET queuedFor = :stage, queuedAt = :at, createRequest = :request",
            ConditionExpression="taskToken = :token",
            ExpressionAttributeValues={
                ":stage": run.stage.value,
                ":at": f"{uploaded_at}#{run.job_id}",
                ":request": json.dumps(request),
                ":token": task_token,
            },
        )

    def bill(self, run: StageRun, dollars: float) -> bool:
        """Record what the ended run has cost; False when it was recorded before, or the run is unknown."""
        return holds(
            self._table.update_item,
            Key=self._key(run),
            UpdateExpression="SET dollars = :dollars",
            ConditionExpression="attribute_exists(jobId) AND attribute_not_exists(dollars)",
            ExpressionAttributeValues={":dollars": Decimal(str(dollars))},
        )

    def leave_queue(self, run: StageRun) -> bool:
        """Take the run out of the queue; False when it was not in it."""
        return holds(
            self._table.update_item,
            Key=self._key(run),
            UpdateExpression="REMOVE queuedFor, queuedAt, createRequest",
            ConditionExpression="attribute_exists(queuedFor)",
        )

    def queue(self, *stages: Stage) -> Iterator[WaitingRun]:
        """The runs of these stages that wait for a machine, earliest upload first. An index is behind its table by
        moments."""
        return heapq.merge(*map(self._queue_of, stages), key=lambda waiting: waiting.queued_at)

    def _queue_of(self, stage: Stage) -> Iterator[WaitingRun]:
        more: dict[str, Any] = {}
        while True:
            page = self._table.query(
                IndexName="queue",
                KeyConditionExpression="queuedFor = :stage",
                ExpressionAttributeValues={":stage": stage.value},
                Limit=50,
                **more,
            )
            yield from (_waiting(item) for item in page["Items"])
            if "LastEvaluatedKey" not in page:
                return
            more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def find(self, run: StageRun) -> WaitingRun | None:
        item = self._table.get_item(Key=self._key(run), ConsistentRead=True).get("Item")
        return _waiting(item) if item else None

    def of_job(self, job_id: str) -> list[WaitingRun]:
        """Every run of a job, oldest attempt first within a stage."""
        answer = self._table.query(
            KeyConditionExpression="jobId = :job", ExpressionAttributeValues={":job": job_id}, ConsistentRead=True
        )
        return [_waiting(item) for item in answer["Items"]]

    def latest(self, job_id: str, stage: Stage) -> WaitingRun | None:
        runs = [waiting for waiting in self.of_job(job_id) if waiting.run.stage is stage]
        return max(runs, key=lambda waiting: waiting.run.attempt, default=None)

    @staticmethod
    def _key(run: StageRun) -> dict[str, str]:
        return {"jobId": run.job_id, "stageRun": f"{run.stage}#{run.attempt:04d}"}


def _waiting(item: dict[str, Any]) -> WaitingRun:
    run = StageRun(job_id=item["jobId"], stage=Stage(item["stage"]), attempt=int(item["attempt"]))
    request = json.loads(item["createRequest"]) if "createRequest" in item else None
    return WaitingRun(
        run=run,
        task_token=item["taskToken"],
        retry_state=RetryState.model_validate(item["retryState"]),
        request=request,
        queued_at=item.get("queuedAt", ""),
    )
