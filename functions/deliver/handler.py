"""The last step of the state machine: write the job's report and list the files that the customer gets."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.parser import event_parser
from aws_lambda_powertools.utilities.typing import LambdaContext

from deliver.deliver import Deliverer, DeliverRequest
from domain.clients import client
from domain.observability import log_faults, logger, tracer
from domain.stage_settings import PriceSettings


class DeliverSettings(PriceSettings):
    results_bucket: str


@cache
def deliverer() -> Deliverer:
    settings = DeliverSettings.read()
    return Deliverer(client("s3"), settings.results_bucket, settings.prices)


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler
@log_faults
@event_parser(model=DeliverRequest)
def handler(event: DeliverRequest, context: LambdaContext) -> dict[str, Any]:
    logger.append_keys(job_id=event.job_id)
    delivery = deliverer().deliver(event)
    logger.info("delivered", metrics=delivery.metrics)
    return delivery.model_dump(mode="json", by_alias=True)
