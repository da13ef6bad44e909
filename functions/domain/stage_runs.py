"""The stage runs table: which task token waits for which SageMaker job, which runs wait for a machine, and when each
run is to be checked.

Tokens never leave the control plane.
"""

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from contract.blocks import COARSE, BlockName
from contract.stages import Stage
from domain.dynamo import answer_if_holds, holds
from domain.stages import RetryState, StageRun

MAX_PAGE = 50
KEEP_SECONDS = 60 * 24 * 3600
# a run without news for this long is checked. watch_runs runs every minute; at the first check, SageMaker's description
# may not show the end yet, and the second check must still come within six minutes of the end
QUIET_SECONDS = 120
# how long a waiting run belongs to the invocation that is creating its job; after that, another one may try
CLAIM_SECONDS = 45
_OVER = "0"  # `claimedUntil` of a released claim: sorts before any time
# postponing a check by less than this is not worth a write: containers report progress every few seconds
MIN_POSTPONED_SECONDS = 60
BLOCKS_A_TURN = 8  # of one large flight, before the other jobs of its turn in the queue


class Reservation(BaseModel):
    """The dollars that a run may cost at most, and the day (UTC) on whose limit they count."""

    dollars: float
    day: str


class Billed(BaseModel):
    """A run whose cost was just recorded; `reservation`: the money that was reserved for it."""

    owner: str | None
    reservation: Reservation | None


class WaitingRun(BaseModel):
    """A stage run and the token of the callback task that waits for it.

    `start_tag`: the job's tag, by which owners take turns (domain/fairness.py). While the run waits for a machine,
    `request` holds the arguments of its Create call, and `place` is the queue's sort key. `claimed`: an invocation was
    about to make that call, and may have crashed or met a fault afterwards.
    """

    run: StageRun
    task_token: str
    retry_state: RetryState = RetryState()
    start_tag: int = 0
    request: dict[str, Any] | None = None
    place: str = ""
    claimed: bool = False

    @property
    def queued(self) -> bool:
        return self.request is not None

    @property
    def queued_at(self) -> datetime | None:
        """When it began to wait for a machine; None if it has one."""
        return datetime.fromisoformat(self.place.split("#")[-2]) if self.queued else None


