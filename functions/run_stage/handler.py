"""A callback task of the state machine: create the stage's SageMaker job and store the token with the stage run."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.parser import event_parser
from aws_lambda_powertools.utilities.typing import LambdaContext

from contract.branding import Company
from domain.clients import client, table
from domain.fairness import StartTags
from domain.observability import log_faults, logger, metrics, tracer
from domain.reporting import StageReporter
from domain.sagemaker_requests import Platform
from domain.spending import DailySpending, LimitedCompute
from domain.stage_runs import StageRuns
from domain.stage_settings import StageSettings
from domain.status import StatusBus
from run_stage.run import Runner, RunRequest


class RunStageSettings(StageSettings):
    job_budget_dollars: float
    limits_table: str
    daily_spend_dollars: float
    company_name: str
    company_address: str
    company_logo: str

    @property
    def platform(self) -> Platform:
        company = Company(self.company_name, self.company_address, self.company_logo)
        return super().platform.model_copy(update={"company": company})


@cache
def runner() -> Runner:
    settings = RunStageSettings.read()
    runs = StageRuns(table(settings.stage_runs_table))
    spending = DailySpending(table(settings.limits_table))
    limit, prices = settings.daily_spend_dollars, settings.prices
    compute = LimitedCompute(client("sagemaker"), runs, spending, limit, prices)
    s3 = client("s3")
    return Runner(
        platform=settings.platform,
        runs=runs,
        compute=compute,
        bus=StatusBus(client("events"), settings.status_bus),
        reporter=StageReporter(settings.platform, runs, compute, s3, client("stepfunctions")),
        start_tags=StartTags(table(settings.limits_table)),
        s3=s3,
        budget=settings.job_budget_dollars,
    )


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler
@log_faults
@metrics.log_metrics
@event_parser(model=RunRequest)
def handler(event: RunRequest, context: LambdaContext) -> dict[str, Any]:
    logger.append_keys(job_id=event.job.job_id, stage=event.stage)
    run = runner().run(event)
    logger.info("stage run waits", job_name=run.job_name)
    metrics.add_metric(name="StageRunsStarted", unit=MetricUnit.Count, value=1)
    return {"jobName": run.job_name}
