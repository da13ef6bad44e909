"""Clean up after an execution that did not end by its own last state."""

from __future__ import annotations

from contract.codes import ErrorCode
from contract.events import StatusType
from domain.compute import Compute
from domain.errors import JobError
from domain.executions import Ended, Executions, Parting
from domain.stage_runs import StageRuns, WaitingRun
from domain.stages import StageRun
from domain.status import StatusBus, StatusEvent, job_ended
from domain.verdict import Fate, judge


class Stopper:
    """Everything it calls is handed in. Safe to repeat."""

    def __init__(self, executions: Executions, runs: StageRuns, compute: Compute, bus: StatusBus) -> None:
        self._executions, self._runs, self._compute, self._bus = executions, runs, compute, bus

    def clean_up(self, ended: Ended, last_chance: bool = False) -> list[StageRun]:
        """Stop what still runs; then say how the job ended, unless the state machine did.

        Of a farewell that it had only begun nobody can tell at once whether it went out; `last_chance` is when it
        should have arrived long ago.
        """
        runs = self._runs.of_job(ended.job_id)
        for waiting in runs:
            if waiting.queued:
                self._runs.leave_queue(waiting.run)
        running = [waiting.run for waiting in runs if self._still_runs(waiting)]
        for run in running:
            self._compute.stop(run)
        parting = self._executions.parting(ended.job_id)
        if parting is Parting.SILENT or (parting is Parting.BEGUN and last_chance):
            self._bus.put(farewell(ended))
        return running

    def _still_runs(self, waiting: WaitingRun) -> bool:
        return judge(waiting.run, self._compute.describe(waiting.run)).fate is Fate.RUNNING


def farewell(ended: Ended) -> StatusEvent:
    """Stopped on request, out of time, or failed in a way the state machine did not foresee."""
    if ended.status == "ABORTED":
        return job_ended(StatusType.JOB_STOPPED, ended.job_id, JobError.of(ErrorCode.STOPPED), ended.at)
    code = ErrorCode.STAGE_TIMEOUT if ended.status == "TIMED_OUT" else ErrorCode.INTERNAL
    return job_ended(StatusType.JOB_FAILED, ended.job_id, JobError.of(code), ended.at)
