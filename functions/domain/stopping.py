"""Clean up after an execution that ended before reaching its last state."""

from __future__ import annotations

from contract.codes import ErrorCode
from contract.events import StatusType
from domain.compute import Compute
from domain.errors import JobError
from domain.executions import Ended, Executions, FinalEvent
from domain.outcome import RunStatus, outcome_of
from domain.stage_runs import StageRuns, WaitingRun
from domain.stages import StageRun
from domain.status import StatusBus, StatusEvent, job_ended


class Stopper:
    """Everything that it calls is passed in. Safe to repeat."""

    def __init__(self, executions: Executions, runs: StageRuns, compute: Compute, bus: StatusBus) -> None:
        self._executions, self._runs, self._compute, self._bus = executions, runs, compute, bus

    def clean_up(self, ended: Ended, last_chance: bool = False) -> list[StageRun]:
        """Stop the runs that are still at work, then publish the job's final event, unless the state machine did.
        Returns the runs that were stopped.

        An execution that ended in the state that publishes the event may or may not have published it. With
        `last_chance`, enough time has passed for the event to arrive, so it is published here. One that has been
        redriven since is left alone.
        """
        execution = self._executions.lookup(ended.job_id)
        if execution is not None and execution.runs_again_since(ended.at):
            return []
        runs = self._runs.of_job(ended.job_id)
        for waiting in runs:
            if waiting.queued:
                self._runs.leave_queue(waiting.run)
        running = [waiting.run for waiting in runs if self._still_runs(waiting)]
        for run in running:
            self._compute.stop(run)
        final_event = self._executions.final_event(ended.job_id)
        if final_event is FinalEvent.NOT_SENT or (final_event is FinalEvent.STARTED and last_chance):
            self._bus.put(final_event_of(ended))
        return running

    def _still_runs(self, waiting: WaitingRun) -> bool:
        return outcome_of(waiting.run, self._compute.describe(waiting.run)).status is RunStatus.RUNNING


def final_event_of(ended: Ended) -> StatusEvent:
    """The final event of an execution that was stopped on request, ran out of time, or failed in a way that the state
    machine does not handle."""
    if ended.status == "ABORTED":
        return job_ended(StatusType.JOB_STOPPED, ended.job_id, JobError.of(ErrorCode.STOPPED), ended.at)
    code = ErrorCode.STAGE_TIMEOUT if ended.status == "TIMED_OUT" else ErrorCode.INTERNAL
    return job_ended(StatusType.JOB_FAILED, ended.job_id, JobError.of(code), ended.at)
