"""Check an object that S3 reports as created, and start one execution or publish a rejection. Safe to deliver twice."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.parser import event_parser
from aws_lambda_powertools.utilities.parser.models import S3EventNotificationEventBridgeModel
from aws_lambda_powertools.utilities.typing import LambdaContext

from domain.clients import client, table
from domain.executions import Executions
from domain.job import UploadedObject, job_id_of
from domain.jobs_table import JobsTable
from domain.limits import JobLimits, OwnerLimits
from domain.observability import log_faults, logger, metrics, tracer
from domain.owner_spending import OwnerSpending
from domain.starting import Starter
from domain.status import StatusBus


class StartJobSettings(JobLimits):
    stack: str
    pipeline_arn: str
    jobs_table: str
    limits_table: str
    status_bus: str


@cache
def starter() -> Starter:
    settings = StartJobSettings.read()
    jobs = JobsTable(table(settings.jobs_table))
    return Starter(
        s3=client("s3"),
        executions=Executions(client("stepfunctions"), settings.pipeline_arn),
        jobs=jobs,
        bus=StatusBus(client("events"), settings.status_bus),
        limits=OwnerLimits(jobs, OwnerSpending(table(settings.limits_table)), settings),
        stack=settings.stack,
    )


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler
@log_faults
@metrics.log_metrics
@event_parser(model=S3EventNotificationEventBridgeModel)
def handler(event: S3EventNotificationEventBridgeModel, context: LambdaContext) -> dict[str, Any]:
    uploaded = UploadedObject(
        bucket=event.detail.bucket.name,
        key=event.detail.object.key,
        version_id=event.detail.object.version_id or None,
        etag=event.detail.object.etag,
    )
    logger.append_keys(job_id=job_id_of(uploaded, StartJobSettings.read().stack), key=uploaded.key)
    outcome = starter().start(uploaded)
    logger.append_keys(job_id=outcome.job_id)  # for loose photos, the id of their group
    logger.info("upload handled", outcome=outcome.model_dump(mode="json"))
    became = "JobsRejected" if outcome.error else "JobsStarted" if outcome.execution_name else "UploadsGone"
    metrics.add_metric(name=became, unit=MetricUnit.Count, value=1)
    return outcome.model_dump(mode="json", by_alias=True)
