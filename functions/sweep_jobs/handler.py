"""Every ten minutes: clean up after ended jobs that have no final event, and publish it."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.parser import event_parser
from aws_lambda_powertools.utilities.typing import LambdaContext

from domain.clients import client, table
from domain.compute import Compute
from domain.event_bridge import ServiceEvent
from domain.executions import Executions
from domain.jobs_table import JobsTable
from domain.observability import log_faults, logger, metrics, tracer
from domain.settings import Settings
from domain.stage_runs import StageRuns
from domain.status import StatusBus
from domain.stopping import Stopper
from sweep_jobs.sweep import Sweeper


class SweepJobsSettings(Settings):
    pipeline_arn: str
    jobs_table: str
    stage_runs_table: str
    status_bus: str


@cache
def sweeper() -> Sweeper:
    settings = SweepJobsSettings.read()
    executions = Executions(client("stepfunctions"), settings.pipeline_arn)
    bus = StatusBus(client("events"), settings.status_bus)
    runs, compute = StageRuns(table(settings.stage_runs_table)), Compute(client("sagemaker"))
    stopper = Stopper(executions=executions, runs=runs, compute=compute, bus=bus)
    return Sweeper(executions, JobsTable(table(settings.jobs_table)), stopper, bus)


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler
@log_faults
@metrics.log_metrics
@event_parser(model=ServiceEvent)
def handler(event: ServiceEvent, context: LambdaContext) -> dict[str, Any]:
    metrics.add_metric(name="OldestJobHours", unit=MetricUnit.NoUnit, value=sweeper().oldest_job_hours(event.time))
    swept = sweeper().sweep(event.time)
    metrics.add_metric(name="JobsSwept", unit=MetricUnit.Count, value=len(swept))
    if swept:
        logger.warning("jobs that ended without a final event", jobs=swept)
    return {"swept": swept}
