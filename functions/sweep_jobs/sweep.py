"""Find jobs that were recorded but not started, and ended jobs that have no final event.

Step Functions delivers its own events on a best-effort basis:
https://docs.aws.amazon.com/eventbridge/latest/ref/events-ref-states.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial

from contract.events import FAILED_SEQUENCE
from domain.clients import AWS_FAULTS
from domain.executions import Ended, Executions
from domain.jobs_table import JobsTable
from domain.observability import logger
from domain.status import StatusBus
from domain.stopping import Stopper
from domain.unstarted import Unstarted

GRACE = timedelta(minutes=10)  # after this, an end event is no longer on its way
LOOK_BACK = timedelta(hours=4)  # several sweeps see each end, in case one of them fails
MAX_JOB_AGE = timedelta(days=48)  # longer than the state machine's TimeoutSeconds
# Step Functions lists executions by their start, not by their end. All unsuccessful ones of 48 days are a hundred pages
# at 100,000 jobs a day; they are read once an hour. The other sweeps read only executions that began recently, which
# nearly all that end now did.
RECENT = timedelta(days=2)


class Unswept(Exception):
    """Some jobs could not be swept; the others were."""

    def __init__(self, swept: list[str], faults: list[str]) -> None:
        self.swept = swept
        super().__init__(", ".join(faults))


class Sweeper:
    """Everything that it calls is passed in."""

    def __init__(self, executions: Executions, jobs: JobsTable, stopper: Stopper, bus: StatusBus) -> None:
        self._executions, self._jobs, self._stopper, self._bus = executions, jobs, stopper, bus

    def sweep(self, now: datetime) -> list[str]:
        """Start jobs that were recorded but not started, and clean up after executions whose end the jobs table does
        not show; returns the ids of these jobs.

        A fault with one job does not affect the others. Raises Unswept at the end if there was any: the event, or its
        dead letter, is delivered again with the same time `now`, so no end is missed by being older than LOOK_BACK.
        """
        swept, faults = list[str](), list[str]()
        for job_id, sweep in self._found(now):
            try:
                if sweep():
                    swept.append(job_id)
            except AWS_FAULTS:
                logger.exception("job not swept", job_id=job_id)
                faults.append(job_id)
        if faults:
            raise Unswept(swept, faults)
        return swept

    def _found(self, now: datetime) -> Iterator[tuple[str, Callable[[], bool]]]:
        for job_id, start_with in self._jobs.not_started(now - GRACE):
            yield job_id, partial(self._finish, job_id, start_with)
        for ended in self._executions.ended_between(now - oldest_begin(now), now - LOOK_BACK, now - GRACE):
            yield ended.job_id, partial(self._clean_up, ended)

    def _finish(self, job_id: str, start_with: str) -> bool:
        Unstarted.model_validate_json(start_with).finish(job_id, self._executions, self._bus, self._jobs)
        return True

    def _clean_up(self, ended: Ended) -> bool:
        item = self._jobs.find(ended.job_id)
        # a job is recorded before it starts: without an item, it was deleted, and so had its final event
        if item is None or item.sequence >= FAILED_SEQUENCE:
            return False
        self._stopper.clean_up(ended, last_chance=True)
        return True

    def oldest_job_hours(self, now: datetime) -> float:
        """How many hours the oldest running job has been running; 0 if none runs."""
        begun = self._executions.oldest_running()
        return 0.0 if begun is None else round((now - begun) / timedelta(hours=1), 2)


def oldest_begin(now: datetime) -> timedelta:
    """The maximum age of the executions that this sweep reads: all ages in the first ten minutes of an hour."""
    return MAX_JOB_AGE if now.minute < 10 else RECENT
