"""Check stage runs without recent news: keep waiting tasks alive, find ends whose event was lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from contract.stages import Stage
from domain.clients import AWS_FAULTS
from domain.compute import Compute
from domain.executions import Executions
from domain.observability import logger
from domain.outcome import RunOutcome, RunStatus
from domain.reporting import StageReporter
from domain.sagemaker_requests import Platform
from domain.spending import Bills
from domain.stage_runs import StageRuns, WaitingRun
from domain.stages import StageRun


class Look(StrEnum):
    """The result of checking a run."""

    ALIVE = "ALIVE"  # it waits for a machine, in our queue or at SageMaker, and its task got a heartbeat
    RUNNING = "RUNNING"
    REPORTED = "REPORTED"  # its job had ended, and its task now has the outcome
    GONE = "GONE"  # no task waits for it any more: it left the queue, or its job was stopped
    FAULT = "FAULT"  # AWS refused a call; the run is checked again in a minute
    LEFT_OVER = "LEFT_OVER"  # it was due, but there was no time for it; the next round begins with it


class Looked(NamedTuple):
    """`waited`: how many seconds the run has been waiting for its machine, in our queue or at SageMaker."""

    look: Look
    waited: float = 0.0


class Watcher:
    """Everything that it calls is passed in. `each` maps a function over runs, possibly in parallel. A run that waits
    at SageMaker for longer than `capacity_wait` seconds is stopped if it can be tried on another machine.
    """

    def __init__(
        self,
        runs: StageRuns,
        reporter: StageReporter,
        executions: Executions,
        compute: Compute,
        bills: Bills,
        platform: Platform,
        capacity_wait: float,
        each: Callable[[Callable[[StageRun], Looked], Iterable[StageRun]], Iterator[Looked]] = map,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._platform, self._capacity_wait, self._clock = platform, capacity_wait, clock
        self._runs, self._reporter, self._executions, self._compute = runs, reporter, executions, compute
        self._bills, self._each = bills, each

    def look_round(self, time_left: Callable[[], bool] = lambda: True) -> list[Looked]:
        """Check every run that is due; a fault with one does not affect the others. `time_left` returns whether there
        is time for more. If not, the next round continues with the runs whose last news is oldest."""
        due = self._runs.due(*Stage)
        looked = list(self._each(self._safely, _while(time_left, due)))
        left_over = [Looked(Look.LEFT_OVER) for _ in due]
        if left_over:
            logger.warning("no time for all runs that are due", runs=len(left_over))
        return looked + left_over

    def _safely(self, run: StageRun) -> Looked:
        try:
            return self._look_at(run)
        except AWS_FAULTS:
            logger.exception("run not looked at", job_id=run.job_id, job_name=run.job_name)
            return Looked(Look.FAULT)

    def _look_at(self, run: StageRun) -> Looked:
        waiting = self._runs.find(run)
        if waiting is None:
            return Looked(Look.GONE)
        if waiting.queued_at is None:
            return self._poll(waiting)
        if waiting.claimed and self._ended_in_queue(waiting):
            return Looked(Look.REPORTED)
        look = self._keep_alive(waiting)
        return Looked(look, self._seconds_since(waiting.queued_at) if look is Look.ALIVE else 0.0)

    def _ended_in_queue(self, waiting: WaitingRun) -> bool:
        """Whether the job has ended although the run is still queued, because the invocation that created the job
        crashed before it took the run out of the queue."""
        outcome = self._reporter.report(waiting.run)
        if outcome.ended:
            self._runs.leave_queue(waiting.run)
            self._count(waiting.run, outcome)
        return outcome.ended

    def _keep_alive(self, waiting: WaitingRun) -> Look:
        if self._reporter.beat(waiting.run):
            return Look.ALIVE
        if not self._execution_ended(waiting.run):  # between two attempts of its task; the next will wait for this run
            self._runs.note_news(waiting.run)
            return Look.ALIVE
        self._runs.leave_queue(waiting.run)
        self._runs.answered(waiting.run, waiting.task_token)
        return Look.GONE

    def _poll(self, waiting: WaitingRun) -> Looked:
        """Check a run that has left the queue. A job at work gets no heartbeat here, because heartbeats stand for
        progress; a job that waits for its machine does, because it reports nothing else."""
        run = waiting.run
        outcome = self._reporter.report(run)
        if outcome.ended:
            self._count(run, outcome)
            return Looked(Look.REPORTED)
        if outcome.waiting_since is not None and self._reporter.beat(run):
            waited = self._seconds_since(outcome.waiting_since)
            self._try_elsewhere(run, outcome, waited)
            return Looked(Look.ALIVE, waited)
        if not self._execution_ended(run):
            self._runs.note_news(run)
            return Looked(Look.RUNNING)
        if outcome.status is RunStatus.RUNNING:
            self._compute.stop(run)
        self._runs.answered(run, waiting.task_token)
        return Looked(Look.GONE)

    def _try_elsewhere(self, run: StageRun, outcome: RunOutcome, waited: float) -> None:
        """Stop a run that has waited too long: it ends as CAPACITY, and the next attempt uses the next choice of
        machine.
        """
        if waited > self._capacity_wait and self._platform.has_alternative(run.stage, outcome.instance_type):
            logger.info("no machine was found", job_name=run.job_name, waited=waited, machine=outcome.instance_type)
            self._compute.stop(run)

    def _seconds_since(self, begun: datetime) -> float:
        return max(0.0, self._clock() - begun.timestamp())

    def _count(self, run: StageRun, outcome: RunOutcome) -> None:
        dollars = self._bills.bill(run, outcome)
        logger.warning("the event of a run's end was lost", job_id=run.job_id, job_name=run.job_name, dollars=dollars)

    def _execution_ended(self, run: StageRun) -> bool:
        execution = self._executions.lookup(run.job_id)
        return execution is None or not execution.running


def _while(time_left: Callable[[], bool], runs: Iterator[StageRun]) -> Iterator[StageRun]:
    while time_left() and (run := next(runs, None)) is not None:
        yield run
