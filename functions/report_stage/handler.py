"""Answer the waiting task with success, failure or a heartbeat, after SageMaker's and the containers' events."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.parser import event_parser
from aws_lambda_powertools.utilities.typing import LambdaContext

from domain.clients import client, table
from domain.compute import Compute
from domain.event_bridge import ServiceEvent
from domain.executions import Executions
from domain.observability import log_faults, logger, metrics, tracer
from domain.outcome import RunStatus
from domain.owner_spending import OwnerSpending
from domain.reporting import StageReporter
from domain.spending import Bills, DailySpending
from domain.stage_runs import StageRuns
from domain.stage_settings import StageSettings
from domain.stages import StageRun
from report_stage.orphans import Orphans
from report_stage.parse import JobChanged, parse


class ReportStageSettings(StageSettings):
    pipeline_arn: str
    limits_table: str


@cache
def reporter() -> StageReporter:
    settings = ReportStageSettings.read()
    return StageReporter(
        platform=settings.platform,
        runs=StageRuns(table(settings.stage_runs_table)),
        compute=Compute(client("sagemaker")),
        s3=client("s3"),
        stepfunctions=client("stepfunctions"),
    )


@cache
def bills() -> Bills:
    settings = ReportStageSettings.read()
    runs, spending = StageRuns(table(settings.stage_runs_table)), DailySpending(table(settings.limits_table))
    return Bills(runs, spending, OwnerSpending(table(settings.limits_table)), settings.prices)


@cache
def orphans() -> Orphans:
    settings = ReportStageSettings.read()
    executions = Executions(client("stepfunctions"), settings.pipeline_arn)
    return Orphans(StageRuns(table(settings.stage_runs_table)), executions, Compute(client("sagemaker")))


class DescribedTooEarly(Exception):
    """SageMaker's event reports an end that its description does not show yet: Lambda tries again in a minute."""


def beat(run: StageRun, at: datetime) -> None:
    if not reporter().beat(run, at) and orphans().stop(run):
        logger.warning("orphan stopped", job_name=run.job_name)


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
    if not isinstance(news, JobChanged):
        beat(news.run, event.time)
        return {"reported": "HEARTBEAT"}
    outcome = reporter().report(news.run)
    if outcome.status is RunStatus.RUNNING and news.ended:
        raise DescribedTooEarly(news.run.job_name)
    if outcome.status is RunStatus.RUNNING:
        # a machine was found, or its input has arrived, long before the container's first progress event
        beat(news.run, event.time)
    bills().bill(news.run, outcome)
    error = outcome.error and outcome.error.code
    # the reason is for operators: for INTERNAL, the customer's error does not state it
    logger.info("stage run described", status=outcome.status, error=error, reason=outcome.reason)
    return {"reported": outcome.status.value}
