"""Stop a SageMaker job whose execution has ended: the clean-up ran too early, or never."""

from __future__ import annotations

from domain.compute import Compute
from domain.executions import Executions
from domain.stage_runs import StageRuns
from domain.stages import StageRun


class Orphans:
    """Everything that it calls is passed in."""

    def __init__(self, runs: StageRuns, executions: Executions, compute: Compute) -> None:
        self._runs, self._executions, self._compute = runs, executions, compute

    def stop(self, run: StageRun) -> bool:
        """Stop the run's job if its execution has ended. A task that fails and is retried has no token for a moment;
        an unknown run may belong to another stack."""
        if self._runs.find(run) is None:
            return False
        execution = self._executions.lookup(run.job_id)
        if execution is not None and execution.running:
            return False
        self._compute.stop(run)
        return True
