"""Serve the queues of stage runs that wait for a machine."""

from __future__ import annotations

from contract.stages import Stage
from domain.capacity import Queue
from domain.executions import Executions
from domain.reporting import StageReporter
from domain.stage_runs import StageRuns
from domain.stages import StageRun


class Dispatcher:
    """Everything it calls is handed in."""

    def __init__(self, queue: Queue, runs: StageRuns, reporter: StageReporter, executions: Executions) -> None:
        self._queue, self._runs, self._reporter, self._executions = queue, runs, reporter, executions

    def machine_freed(self, stage: Stage) -> list[StageRun]:
        """A job of this stage has ended: the run that waits longest gets its machine."""
        return self._queue.serve(stage)

    def look_round(self) -> list[StageRun]:
        """Serve every queue, in case an event was lost, and keep the tasks of the runs that still wait alive."""
        served = [run for stage in Stage for run in self._queue.serve(stage)]
        for stage in Stage:
            for waiting in self._runs.queue(stage):
                if not self._reporter.beat(waiting.run) and self._execution_ended(waiting.run):
                    self._runs.leave_queue(waiting.run)
        return served

    def _execution_ended(self, run: StageRun) -> bool:
        """Else its task is between two attempts, and the next will wait for this run."""
        execution = self._executions.lookup(run.job_id)
        return execution is None or not execution.running
