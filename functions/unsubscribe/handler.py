"""`POST /unsubscribe/{mailbox}`: the one-click unsubscription of RFC 8058, authorised only by the reference in the
mail; `DELETE` reverses it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from domain.clients import table
from domain.mailboxes import MailboxTable
from domain.observability import log_faults, logger, tracer
from domain.settings import Settings


class UnsubscribeSettings(Settings):
    mailbox_table: str


@cache
def mailboxes() -> MailboxTable:
    return MailboxTable(table(UnsubscribeSettings.read().mailbox_table))


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler
@log_faults
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    reference = event["pathParameters"]["mailbox"]
    if event["requestContext"]["http"]["method"] == "DELETE":
        subscribed = done = mailboxes().subscribe(reference)
    else:
        subscribed, done = False, mailboxes().unsubscribe(reference, datetime.now(UTC))
    logger.info("mailbox changed", done=done, subscribed=subscribed)
    if done:
        return _answer(200, "application/json", {"subscribed": subscribed})
    detail = "This unsubscribe link is no longer valid."
    return _answer(
        404, "application/problem+json", {"type": "about:blank", "title": "Not Found", "status": 404, "detail": detail}
    )


def _answer(status: int, kind: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"statusCode": status, "headers": {"Content-Type": kind}, "body": json.dumps(body)}
