"""The queue of stage runs for which SageMaker had no machine.

The quota of an instance type may be one. Runs beyond it wait here, with their tasks, and get a machine as soon as one
is free: owners in turn, each owner's jobs in the order in which they began (domain/fairness.py). Stages that share a
quota share a queue; otherwise the later stage of an early job would wait for the earlier stages of all later jobs. Runs
that need another quota are skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice

from botocore.exceptions import ClientError

from contract.codes import ErrorCode
from contract.stages import Stage
from domain.clients import AWS_FAULTS
from domain.compute import CannotStart, Compute
from domain.errors import JobError
from domain.fairness import StartTags
from domain.observability import logger
from domain.reporting import StageReporter
from domain.sagemaker_requests import quota_of
from domain.stage_runs import StageRuns, WaitingRun
from domain.stages import StageRun
from domain.status import StatusBus, stage_begun

# read at a time: the head of the queue shows which quotas are used up, and reading all of a long queue would cost more
MAX_SCANNED = 500
MAX_FAULTS = 3
# answers to Create that do not change with time: the request itself is wrong
_INVALID_REQUEST = ("ValidationException", "AccessDeniedException", "ResourceNotFound")


class Queue:
    """Every call is safe to repeat and to run concurrently: a job's name can be created only once, and a run is claimed
    before its job is created, so that several invocations can serve one queue without doing the same work."""

    def __init__(
        self,
        runs: StageRuns,
        compute: Compute,
        bus: StatusBus,
        reporter: StageReporter,
        start_tags: StartTags,
        clock: Callable[[], datetime],
    ) -> None:
        self._runs, self._compute, self._bus = runs, compute, bus
        self._reporter, self._start_tags, self._clock = reporter, start_tags, clock

    def serve_all(self) -> list[StageRun]:
        """Serve the runs that wait for machines of any kind, in case an event was lost."""
        kinds = {stage.kind: stage for stage in Stage}
        return [run for stage in kinds.values() for run in self.serve(stage)]

    def serve(self, stage: Stage) -> list[StageRun]:
        """Create the jobs of the runs that wait for machines of this stage's kind, owners in turn, until SageMaker has
        refused one job for each quota. Returns the runs whose jobs were created.

        A run that fails for another reason keeps its place, and those behind it are served. After MAX_FAULTS such
        failures in a row, the runs cannot be the cause, and the pass ends.
        """
        served, spent, faults = list[StageRun](), set[str](), 0
        for waiting in self._waiting(stage):
            quota = _quota_of(waiting)
            if quota in spent:
                continue
            try:
                created = self._create(waiting)
            except CannotStart:
                spent.add(quota)
            except AWS_FAULTS:
                logger.exception("run not served", job_id=waiting.run.job_id, job_name=waiting.run.job_name)
                faults += 1
                if faults == MAX_FAULTS:
                    break
            else:
                faults = 0
                if created:
                    served.append(waiting.run)
        return served

    def others_wait(self, run: StageRun, quota: str) -> bool:
        """Whether another run waits for that quota."""
        return any(waiting.run != run and _quota_of(waiting) == quota for waiting in self._waiting(run.stage))

    def _waiting(self, stage: Stage) -> Iterator[WaitingRun]:
        return islice(self._runs.queue(*stage.of_its_kind), MAX_SCANNED)

    def _create(self, waiting: WaitingRun) -> bool:
        """False if another invocation is creating the run's job, or if waiting cannot help because the request is
        invalid or the quota is 0: then the task has failed."""
        claim = self._runs.claim(waiting.run)
        if claim is None:
            return False
        try:
            return self._create_claimed(waiting)
        except (CannotStart, *AWS_FAULTS):
            self._runs.release(waiting.run, claim)
            raise

    def _create_claimed(self, waiting: WaitingRun) -> bool:
        assert waiting.request is not None, "what is in the queue has a request"
        try:
            self._compute.create(waiting.run, waiting.request)
        except CannotStart as refusal:
            if refusal.error.code is not ErrorCode.NO_QUOTA:
                raise
            self._give_up(waiting, refusal.error, refusal.error.message)
            return False
        except ClientError as error:
            if error.response["Error"]["Code"] not in _INVALID_REQUEST:
                raise
            self._give_up(waiting, JobError.of(ErrorCode.INTERNAL), str(error))
            return False
        self._start_tags.served(waiting.start_tag)
        if self._runs.leave_queue(waiting.run):
            self._bus.put(stage_begun(waiting.run, self._clock()))
        return True

    def _give_up(self, waiting: WaitingRun, error: JobError, reason: str) -> None:
        logger.error("stage run not started", job_id=waiting.run.job_id, error=error.code, reason=reason)
        self._runs.note(waiting.run, f"{error.code}: {reason}")
        self._reporter.fail(waiting.task_token, error)
        self._runs.leave_queue(waiting.run)  # otherwise it would block all runs behind it


def _quota_of(waiting: WaitingRun) -> str:
    assert waiting.request is not None, "what is in the queue has a request"
    return quota_of(waiting.request)
