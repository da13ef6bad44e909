"""The jobs table: one item per job. start_job writes the owner and the options, track_progress the progress.

The item of a job that succeeded stays until its owner deletes it; others expire. The item of a deleted job becomes
one that says only this, so that events on their way do not bring the job back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pydantic import Field

from contract.events import StatusType
from contract.options import TEXTS
from contract.stages import Stage
from domain.dynamo import holds
from domain.job import Camel, Job
from domain.job_item import REJECTED, ItemUpdate, JobItem
from domain.shares import MAX_SHARES, Share
from domain.tickets import new_key

BY_OWNER = "byOwner"  # index: partition key `owner`, sort key `uploadedAt`; keys alone
MAX_BATCH = 100  # keys of one BatchGetItem
STARTING = "starting"  # index: partition key `startingFor`, sort key `startingAt`
KEEP_SECONDS = 400 * 24 * 3600  # unless the job succeeds
KEEP_DELETED_SECONDS = 11 * 24 * 3600  # DynamoDB removes items within two days of their expiry
_THERE = "attribute_exists(jobId) AND attribute_not_exists(#deleted)"
_DELETED = "deleted"


class JobFacts(Camel):
    """The facts about a job besides its upload. `reused`: attributes of the stages that a rerun does not repeat."""

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

    def record(self, job: Job, more: JobFacts | None = None, start_with: str | None = None) -> None:
        """Write the facts of the upload and `more`. Repeating the call changes nothing and never touches progress.

        `start_with`: the work that remains for the job until `started` is called; sweep_jobs does it if the caller
        crashes.
        """
        self._write_facts(job.job_id, self._facts(job, more, start_with))

    def record_rerun(self, job: Job, more: JobFacts, start_with: str) -> bool:
        """Write the facts of a rerun, replacing those of a request that never started it. Returns False if its events
        have arrived: then the item holds the facts of the request that did start it."""
        return holds(
            self._table.put_item,
            Item={"jobId": job.job_id, **self._facts(job, more, start_with)},
            ConditionExpression="attribute_not_exists(#status)",
            ExpressionAttributeNames={"#status": "status"},
        )

    def forget_rejection(self, job_id: str) -> None:
        """Remove all but the record of mails from the item of a rejected job, which begins anew."""
        names = {f"#{i}": name for i, name in enumerate(sorted({*self.attributes(job_id)} - {"jobId", "mailed"}))}
        holds(
            self._table.update_item,
            Key={"jobId": job_id},
            UpdateExpression="REMOVE " + ", ".join(names),
            ConditionExpression="#status = :rejected",
            ExpressionAttributeNames={**names, "#status": "status"},
            ExpressionAttributeValues={":rejected": REJECTED},
        )

    def started(self, job_id: str) -> None:
        """Note that the work which `record` received as `start_with` is done."""
        self._table.update_item(Key={"jobId": job_id}, UpdateExpression="REMOVE startingFor, startingAt, startWith")

    def not_started(self, before: datetime) -> list[tuple[str, str]]:
        """The jobs recorded before then for which work remains, with that work."""
        answer = self._table.query(
            IndexName=STARTING,
            KeyConditionExpression="startingFor = :start AND startingAt < :before",
            ExpressionAttributeValues={":start": "start", ":before": before.astimezone(UTC).isoformat()},
        )
        return [(item["jobId"], item["startWith"]) for item in answer["Items"]]

    def _facts(self, job: Job, more: JobFacts | None, start_with: str | None) -> dict[str, Any]:
        now = self._clock()
        starting = {
            "startingFor": "start",
            "startingAt": datetime.fromtimestamp(now, UTC).isoformat(),
            "startWith": start_with,
        }
        return {
            **{name: text for name in TEXTS if (text := getattr(job.options, name))},
            "name": job.name,
            "bucket": job.bucket,
            "objectKey": job.key,
            **({"versionId": job.version_id} if job.version_id else {}),
            "pipelineStep": job.options.pipeline_step.value,
            "quality": job.options.quality,
            "uploadedAt": job.uploaded_at.isoformat(),
            "startedAt": datetime.fromtimestamp(now, UTC).isoformat(),
            "expiresAt": int(now) + KEEP_SECONDS,
            "sceneKey": new_key(),
            **({"owner": job.owner} if job.owner else {}),
            **({"remarks": list(job.remarks)} if job.remarks else {}),
            **({"email": job.options.email} if job.options.email else {}),
            **({"trainingSteps": job.options.training_steps} if job.options.training_steps else {}),
            **_storable((more or JobFacts()).attributes),
            **(starting if start_with is not None else {}),
        }

    def _write_facts(self, job_id: str, facts: Mapping[str, Any]) -> None:
        names = {f"#{name}": name for name in facts}
        self._table.update_item(
            Key={"jobId": job_id},
            UpdateExpression="SET " + ", ".join(f"#{name} = if_not_exists(#{name}, :{name})" for name in facts),
            ExpressionAttributeNames=names,
            ExpressionAttributeValues={f":{name}": value for name, value in facts.items()},
        )

    def find(self, job_id: str) -> JobItem | None:
        """None for a job that is not there, or was deleted."""
        item = self.attributes(job_id)
        return JobItem.of(item) if item.keys() > {"jobId"} else None

    def of_owner(
        self, owner: str, limit: int, until: str | None = None, before: tuple[str, str] | None = None
    ) -> list[JobItem]:
        """`limit` jobs of an owner, newest upload first. If several were uploaded in the same second as the last one,
        all of them are returned, because the index does not order them. `until`: only uploads up to then; `before`:
        only jobs that come after this (uploadedAt, jobId) in descending order."""
        latest = before[0] if before else until
        asked: dict[str, Any] = {
            "IndexName": BY_OWNER,
            "KeyConditionExpression": "#owner = :owner" + (" AND uploadedAt <= :latest" if latest else ""),
            "ExpressionAttributeNames": {"#owner": "owner"},
            "ExpressionAttributeValues": {":owner": owner, **({":latest": latest} if latest else {})},
            "ScanIndexForward": False,
            "Limit": limit + 1,  # the item after the last shows whether the last one's second is complete
        }
        ids = list(_page(limit, before, self._keys(asked)))
        found = {item["jobId"]: JobItem.of(item) for item in self._batch(ids)}
        return [found[job_id] for job_id in ids if job_id in found]  # the index lags behind the table by moments

    def _keys(self, asked: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """(uploadedAt, jobId) of each item that a query finds, as it is read."""
        while True:
            answer = self._table.query(**asked)
            yield from ((item["uploadedAt"], item["jobId"]) for item in answer["Items"])
            if "LastEvaluatedKey" not in answer:
                return
            asked = {**asked, "ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def _batch(self, ids: list[str]) -> Iterator[Mapping[str, Any]]:
        """The items themselves: the index holds only keys, so that a job's progress is not written to it as well."""
        for begin in range(0, len(ids), MAX_BATCH):
            wanted: Any = {self._table.name: {"Keys": [{"jobId": one} for one in ids[begin : begin + MAX_BATCH]]}}
            while wanted:
                answer = self._table.meta.client.batch_get_item(RequestItems=wanted)
                yield from answer["Responses"][self._table.name]
                wanted = answer.get("UnprocessedKeys")

    def attributes(self, job_id: str) -> dict[str, Any]:
        """The item as DynamoDB stores it; only its key if it does not exist yet, or was deleted."""
        found: dict[str, Any] = self._table.get_item(Key={"jobId": job_id}, ConsistentRead=True).get("Item", {})
        return {"jobId": job_id, **({} if _DELETED in found else found)}

    def set_name(self, job_id: str, name: str) -> None:
        """Rename the job, if it exists."""
        self._change(job_id, "SET #name = :value", {"#name": "name"}, name)

    def add_share(self, job_id: str, share_id: str, share: Share) -> bool:
        """False if the job already has MAX_SHARES shares, or is gone."""
        self._change(job_id, "SET shares = if_not_exists(shares, :value)", {}, {})
        facts = share.model_dump(mode="json", by_alias=True, exclude_none=True)
        return holds(
            self._table.update_item,
            Key={"jobId": job_id},
            UpdateExpression="SET shares.#share = :value",
            ConditionExpression=f"{_THERE} AND size(shares) < :max",
            ExpressionAttributeNames={"#share": share_id, "#deleted": _DELETED},
            ExpressionAttributeValues={":value": facts, ":max": MAX_SHARES},
        )

    def remove_share(self, job_id: str, share_id: str) -> None:
        """Withdraw a share; repeating the call changes nothing."""
        self._change(job_id, "SET shares = if_not_exists(shares, :value)", {}, {})
        self._change(job_id, "REMOVE shares.#share", {"#share": share_id})

    def _change(self, job_id: str, expression: str, names: Mapping[str, str], value: Any = None) -> None:
        """Update the item if it exists: the job may have been deleted meanwhile."""
        holds(
            self._table.update_item,
            Key={"jobId": job_id},
            UpdateExpression=expression,
            ConditionExpression=_THERE,
            ExpressionAttributeNames={"#deleted": _DELETED, **names},
            **({} if value is None else {"ExpressionAttributeValues": {":value": value}}),
        )

    def delete(self, item: JobItem) -> None:
        """Delete a job that has ended. One that was rejected had no execution, whose events could be on their way, and
        may begin anew."""
        if item.status == REJECTED:
            self._table.delete_item(Key={"jobId": item.job_id})
            return
        expires_at = int(self._clock()) + KEEP_DELETED_SECONDS
        self._table.put_item(Item={"jobId": item.job_id, _DELETED: True, "expiresAt": expires_at})

    def note_mail(self, job_id: str, type_: StatusType) -> None:
        """Record that a mail about this event was sent, unless the job was deleted meanwhile."""
        holds(
            self._table.update_item,
            Key={"jobId": job_id},
            UpdateExpression="ADD mailed :types",
            ConditionExpression="attribute_not_exists(#deleted)",
            ExpressionAttributeNames={"#deleted": _DELETED},
            ExpressionAttributeValues={":types": {type_.value}},
        )

    def apply(self, job_id: str, updates: Sequence[ItemUpdate], moments: Mapping[str, str] | None = None) -> int:
        """Make the updates that are newer than the item, and keep the first value of each of `moments`. Returns how
        many updates were made.

        If all are newer, as for an event that arrives in order, one write is enough; otherwise each has its own.
        """
        first = moments or {}
        if self._write(job_id, updates, first):
            return len(updates)
        if first:
            self._write(job_id, [], first)
        return sum(self._write(job_id, [update], {}) for update in updates) if len(updates) > 1 or first else 0

    def _write(self, job_id: str, updates: Sequence[ItemUpdate], moments: Mapping[str, str]) -> bool:
        """False if one of the updates is not newer, or the job was deleted; then none is made."""
        values = {name: _storable(value) for update in updates for name, value in update.values.items()}
        # an event also creates the item of a job that was not recorded
        kept = {"expiresAt": int(self._clock()) + KEEP_SECONDS, **moments}
        kept = {name: value for name, value in kept.items() if name not in values}
        number = {name: i for i, name in enumerate([*kept, *values])}
        changes = [f"#{number[name]} = if_not_exists(#{number[name]}, :{number[name]})" for name in kept]
        changes += [f"#{number[name]} = :{number[name]}" for name in values]
        guards = [number[update.guard] for update in updates]
        newer = [f"(attribute_not_exists(#{guard}) OR #{guard} < :{guard})" for guard in guards]
        return holds(
            self._table.update_item,
            Key={"jobId": job_id},
            UpdateExpression="SET " + ", ".join(changes),
            ConditionExpression=" AND ".join(["attribute_not_exists(#deleted)", *newer]),
            ExpressionAttributeNames={"#deleted": _DELETED, **{f"#{i}": name for name, i in number.items()}},
            ExpressionAttributeValues={f":{number[name]}": value for name, value in (kept | values).items()},
        )


def _storable(value: Any) -> Any:
    """Convert floats, which boto3 does not accept for DynamoDB."""
    if isinstance(value, float):
        return Decimal(str(value))
    if isinstance(value, dict):
        return {name: _storable(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_storable(inner) for inner in value]
    return value


def _page(limit: int, before: tuple[str, str] | None, keys: Iterable[tuple[str, str]]) -> Iterator[str]:
    """The ids of `limit` keys after `before`, and of the keys in the same second as the last one."""
    count, last = 0, ""
    for second, job_id in keys:
        if count >= limit and second != last:
            return
        if before is None or (second, job_id) < before:
            yield job_id
            count, last = count + 1, second