class StageRuns:
    """Partition key `jobId`, sort key `stageRun`: `<stage>#<attempt, 4 digits>`, for a block `<stage>#b007#<attempt>`,
    for the coarse model `<stage>#coarse#<attempt>`.

    The index `queue` holds the items that have `queuedFor` (a stage) and `queuedAt` (start tag, time, job). The index
    `watch` holds those that have `watchedFor` (a stage) and `nextLook` (UTC): a task may still wait for them.
    """

    def __init__(self, table: Any, clock: Callable[[], float] = time.time) -> None:
        self._table, self._clock = table, clock

    def remember(
        self, run: StageRun, task_token: str, retry_state: RetryState, start_tag: int, owner: str | None = None
    ) -> None:
        """Store the token of a new run of the owner's job; repeating the same call changes nothing.

        Raises ConditionalCheckFailedException if another token already waits for this run.
        """
        self._table.put_item(
            Item={
                **self._key(run),
                "stage": run.stage.value,
                "attempt": run.attempt,
                "taskToken": task_token,
                "retryState": retry_state.model_dump(by_alias=True),
                "startTag": start_tag,
                **({"owner": owner} if owner else {}),
                "watchedFor": run.stage.value,
                "nextLook": self._after(QUIET_SECONDS),
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
            UpdateExpression="SET taskToken = :new, watchedFor = :stage, nextLook = :at",
            ConditionExpression="taskToken = :old",
            ExpressionAttributeValues={
                ":new": task_token,
                ":old": waiting.task_token,
                ":stage": waiting.run.stage.value,
                ":at": self._after(QUIET_SECONDS),
            },
        )

    def queue_up(self, run: StageRun, task_token: str, request: dict[str, Any], start_tag: int) -> None:
        """Queue the run for a machine, behind runs with a lower start tag and runs that came before. A run that is
        already waiting keeps its place.

        Raises ConditionalCheckFailedException if another token has taken the run over meanwhile.
        """
        self._table.update_item(
            Key=self._key(run),
            UpdateExpression="SET queuedFor = :stage, createRequest = :body, queuedAt = if_not_exists(queuedAt, :at)",
            ConditionExpression="taskToken = :token",
            ExpressionAttributeValues={
                ":stage": run.stage.value,
                ":at": _place(run, start_tag, self._after(0, "milliseconds")),
                ":body": json.dumps(request),
                ":token": task_token,
            },
        )

    def note_news(self, run: StageRun, at: datetime | None = None) -> bool:
        """Note that there was news of the run, or a check of it, at `at` (default: now; an event may arrive later than
        its time). The next check follows QUIET_SECONDS later. False if nothing was written, because the check that is
        already due comes late enough, or because the run is no longer watched."""
        since = at.timestamp() if at else self._clock()
        return holds(
            self._table.update_item,
            Key=self._key(run),
            UpdateExpression="SET nextLook = :at",
            ConditionExpression="nextLook < :soon",
            ExpressionAttributeValues={
                ":at": _utc(since + QUIET_SECONDS),
                ":soon": _utc(since + QUIET_SECONDS - MIN_POSTPONED_SECONDS),
            },
        )

    def answered(self, run: StageRun, task_token: str, reason: str = "") -> bool:
        """Stop watching the run; False if another token waits for it meanwhile. `reason`: why it failed, for
        operators."""
        if reason:
            self.note(run, reason)
        return holds(
            self._table.update_item,
            Key=self._key(run),
            UpdateExpression="REMOVE watchedFor, nextLook",
            ConditionExpression="taskToken = :token",
            ExpressionAttributeValues={":token": task_token},
        )

    def note(self, run: StageRun, reason: str) -> None:
        """Why the run failed, for operators."""
        self._table.update_item(
            Key=self._key(run),
            UpdateExpression="SET reason = :reason",
            ExpressionAttributeValues={":reason": reason},
        )

    def due(self, *stages: Stage) -> Iterator[StageRun]:
        """The runs of these stages without news for QUIET_SECONDS, those with the oldest news first."""
        for item in heapq.merge(*map(self._due_of, stages), key=lambda item: item["nextLook"]):
            yield _run_of(item["jobId"], item["stageRun"])

    def _due_of(self, stage: Stage) -> Iterator[dict[str, Any]]:
        values = {":stage": stage.value, ":now": self._after(0)}
        return self._pages("watch", "watchedFor = :stage AND nextLook <= :now", values)

    def reserve(self, run: StageRun, reservation: Reservation) -> bool:
        """Note the money reserved for the run; False if some is already reserved for it."""
        return holds(
            self._table.update_item,
            Key=self._key(run),
            UpdateExpression="SET reserved = :reserved, reservedOn = :day",
            ConditionExpression="attribute_not_exists(reserved)",
            ExpressionAttributeValues={":reserved": Decimal(str(reservation.dollars)), ":day": reservation.day},
        )

    def bill(self, run: StageRun, dollars: float) -> Billed | None:
        """Record the cost of the ended run; None if it was recorded before, or if the run is unknown."""
        answer = answer_if_holds(
            self._table.update_item,
            Key=self._key(run),
            UpdateExpression="SET dollars = :dollars",
            ConditionExpression="attribute_exists(jobId) AND attribute_not_exists(dollars)",
            ExpressionAttributeValues={":dollars": Decimal(str(dollars))},
            ReturnValues="ALL_NEW",
        )
        if answer is None:
            return None
        item = answer["Attributes"]
        held = Reservation(dollars=float(item["reserved"]), day=item["reservedOn"]) if "reserved" in item else None
        return Billed(owner=item.get("owner"), reservation=held)

    def claim(self, run: StageRun) -> str | None:
        """Prevent other invocations from creating the run's job for CLAIM_SECONDS. Returns the claim, or None if
        another invocation has claimed the run, or it left the queue."""
        until = self._after(CLAIM_SECONDS, "milliseconds")
        claimed = holds(
            self._table.update_item,
            Key=self._key(run),
            UpdateExpression="SET claimedUntil = :until",
            ConditionExpression=(
                "attribute_exists(queuedFor) AND (attribute_not_exists(claimedUntil) OR claimedUntil < :now)"
            ),
            ExpressionAttributeValues={
                ":until": until,
                ":now": self._after(0, "milliseconds"),
            },
        )
        return until if claimed else None

    def release(self, run: StageRun, claim: str) -> None:
        """End `claim`, so that the next invocation may create the run's job; do nothing if the claim has expired and
        another invocation holds the run. The run stays marked as claimed: its job may exist if a fault came after its
        creation."""
        holds(
            self._table.update_item,
            Key=self._key(run),
            UpdateExpression="SET claimedUntil = :over",
            ConditionExpression="claimedUntil = :claim",
            ExpressionAttributeValues={":claim": claim, ":over": _OVER},
        )

    def leave_queue(self, run: StageRun) -> bool:
        """Take the run out of the queue; False if it was not in it."""
        return holds(
            self._table.update_item,
            Key=self._key(run),
            UpdateExpression="REMOVE queuedFor, queuedAt, createRequest, claimedUntil",
            ConditionExpression="attribute_exists(queuedFor)",
        )

    def queue(self, *stages: Stage) -> Iterator[WaitingRun]:
        """The runs of these stages that wait for a machine, in the order of their turns. The index lags behind the
        table by moments."""
        return heapq.merge(*map(self._queue_of, stages), key=lambda waiting: waiting.place)

    def _queue_of(self, stage: Stage) -> Iterator[WaitingRun]:
        for item in self._pages("queue", "queuedFor = :stage", {":stage": stage.value}):
            yield _waiting(item)

    def _pages(self, index: str, condition: str, values: dict[str, str]) -> Iterator[dict[str, Any]]:
        return self._query(condition, values, IndexName=index, Limit=MAX_PAGE)

    def _query(self, condition: str, values: dict[str, str], **how: Any) -> Iterator[dict[str, Any]]:
        more: dict[str, Any] = {}
        while True:
            page = self._table.query(KeyConditionExpression=condition, ExpressionAttributeValues=values, **how, **more)
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def find(self, run: StageRun) -> WaitingRun | None:
        item = self._table.get_item(Key=self._key(run), ConsistentRead=True).get("Item")
        return _waiting(item) if item else None

    def of_job(self, job_id: str) -> list[WaitingRun]:
        """Every run of a job, oldest attempt first within a stage and block."""
        return [_waiting(item) for item in self._query("jobId = :job", {":job": job_id}, ConsistentRead=True)]

    def _after(self, seconds: float, timespec: str = "seconds") -> str:
        return _utc(self._clock() + seconds, timespec)

    @staticmethod
    def _key(run: StageRun) -> dict[str, str]:
        return {"jobId": run.job_id, "stageRun": f"{run.stage}{_part_of(run.block)}#{run.attempt:04d}"}


def _utc(timestamp: float, timespec: str = "seconds") -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec=timespec)


