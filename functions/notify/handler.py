"""Send the customer who gave an address one mail about a job's start and one about its outcome."""

from __future__ import annotations

from functools import cache

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.parser import event_parser
from aws_lambda_powertools.utilities.typing import LambdaContext

from contract.codes import OPERATORS
from contract.events import StatusType
from domain.clients import client, table
from domain.event_bridge import StatusMessage
from domain.expectation import Expectation
from domain.jobs_table import JobsTable
from domain.limits import Counters
from domain.links import Links
from domain.mailboxes import MailboxTable
from domain.observability import log_faults, logger, metrics, tracer
from domain.pace import PaceTable
from domain.stage_settings import MachineSettings
from domain.status import StatusEvent
from notify.notify import Notifier, Sending


class NotifySettings(MachineSettings):
    jobs_table: str
    idempotency_table: str
    mailbox_table: str
    results_bucket: str
    sender_email: str
    sender_name: str
    support_email: str
    link_hours: int
    configuration_set: str
    page_url: str
    api_url: str
    limits_table: str
    pace_table: str


@cache
def notifier() -> Notifier:
    settings = NotifySettings.read()
    s3 = client("s3")
    return Notifier(
        jobs=JobsTable(table(settings.jobs_table)),
        mailboxes=MailboxTable(table(settings.mailbox_table)),
        counters=Counters(table(settings.limits_table)),
        s3=s3,
        ses=client("sesv2"),
        links=Links(s3, settings.results_bucket, settings.link_hours * 3600),
        sending=Sending(
            sender=settings.sender_email,
            name=settings.sender_name,
            reply_to=settings.support_email,
            configuration_set=settings.configuration_set,
            page=settings.page_url,
            api=settings.api_url,
        ),
        expected=Expectation(PaceTable(table(settings.pace_table)), settings.usual_types).of,
    )


@cache
def persistence() -> DynamoDBPersistenceLayer:
    return DynamoDBPersistenceLayer(NotifySettings.read().idempotency_table, boto3_client=client("dynamodb"))


# one mail per job and type of event, however often EventBridge repeats it: the key is only these two fields
ONCE = IdempotencyConfig(event_key_jmespath="[detail.jobId, type]", expires_after_seconds=90 * 24 * 3600)


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler
@log_faults
@metrics.log_metrics
@event_parser(model=StatusMessage)
def handler(event: StatusMessage, context: LambdaContext) -> dict[str, str | None]:
    outcome = event.status
    logger.append_keys(job_id=outcome.detail.job_id)
    ONCE.register_lambda_context(context)
    send = idempotent_function(
        _send, data_keyword_argument="outcome", persistence_store=persistence(), config=ONCE, key_prefix="notify"
    )
    sent: dict[str, str | None] = send(outcome=outcome.model_dump(by_alias=True, mode="json"))
    logger.info("outcome notified", type=outcome.type, message_id=sent["messageId"])
    return sent


def _send(outcome: dict[str, object]) -> dict[str, str | None]:
    event = StatusEvent.model_validate(outcome)
    message_id = notifier().notify(event)
    if event.type is StatusType.JOB_FAILED and event.detail.error is not None:
        ours = event.detail.error.code in OPERATORS
        metrics.add_metric(name="JobsFailedByUs", unit=MetricUnit.Count, value=ours)
        metrics.add_metric(name="JobsFailedByPhotos", unit=MetricUnit.Count, value=not ours)
    metrics.add_metric(name="MailsSent", unit=MetricUnit.Count, value=0 if message_id is None else 1)
    return {"messageId": message_id}
