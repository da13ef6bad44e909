"""When a machine is free, and every five minutes: start stage runs that wait for capacity."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.parser import event_parser
from aws_lambda_powertools.utilities.typing import LambdaContext

from domain.capacity import Queue
from domain.clients import client, table
from domain.event_bridge import ServiceEvent
from domain.fairness import StartTags
from domain.observability import log_faults, logger, metrics, tracer
from domain.reporting import StageReporter
from domain.spending import DailySpending, LimitedCompute
from domain.stage_runs import StageRuns
from domain.stage_settings import StageSettings
from domain.stages import StageRun
from domain.status import StatusBus


class DispatchSettings(StageSettings):
    limits_table: str
    daily_spend_dollars: float


@cache
def queue() -> Queue:
    settings = DispatchSettings.read()
    runs, spending = StageRuns(table(settings.stage_runs_table)), DailySpending(table(settings.limits_table))
    limit, prices = settings.daily_spend_dollars, settings.prices
    compute = LimitedCompute(client("sagemaker"), runs, spending, limit, prices)
    bus = StatusBus(client("events"), settings.status_bus)
    reporter = StageReporter(settings.platform, runs, compute, client("s3"), client("stepfunctions"))
    start_tags = StartTags(table(settings.limits_table))
    return Queue(runs, compute, bus, reporter, start_tags, lambda: datetime.now(UTC))


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler
@log_faults
@metrics.log_metrics
@event_parser(model=ServiceEvent)
def handler(event: ServiceEvent, context: LambdaContext) -> dict[str, Any]:
    if event.source == "aws.sagemaker":
        ended = StageRun.of_event(event.detail)
        served = queue().serve(ended.stage) if ended else []
    else:
        served = queue().serve_all()
    metrics.add_metric(name="RunsServed", unit=MetricUnit.Count, value=len(served))
    if served:
        logger.info("machines found", served=[run.job_name for run in served])
    return {"served": [run.job_name for run in served]}
