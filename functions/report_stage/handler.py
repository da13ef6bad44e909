"""Answer the waiting task with success, failure or a heartbeat, after SageMaker's and the containers' events."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.parser import event_parser
from aws_lambda_powertools.utilities.typing import LambdaContext

from domain.clients import client, table
from domain.compute import Compute
from domain.event_bridge import ServiceEvent
from domain.executions import Executions
from domain.observability import log_faults, logger, metrics, tracer
from domain.owner_spending import OwnerSpending
from domain.reporting import StageReporter
from domain.spending import Bills, DailySpending
from domain.stage_runs import StageRuns
from domain.stage_settings import StageSettings
from report_stage.orphans import Orphans
from report_stage.parse import parse
from report_stage.report import Reports


class ReportStageSettings(StageSettings):
    pipeline_arn: str
    limits_table: str


@cache
def reports() -> Reports:
    settings = ReportStageSettings.read()
    runs, compute = StageRuns(table(settings.stage_runs_table)), Compute(client("sagemaker"))
    stepfunctions = client("stepfunctions")
    spending, owners = DailySpending(table(settings.limits_table)), OwnerSpending(table(settings.limits_table))
    return Reports(
        StageReporter(settings.platform, runs, compute, client("s3"), stepfunctions),
        Orphans(runs, Executions(stepfunctions, settings.pipeline_arn), compute),
        Bills(runs, spending, owners, settings.prices),
    )


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler
@log_faults
@metrics.log_metrics
@event_parser(model=ServiceEvent)
def handler(event: ServiceEvent, context: LambdaContext) -> dict[str, Any]:
    news = parse(event.detail_type, event.detail)
    if news is None:
        logger.info("not ours", detail_type=event.detail_type)
        return {"reported": None}
    logger.append_keys(job_id=news.run.job_id, stage=news.run.stage, attempt=news.run.attempt)
    return {"reported": reports().handle(news, event.time)}
