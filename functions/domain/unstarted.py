"""The remaining work for a job that is recorded but not started.

It is kept in the job's item until it is done, so that a crash or throttling between recording and starting loses
nothing.
"""

from __future__ import annotations

from domain.executions import Executions
from domain.job import Camel, Job
from domain.jobs_table import JobsTable
from domain.status import StatusBus, StatusEvent


class Unstarted(Camel):
    """An execution to begin with `document`, or a rejection to publish."""

    job: Job | None = None
    document: str | None = None
    rejection: StatusEvent | None = None

    @classmethod
    def execution(cls, job: Job, document: str) -> Unstarted:
        return cls(job=job, document=document)

    def as_text(self) -> str:
        return self.model_dump_json(by_alias=True, exclude_none=True)

    def finish(self, job_id: str, executions: Executions, bus: StatusBus, jobs: JobsTable) -> bool:
        """Do it, and note that it is done. Safe to repeat. False when the execution exists with another input."""
        begun = True
        if self.rejection is not None:
            bus.put(self.rejection)
        elif self.job is not None and self.document is not None:
            begun = executions.begin(self.job, self.document)
        jobs.started(job_id)
        return begun
