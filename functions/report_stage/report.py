"""Act on news of a stage run: keep its task alive, or report the run's end and bill it."""

from __future__ import annotations

from datetime import datetime

from domain.observability import logger
from domain.outcome import RunStatus
from domain.reporting import StageReporter
from domain.spending import Bills
from domain.stages import StageRun
from report_stage.orphans import Orphans
from report_stage.parse import JobChanged, ProgressMade

HEARTBEAT = "HEARTBEAT"


class DescribedTooEarly(Exception):
    """SageMaker's event reports an end that its description does not show yet: Lambda tries again in a minute."""


class Reports:
    """Everything that it calls is passed in. Safe to repeat."""

    def __init__(self, reporter: StageReporter, orphans: Orphans, bills: Bills) -> None:
        self._reporter, self._orphans, self._bills = reporter, orphans, bills

    def handle(self, news: JobChanged | ProgressMade, at: datetime) -> str:
        """Returns HEARTBEAT for progress, otherwise the run's status. Raises DescribedTooEarly."""
        if isinstance(news, ProgressMade):
            self._beat(news.run, at)
            return HEARTBEAT
        outcome = self._reporter.report(news.run)
        if outcome.status is RunStatus.RUNNING and news.ended:
            raise DescribedTooEarly(news.run.job_name)
        if outcome.status is RunStatus.RUNNING:
            # a machine was found, or its input has arrived, long before the container's first progress event
            self._beat(news.run, at)
        self._bills.bill(news.run, outcome)
        error = outcome.error and outcome.error.code
        # the reason is for operators: for INTERNAL, the customer's error does not state it
        logger.info("stage run described", status=outcome.status, error=error, reason=outcome.reason)
        return outcome.status.value

    def _beat(self, run: StageRun, at: datetime) -> None:
        if not self._reporter.beat(run, at) and self._orphans.stop(run):
            logger.warning("orphan stopped", job_name=run.job_name)
