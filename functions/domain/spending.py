"""The daily spending limit for all owners: once the day's runs reach it, no new machine is rented. Running ones count
with their maximum cost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit

from contract.codes import ErrorCode
from domain.compute import CannotStart, Compute
from domain.cost import Prices
from domain.dynamo import holds
from domain.errors import JobError
from domain.observability import metrics
from domain.outcome import RunOutcome
from domain.owner_spending import OwnerSpending
from domain.sagemaker_requests import instance_type_in, max_seconds_in
from domain.stage_runs import KEEP_SECONDS, Reservation, StageRuns
from domain.stages import StageRun


class DailySpending:
    """The dollars of each day (UTC), in the limits table, partition key `counter`.

    A run counts on the day of its start: with its maximum cost until it has ended, then with its actual cost. After a
    crash between two writes, the count is too high, never too low.
    """

    def __init__(self, table: Any, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._table, self._clock = table, clock

    def reserve(self, most: float, limit: float) -> Reservation | None:
        """None if the day's limit has no room for so many dollars. The day's first run always has room; otherwise, with
        a limit below the price of one run, no job could ever end."""
        day = self._clock().date().isoformat()
        room = holds(
            self._table.update_item,
            Key=_key(day),
            UpdateExpression="ADD dollars :more SET expiresAt = :at",
            ConditionExpression="attribute_not_exists(dollars) OR dollars <= :room",
            ExpressionAttributeValues={
                ":more": _money(most),
                ":room": _money(max(0.0, limit - most)),  # a run that SageMaker refused leaves 0
                ":at": int(self._clock().timestamp()) + KEEP_SECONDS,
            },
        )
        return Reservation(dollars=most, day=day) if room else None

    def settle(self, reservation: Reservation, spent: float) -> None:
        """Release the part of the reservation that a run did not need; `spent` is 0 for a run that never began."""
        self._table.update_item(
            Key=_key(reservation.day),
            UpdateExpression="ADD dollars :more SET expiresAt = :at",
            ExpressionAttributeValues={
                ":more": _money(spent - reservation.dollars),
                ":at": int(self._clock().timestamp()) + KEEP_SECONDS,
            },
        )


class LimitedCompute(Compute):
    """SageMaker within the daily spending limit. A run for which there is no room is treated as if the quota were used
    up: it waits in the queue until another run ends below its maximum cost, or until the next day."""

    def __init__(self, sagemaker: Any, runs: StageRuns, spending: DailySpending, limit: float, prices: Prices) -> None:
        super().__init__(sagemaker)
        self._runs, self._spending, self._limit, self._prices = runs, spending, limit, prices

    def create(self, run: StageRun, request: dict[str, Any]) -> None:
        most = self._prices.dollars(instance_type_in(request), max_seconds_in(request)) or 0.0
        reservation = self._spending.reserve(most, self._limit)
        if reservation is None:
            metrics.add_metric(name="HeldBySpending", unit=MetricUnit.Count, value=1)
            raise CannotStart(JobError.of(ErrorCode.CAPACITY))
        try:
            super().create(run, request)
        except Exception:
            self._spending.settle(reservation, 0.0)
            raise
        if not self._runs.reserve(run, reservation):  # an earlier invocation created the job, and reserved for it
            self._spending.settle(reservation, 0.0)


class Bills:
    """Records and publishes the cost of ended runs, each once, however often SageMaker reports its end."""

    def __init__(self, runs: StageRuns, spending: DailySpending, owners: OwnerSpending, prices: Prices) -> None:
        self._runs, self._spending, self._owners, self._prices = runs, spending, owners, prices

    def bill(self, run: StageRun, outcome: RunOutcome) -> float:
        """Dollars that were not counted before; 0 for a running run."""
        if not outcome.ended:
            return 0.0
        cost = self._prices.dollars(outcome.instance_type, outcome.seconds) or 0.0
        billed = self._runs.bill(run, cost)
        if billed is None:
            return 0.0
        if billed.reservation:
            self._spending.settle(billed.reservation, cost)
        if billed.owner and cost:  # uploads without an owner are the operator's
            self._owners.charge(billed.owner, cost)
        if cost:
            metrics.add_metric(name="Spend", unit=MetricUnit.NoUnit, value=cost)  # dollars
        return cost


def _key(day: str) -> dict[str, str]:
    return {"counter": f"{day} spending"}


def _money(amount: float) -> Decimal:
    return Decimal(str(round(amount, 4)))
