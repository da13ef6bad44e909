"""Status events from their queue → the customer's webhook. A call that fails returns to the queue, for longer each
time; after the last attempt it goes to the dead-letter queue."""

from __future__ import annotations

import json
import time
from functools import cache, partial
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import ClientError

from call_webhook.call import Caller, wait_after
from domain.clients import client, table
from domain.event_bridge import StatusMessage
from domain.jobs_table import JobsTable
from domain.links import Links
from domain.observability import log_faults, logger, tracer
from domain.post import Undelivered, post
from domain.settings import Settings
from domain.webhooks import Delivery, Targets, WebhookTable


class CallWebhookSettings(Settings):
    jobs_table: str
    webhook_table: str
    webhook_queue: str
    webhook_targets: Targets
    results_bucket: str
    link_hours: int
    page_url: str
    api_url: str


def record(owner: str, delivery: Delivery) -> None:
    """Ignore a failure to log the attempt: a missing log entry is no reason to call the customer twice."""
    try:
        WebhookTable(table(CallWebhookSettings.read().webhook_table)).log(owner, delivery)
    except ClientError:
        logger.exception("delivery not logged", job_id=delivery.job_id)


@cache
def caller() -> Caller:
    settings = CallWebhookSettings.read()
    return Caller(
        jobs=JobsTable(table(settings.jobs_table)),
        webhooks=WebhookTable(table(settings.webhook_table)),
        post=partial(post, targets=settings.webhook_targets),
        clock=time.time,
        log=record,
        links=Links(client("s3"), settings.results_bucket, settings.link_hours * 3600),
        page_url=settings.page_url,
        api_url=settings.api_url,
    )


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler
@log_faults
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, str | None]:
    (message,) = event["Records"]  # the batch size is one, so that each message has its own waits
    status = StatusMessage.model_validate(json.loads(message["body"])).status
    attempts = int(message["attributes"]["ApproximateReceiveCount"])
    try:
        called = caller().call(status, attempts)
    except Undelivered:
        client("sqs").change_message_visibility(
            QueueUrl=CallWebhookSettings.read().webhook_queue,
            ReceiptHandle=message["receiptHandle"],
            VisibilityTimeout=wait_after(attempts),
        )
        raise
    logger.info("webhook called", job_id=status.detail.job_id, type=status.type, message_id=called, attempts=attempts)
    return {"messageId": called}
