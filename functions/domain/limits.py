"""Limits for one owner: open jobs, jobs and dollars per day, mails per day, calls per minute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from domain.job_item import REJECTED, JobItem
from domain.jobs_table import JobsTable
from domain.owner_spending import OwnerSpending
from domain.settings import Settings

# for one address, and for one owner's jobs; outcome mails and start mails are counted separately
MAX_MAILS_A_DAY, MAX_START_MAILS_A_DAY = 20, 5
MAX_CALLS_A_MINUTE = 300  # of the API by one caller: ten open pages of running jobs
MAX_COUNTED_JOBS = 500  # of an owner, the newest


class JobLimits(Settings):
    """The limits of one owner. `owner_daily_dollars` is compared with what the stage runs that ended today have cost;
    each job that runs may still cost its budget."""

    owner_open_jobs: int
    owner_daily_jobs: int
    owner_daily_dollars: float


def reached(limits: JobLimits, others: Sequence[JobItem], spent: float, now: datetime) -> str | None:
    """The limit that one more job beside `others` would exceed, as facts for the customer; None if there is room.
    `spent`: dollars of the day. Pure."""
    open_jobs = sum(item.open for item in others)
    today = [
        item
        for item in others
        if item.started_at is not None and item.started_at.date() == now.date() and item.status != REJECTED
    ]
    if open_jobs >= limits.owner_open_jobs:
        return f"{open_jobs} of {limits.owner_open_jobs} jobs wait or run"
    if len(today) >= limits.owner_daily_jobs:
        return f"{len(today)} of {limits.owner_daily_jobs} jobs were started today"
    if spent >= limits.owner_daily_dollars:
        return f"{spent:.2f} of {limits.owner_daily_dollars:.2f} dollars were spent today"
    return None


class OwnerLimits:
    """Refuses jobs beyond an owner's limits. It reads an index that lags behind the table by moments, so jobs that
    start at the same moment may exceed a limit, by as many as are started at once."""

    def __init__(
        self,
        jobs: JobsTable,
        spending: OwnerSpending,
        limits: JobLimits,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._jobs, self._spending, self._limits, self._clock = jobs, spending, limits, clock

    def reached_by(self, owner: str | None, job_id: str = "") -> str | None:
        """The limit that the job would exceed for `owner`; uploads without an owner are the operator's."""
        if owner is None:
            return None
        others = [item for item in self._jobs.of_owner(owner, MAX_COUNTED_JOBS) if item.job_id != job_id]
        return reached(self._limits, others, self._spending.spent_today(owner), self._clock())


class Counters:
    """Counters that restart every day or minute. Partition key `counter`."""

    def __init__(self, table: Any, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._table, self._clock = table, clock

    def count(self, what: str, period: str) -> int:
        """How many times this was counted in the current period ("day", "minute"), this time included."""
        return self._add(1, what, period)

    def take_back(self, what: str, period: str) -> None:
        """Undo one count if nothing came of it. Counting first and undoing later enforces the limit for simultaneous
        calls, too; an undo after the end of the period lets one more through in the next."""
        self._add(-1, what, period)

    def _add(self, number: int, what: str, period: str) -> int:
        now = self._clock()
        begun = now.strftime({"day": "%Y-%m-%d", "minute": "%Y-%m-%dT%H:%M"}[period])
        answer = self._table.update_item(
            Key={"counter": f"{begun} {what}"},
            UpdateExpression="ADD calls :number SET expiresAt = :at",
            ExpressionAttributeValues={":number": number, ":at": int(now.timestamp()) + 2 * 24 * 3600},
            ReturnValues="ALL_NEW",
        )
        return int(answer["Attributes"]["calls"])
