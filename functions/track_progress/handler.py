"""Apply status events to the jobs table. Late and duplicate events change nothing."""

from __future__ import annotations

from functools import cache

from aws_lambda_powertools.utilities.parser import event_parser
from aws_lambda_powertools.utilities.typing import LambdaContext

from domain.block_progress import BlocksSoFar, in_blocks, own_moments, own_updates, stage_event
from domain.clients import table
from domain.event_bridge import StatusMessage
from domain.job_item import ItemUpdate, JobItem, applied, believed, updates_for
from domain.jobs_table import JobsTable
from domain.observability import log_faults, logger, tracer
from domain.pace import PaceTable
from domain.stage_settings import MachineSettings
from track_progress.estimate import Estimator, moments


class TrackProgressSettings(MachineSettings):
    jobs_table: str
    pace_table: str


@cache
def jobs() -> JobsTable:
    return JobsTable(table(TrackProgressSettings.read().jobs_table))


@cache
def estimator() -> Estimator:
    settings = TrackProgressSettings.read()
    return Estimator(PaceTable(table(settings.pace_table)), settings.usual_types)


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler
@log_faults
@event_parser(model=StatusMessage)
def handler(event: StatusMessage, context: LambdaContext) -> dict[str, int]:
    logger.append_keys(job_id=event.status.detail.job_id)
    status = believed(event.status)
    if status is None:
        logger.warning("event ignored", sequence=event.status.detail.sequence)
        return {"updates": 0}
    attributes, own, began = jobs().attributes(status.detail.job_id), list[ItemUpdate](), dict[str, str]()
    blocks: BlocksSoFar | None = None
    if status.detail.block is not None:
        own, began = own_updates(status), own_moments(status)
        attributes = applied(attributes, own, began)
        blocks = BlocksSoFar.of(attributes)
        status = stage_event(status, blocks)
    updates, reached = updates_for(status), moments(status)
    item = JobItem.of(applied(attributes, updates, reached))
    eta = estimator().estimate(status, item, blocks)
    # one write: a stage reports its progress every few seconds
    news = jobs().apply(status.detail.job_id, [*own, *updates, *([eta] if eta else [])], {**began, **reached})
    if not in_blocks(attributes):  # blocks that run side by side do not show the pace of one training
        estimator().learn(status, item)
    logger.info("progress tracked", type=status.type, updates=news)
    return {"updates": news}
