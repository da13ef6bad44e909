"""The jobs table: one item a job. start_job writes who asked for what, track_progress how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pydantic import Field

from contract.stages import Stage
from domain.dynamo import holds
from domain.job import Camel, Job
from domain.job_item import ItemUpdate, JobItem

BY_OWNER = "byOwner"  # index: partition key `owner`, sort key `uploadedAt`
KEEP_SECONDS = 400 * 24 * 3600


class JobFacts(Camel):
    """What is recorded of a job beside its upload. `reused`: attributes of the stages that a rerun does not repeat."""

    photos: int | None = None
    rerun_of: str | None = None
    rerun_from: Stage | None = None
    reused: dict[str, Any] = Field(default_factory=dict)

    @property
    def attributes(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"reused"}) | self.reused


class JobsTable:
    """Partition key `jobId`."""

    def __init__(self, table: Any, clock: Callable[[], float] = time.time) -> None:
        self._table, self._clock = table, clock

    def record(self, job: Job, more: JobFacts | None = None) -> None:
        """Write the facts of the upload and `more`; repeating it changes nothing and never touches progress."""
        facts = {
            "name": job.name,
            "bucket": job.bucket,
            "objectKey": job.key,
            "pipelineStep": job.options.pipeline_step.value,
            "quality": job.options.quality,
            "uploadedAt": job.uploaded_at.isoformat(),
            "startedAt": datetime.fromtimestamp(self._clock(), UTC).isoformat(),
            "expiresAt": int(self._clock()) + KEEP_SECONDS,
            **({"owner": job.owner} if job.owner else {}),
            **({"email": job.options.email} if job.options.email else {}),
            **({"trainingSteps": job.options.training_steps} if job.options.training_steps else {}),
            **_storable((more or JobFacts()).attributes),
        }
        names = {f"#{name}": name for name in facts}
        self._table.update_item(
            Key={"jobId": job.job_id},
            UpdateExpression="SET " + ", ".join(f"#{name} = if_not_exists(#{name}, :{name})" for name in facts),
            ExpressionAttributeNames=names,
            ExpressionAttributeValues={f":{name}": value for name, value in facts.items()},
        )

    def find(self, job_id: str) -> JobItem | None:
        item = self._table.get_item(Key={"jobId": job_id}, ConsistentRead=True).get("Item")
        return JobItem.of(item) if item else None

    def of_owner(self, owner: str, limit: int, until: str | None = None) -> list[JobItem]:
        """At most `limit` jobs of an owner, the newest upload first; `until`: only uploads of then and before."""
        answer = self._table.query(
            IndexName=BY_OWNER,
            KeyConditionExpression="#owner = :owner" + (" AND uploadedAt <= :until" if until else ""),
            ExpressionAttributeNames={"#owner": "owner"},
            ExpressionAttributeValues={":owner": owner, **({":until": until} if until else {})},
            ScanIndexForward=False,
            Limit=limit,
        )
        return [JobItem.of(item) for item in answer["Items"]]

    def mark(self, job_id: str, moments: Mapping[str, str]) -> JobItem:
        """Keep the first value of each of `moments`; the whole item as it is then."""
        answer = self._table.update_item(
            Key={"jobId": job_id},
            UpdateExpression="SET " + ", ".join(f"#{name} = if_not_exists(#{name}, :{name})" for name in moments),
            ExpressionAttributeNames={f"#{name}": name for name in moments},
            ExpressionAttributeValues={f":{name}": value for name, value in moments.items()},
            ReturnValues="ALL_NEW",
        )
        return JobItem.of(answer["Attributes"])

    def apply(self, job_id: str, updates: Iterable[ItemUpdate]) -> int:
        """Make the updates that are news; returns how many were."""
        return sum(self._apply(job_id, update) for update in updates)

    def _apply(self, job_id: str, update: ItemUpdate) -> bool:
        return holds(
            self._table.update_item,
            Key={"jobId": job_id},
            UpdateExpression="SET " + ", ".join(f"#{i} = :{i}" for i in range(len(update.values))),
            ConditionExpression="attribute_not_exists(#guard) OR #guard < :guard",
            ExpressionAttributeNames={"#guard": update.guard, **{f"#{i}": n for i, n in enumerate(update.values)}},
            ExpressionAttributeValues={
                ":guard": _storable(update.values[update.guard]),
                **{f":{i}": _storable(value) for i, value in enumerate(update.values.values())},
            },
        )


def _storable(value: Any) -> Any:
    """DynamoDB takes no floats."""
    if isinstance(value, float):
        return Decimal(str(value))
    if isinstance(value, dict):
        return {name: _storable(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_storable(inner) for inner in value]
    return value
