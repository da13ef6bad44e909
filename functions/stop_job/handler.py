"""After an execution was stopped, timed out or failed: stop its SageMaker jobs and publish its final event."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.parser import event_parser
from aws_lambda_powertools.utilities.typing import LambdaContext

from domain.clients import client, table
from domain.compute import Compute
from domain.event_bridge import ServiceEvent
from domain.executions import Ended, Executions
from domain.observability import log_faults, logger, tracer
from domain.settings import Settings
from domain.stage_runs import StageRuns
from domain.status import StatusBus
from domain.stopping import Stopper


class StopJobSettings(Settings):
    pipeline_arn: str
    stage_runs_table: str
    status_bus: str


@cache
def stopper() -> Stopper:
    settings = StopJobSettings.read()
    return Stopper(
        executions=Executions(client("stepfunctions"), settings.pipeline_arn),
        runs=StageRuns(table(settings.stage_runs_table)),
        compute=Compute(client("sagemaker")),
        bus=StatusBus(client("events"), settings.status_bus),
    )


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler
@log_faults
@event_parser(model=ServiceEvent)
def handler(event: ServiceEvent, context: LambdaContext) -> dict[str, Any]:
    detail = event.detail
    ended = Ended(job_id=detail["name"], status=detail["status"], at=event.time)
    logger.append_keys(job_id=ended.job_id)
    stopped = stopper().clean_up(ended)
    logger.info("execution ended", status=ended.status, stopped=[run.job_name for run in stopped])
    return {"stopped": [run.job_name for run in stopped]}
