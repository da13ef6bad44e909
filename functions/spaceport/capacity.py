"""The queue of stage runs for which SageMaker had no machine.

The quota of a machine type may be one. Runs beyond it wait here, with their tasks, and get a machine in the order in
which their jobs were uploaded, as soon as one is free.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from botocore.exceptions import ClientError

from spaceport.compute import CannotStart, Compute
from spaceport.errors import ErrorCode, JobError
from spaceport.reporting import StageReporter
from spaceport.stage_runs import StageRuns, WaitingRun
from spaceport.stages import Stage, StageRun
from spaceport.status import StatusBus, stage_begun

# answers to Create that no waiting mends: the run's own request is wrong
_HOPELESS = ("ValidationException", "AccessDeniedException", "ResourceNotFound")


class Queue:
    """Every call is safe to repeat and to run beside itself: a job's name can be created once."""

    def __init__(
        self,
        runs: StageRuns,
        compute: Compute,
        bus: StatusBus,
        reporter: StageReporter,
        clock: Callable[[], datetime],
    ) -> None:
        self._runs, self._compute, self._bus = runs, compute, bus
        self._reporter, self._clock = reporter, clock

    def serve(self, stage: Stage) -> list[StageRun]:
        """Create the jobs of those who wait, earliest upload first, until SageMaker refuses one; returns their runs."""
        served = []
        for waiting in self._runs.queue(stage):
            try:
                self._create(waiting)
            except CannotStart:
                break
            served.append(waiting.run)
        return served

    def _create(self, waiting: WaitingRun) -> None:
        assert waiting.request is not None, "what is in the queue has a request"
        try:
            self._compute.create(waiting.run, waiting.request)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _HOPELESS:
                raise
            self._reporter.fail(waiting.task_token, JobError.of(ErrorCode.INTERNAL))
            self._runs.leave_queue(waiting.run)  # else it would hold up all behind it
            return
        if self._runs.leave_queue(waiting.run):
            self._bus.put(stage_begun(waiting.run, self._clock()))