def _place(run: StageRun, start_tag: int, at: str) -> str:
    """The sort key of the queue: turn, time, job. Every eight blocks of a large flight take a separate turn and come
    last in it, so that a job with many blocks does not hold up all later jobs."""
    later = (run.block - 1) // BLOCKS_A_TURN if isinstance(run.block, int) else 0
    last = f"~{later:02d}#" if later else ""  # sorted behind every time
    return f"{start_tag + later:012d}#{last}{at}#{run.job_id}"


def latest_of(runs: Iterable[WaitingRun], stage: Stage, block: BlockName | None = None) -> WaitingRun | None:
    """The newest attempt of a stage, or of a block of it, among a job's runs."""
    attempts = (one for one in runs if (one.run.stage, one.run.block) == (stage, block))
    return max(attempts, key=lambda one: one.run.attempt, default=None)


def _part_of(block: BlockName | None) -> str:
    """The part of the sort key between stage and attempt."""
    if block is None:
        return ""
    return f"#{COARSE}" if block == COARSE else f"#b{block:03d}"


def _run_of(job_id: str, stage_run: str) -> StageRun:
    stage, *part, attempt = stage_run.split("#")
    block: BlockName | None = None
    if part:
        block = COARSE if part == [COARSE] else int(part[0].removeprefix("b"))
    return StageRun(job_id=job_id, stage=Stage(stage), attempt=int(attempt), block=block)


def _waiting(item: dict[str, Any]) -> WaitingRun:
    run = _run_of(item["jobId"], item["stageRun"])
    request = json.loads(item["createRequest"]) if "createRequest" in item else None
    return WaitingRun(
        run=run,
        task_token=item["taskToken"],
        retry_state=RetryState.model_validate(item["retryState"]),
        start_tag=int(item.get("startTag", 0)),
        request=request,
        place=item.get("queuedAt", ""),
        claimed="claimedUntil" in item,
    )
