"""What each owner's runs have cost in a day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

KEEP_SECONDS = 2 * 24 * 3600


class OwnerSpending:
    """The dollars of each owner and day (UTC), in the limits table, partition key `counter`.

    A run counts on the day of its end, however it ended, even if its job is deleted later. After a crash between two
    writes, the count may lack one run.
    """

    def __init__(self, table: Any, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._table, self._clock = table, clock

    def charge(self, owner: str, dollars: float) -> None:
        """Add the cost of a run that has ended."""
        self._table.update_item(
            Key=self._key(owner),
            UpdateExpression="ADD dollars :more SET expiresAt = :at",
            ExpressionAttributeValues={
                ":more": Decimal(str(round(dollars, 4))),
                ":at": int(self._clock().timestamp()) + KEEP_SECONDS,
            },
        )

    def spent_today(self, owner: str) -> float:
        return float(self._table.get_item(Key=self._key(owner)).get("Item", {}).get("dollars", 0))

    def _key(self, owner: str) -> dict[str, str]:
        return {"counter": f"{self._clock().date().isoformat()} spending of {owner}"}
