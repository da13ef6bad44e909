"""Apply status events to the jobs table. Late and duplicate events change nothing."""

from __future__ import annotations

from functools import cache

from aws_lambda_powertools.utilities.parser import event_parser
from aws_lambda_powertools.utilities.typing import LambdaContext

from domain.clients import table
from domain.event_bridge import StatusMessage
from domain.job_item import reduced_to_trusted
from domain.jobs_table import JobsTable
from domain.observability import log_faults, logger, tracer
from domain.pace import PaceTable
from domain.stage_settings import MachineSettings
from track_progress.estimate import Estimator
from track_progress.track import Tracker


class TrackProgressSettings(MachineSettings):
    jobs_table: str
    pace_table: str


@cache
def tracker() -> Tracker:
    settings = TrackProgressSettings.read()
    estimator = Estimator(PaceTable(table(settings.pace_table)), settings.usual_types)
    return Tracker(JobsTable(table(settings.jobs_table)), estimator)


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler
@log_faults
@event_parser(model=StatusMessage)
def handler(event: StatusMessage, context: LambdaContext) -> dict[str, int]:
    logger.append_keys(job_id=event.status.detail.job_id)
    status = reduced_to_trusted(event.status)
    if status is None:
        logger.warning("event ignored", sequence=event.status.detail.sequence)
        return {"updates": 0}
    news = tracker().track(status)
    logger.info("progress tracked", type=status.type, updates=news)
    return {"updates": news}
