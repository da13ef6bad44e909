"""Fairness between owners in the queues for machines: start-time fair queueing, one job per owner and round.

Goyal, Vin and Cheng, Start-time Fair Queuing, SIGCOMM 1996, with every job of weight and length 1. A job's start tag is
the later of the system's virtual time (the tag served last) and the tag after its owner's last job. Machines go to the
lowest tag, so that owners with jobs in the queue take turns, no matter who came first and with how many jobs. An owner
who used the machines while nobody else wanted them is not penalised for it later.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from domain.dynamo import holds
from domain.stage_runs import KEEP_SECONDS

_VIRTUAL_TIME = "startTag"


class StartTags:
    """The virtual time and each owner's next tag, in the limits table, partition key `counter`."""

    def __init__(self, table: Any, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._table, self._clock = table, clock

    def take(self, owner: str | None) -> int:
        """The tag of the owner's next job. Uploads without an owner count as the operator's, who is one owner."""
        own = {"counter": f"{_VIRTUAL_TIME} {owner or ''}"}
        now = self._table.get_item(Key={"counter": _VIRTUAL_TIME}).get("Item", {}).get("startTag", 0)
        self._raise(own, int(now))
        answer = self._table.update_item(
            Key=own,
            UpdateExpression="ADD startTag :one SET expiresAt = :at",
            ExpressionAttributeValues={":one": 1, ":at": int(self._clock().timestamp()) + KEEP_SECONDS},
            ReturnValues="ALL_NEW",
        )
        return int(answer["Attributes"]["startTag"]) - 1

    def served(self, tag: int) -> None:
        """Advance virtual time: a run with this tag got its machine."""
        self._raise({"counter": _VIRTUAL_TIME}, tag)

    def _raise(self, key: dict[str, str], tag: int) -> None:
        holds(
            self._table.update_item,
            Key=key,
            UpdateExpression="SET startTag = :tag",
            ConditionExpression="attribute_not_exists(startTag) OR startTag < :tag",
            ExpressionAttributeValues={":tag": tag},
        )
