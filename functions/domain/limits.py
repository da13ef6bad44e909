"""What one owner may have of the pipeline: open jobs, jobs and dollars a day, mails a day, calls a minute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from domain.job_item import JobItem
from domain.jobs_table import JobsTable
from domain.settings import Settings

# to one address, and about the jobs of one owner: of outcomes, and of starts, which take nothing from the outcomes
MAX_MAILS_A_DAY, MAX_START_MAILS_A_DAY = 20, 5
MAX_CALLS_A_MINUTE = 300  # of the API by one caller: ten open pages of running jobs
LOOKED_AT = 500  # of an owner's newest jobs


class JobLimits(Settings):
    """Of one owner. `owner_daily_dollars` counts what today's jobs have cost so far; each may still cost its budget."""

    owner_open_jobs: int
    owner_daily_jobs: int
    owner_daily_dollars: float


def reached(limits: JobLimits, others: Sequence[JobItem], now: datetime) -> str | None:
    """Which limit leaves no room for one more job beside `others`, as facts for the customer; None where there is room.
    Pure."""
    open_jobs = sum(item.open for item in others)
    today = [item for item in others if item.started_at is not None and item.started_at.date() == now.date()]
    spent = sum(item.dollars for item in today)
    if open_jobs >= limits.owner_open_jobs:
        return f"{open_jobs} of {limits.owner_open_jobs} jobs wait or run"
    if len(today) >= limits.owner_daily_jobs:
        return f"{len(today)} of {limits.owner_daily_jobs} jobs were started today"
    if spent >= limits.owner_daily_dollars:
        return f"{spent:.2f} of {limits.owner_daily_dollars:.2f} dollars were spent today"
    return None


class OwnerLimits:
    """Refuses what is beyond an owner's limits. The index that it reads is behind the table by moments: each start of
    the same moment may go beyond, as many as run at once."""

    def __init__(
        self, jobs: JobsTable, limits: JobLimits, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._jobs, self._limits, self._clock = jobs, limits, clock

    def reached_by(self, owner: str | None, job_id: str = "") -> str | None:
        """The limit that leaves `owner` no room for the job; uploads of nobody are the operator's own."""
        if owner is None:
            return None
        items = self._jobs.of_owner(owner, LOOKED_AT)
        return reached(self._limits, [item for item in items if item.job_id != job_id], self._clock())


class Counters:
    """Counts that begin anew with each day or minute. Partition key `counter`."""

    def __init__(self, table: Any, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._table, self._clock = table, clock

    def count(self, what: str, period: str) -> int:
        """How many times this was counted in the current period ("day", "minute"), this time included."""
        return self._add(1, what, period)

    def take_back(self, what: str, period: str) -> None:
        """Undo one count of what came to nothing. Counted before and taken back, a limit holds for calls at once, too;
        past the end of the period one more is let through in the next."""
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
