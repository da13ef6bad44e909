"""Send no more mails to an address after a bounce or a complaint that SES reports.

https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.parser import event_parser
from aws_lambda_powertools.utilities.typing import LambdaContext

from domain.clients import table
from domain.event_bridge import ServiceEvent
from domain.mailboxes import Closed, MailboxTable
from domain.observability import log_faults, logger, tracer
from domain.settings import Settings


class SuppressSettings(Settings):
    mailbox_table: str


@cache
def mailboxes() -> MailboxTable:
    return MailboxTable(table(SuppressSettings.read().mailbox_table))


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler
@log_faults
@event_parser(model=ServiceEvent)
def handler(event: ServiceEvent, context: LambdaContext) -> dict[str, int]:
    closed = list(closings(event.detail))
    for address, reason in closed:
        mailboxes().close(address, reason, event.time)
    logger.info("mail bounced or was complained about", type=event.detail["eventType"], closed=len(closed))
    return {"closed": len(closed)}


def closings(detail: Mapping[str, Any]) -> Iterator[tuple[str, Closed]]:
    """The addresses that the event closes. A mailbox that is full today (a transient bounce) stays open."""
    if detail["eventType"] == "Complaint":
        for recipient in detail["complaint"]["complainedRecipients"]:
            yield recipient["emailAddress"], Closed.COMPLAINED
    elif detail["eventType"] == "Bounce" and detail["bounce"]["bounceType"] == "Permanent":
        for recipient in detail["bounce"]["bouncedRecipients"]:
            yield recipient["emailAddress"], Closed.BOUNCED
