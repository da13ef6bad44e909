"""The Catch path of a stage: checks the failure against SageMaker, and stops what still runs."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.parser import event_parser
from aws_lambda_powertools.utilities.typing import LambdaContext

from domain.clients import client, table
from domain.compute import Compute
from domain.observability import log_faults, logger, tracer
from domain.reporting import StageReporter
from domain.stage_runs import StageRuns
from domain.stage_settings import StageSettings
from settle_stage.settle import Reconciler, SettleRequest


@cache
def reconciler() -> Reconciler:
    settings = StageSettings.read()
    runs = StageRuns(table(settings.stage_runs_table))
    compute = Compute(client("sagemaker"))
    reporter = StageReporter(settings.platform, runs, compute, client("s3"), client("stepfunctions"))
    return Reconciler(runs, compute, reporter)


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler
@log_faults
@event_parser(model=SettleRequest)
def handler(event: SettleRequest, context: LambdaContext) -> dict[str, Any]:
    logger.append_keys(job_id=event.job_id, stage=event.stage)
    settlement = reconciler().reconcile(event)
    logger.info("task failed", failure=event.failure.model_dump())
    logger.info(
        "stage reconciled", succeeded=settlement.succeeded, error=settlement.error and settlement.error.model_dump()
    )
    return settlement.model_dump(mode="json", by_alias=True)
