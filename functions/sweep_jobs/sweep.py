"""Find ended jobs that have no final event: Step Functions delivers its own events on a best-effort basis.

https://docs.aws.amazon.com/eventbridge/latest/ref/events-ref-states.html
"""

from __future__ import annotations

from datetime import datetime, timedelta

from contract.events import FAILED_SEQUENCE
from domain.executions import Executions
from domain.jobs_table import JobsTable
from stop_job.stop import Stopper

GRACE = timedelta(minutes=10)  # after that no event of an end is still under way
LOOK_BACK = timedelta(hours=2)  # several sweeps see each end, should one of them fail
MAX_JOB_AGE = timedelta(days=47)  # longer than the state machine's TimeoutSeconds


class Sweeper:
    """Everything it calls is handed in."""

    def __init__(self, executions: Executions, jobs: JobsTable, stopper: Stopper) -> None:
        self._executions, self._jobs, self._stopper = executions, jobs, stopper

    def sweep(self, now: datetime) -> list[str]:
        """Clean up after executions whose end the jobs table does not record; returns their jobs' ids."""
        swept = []
        for ended in self._executions.ended_between(now - MAX_JOB_AGE, now - LOOK_BACK, now - GRACE):
            item = self._jobs.find(ended.job_id)
            if item is None or item.sequence < FAILED_SEQUENCE:
                self._stopper.clean_up(ended, last_chance=True)
                swept.append(ended.job_id)
        return swept

    def oldest_job_hours(self, now: datetime) -> float:
        """How long the oldest running job has been running; 0 when none runs."""
        begun = self._executions.oldest_running()
        return 0.0 if begun is None else round((now - begun) / timedelta(hours=1), 2)
