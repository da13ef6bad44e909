"""The caller's webhook: set it, get it, test it, delete it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from api.caller import Caller
from api.models import DeliveryList, NewWebhook, WebhookRequest, WebhookTest, WebhookView
from contract.codes import ErrorCode
from domain.errors import RefusedRequest
from domain.post import Undelivered
from domain.webhooks import Targets, WebhookTable, fault_of, headers_for, successor

TEST_TYPE = "Webhook Test"


class Webhooks:
    """The webhooks of customers: one each, which is called for all jobs of that customer."""

    def __init__(
        self,
        table: WebhookTable,
        targets: Targets,
        post: Callable[[str, bytes, Mapping[str, str]], None],
        clock: Callable[[], float],
    ) -> None:
        self._table, self._targets, self._post, self._clock = table, targets, post, clock

    def set(self, request: WebhookRequest, caller: Caller) -> NewWebhook:
        """Set the caller's webhook, with a new secret. Raises RefusedRequest(INVALID_REQUEST) for a URL that may not be
        called."""
        if fault := fault_of(request.url, self._targets):
            raise RefusedRequest(ErrorCode.INVALID_REQUEST, fault)
        webhook = successor(self._table.find(caller.subject), request.url, self._clock())
        self._table.save(caller.owners, webhook)
        until = datetime.fromtimestamp(webhook.previous_until, UTC) if webhook.previous_secret else None
        return NewWebhook(url=webhook.url, secret=webhook.secret, previous_secret_until=until)

    def look(self, caller: Caller) -> WebhookView:
        webhook = self._table.find(caller.subject)
        return WebhookView(url=webhook.url if webhook else None)

    def test(self, caller: Caller) -> WebhookTest:
        """Call the webhook now, signed like any call. Raises RefusedRequest(INVALID_REQUEST) if none is set."""
        webhook = self._table.find(caller.subject)
        if webhook is None:
            raise RefusedRequest(ErrorCode.INVALID_REQUEST, "no webhook is set: PUT /webhook sets one")
        now = self._clock()
        message_id = f"test-{uuid.uuid4().hex}"
        at = datetime.fromtimestamp(now, UTC)
        content = {"type": TEST_TYPE, "timestamp": at.isoformat(timespec="seconds"), "data": {"message": "It works."}}
        body = json.dumps(content).encode()
        headers = headers_for(webhook.secrets_at(now), message_id, int(now), body)
        try:
            self._post(webhook.url, body, headers)
        except Undelivered as failure:
            return WebhookTest(message_id=message_id, delivered=False, detail=str(failure))
        return WebhookTest(message_id=message_id, delivered=True)

    def deliveries(self, caller: Caller) -> DeliveryList:
        return DeliveryList(deliveries=self._table.deliveries(caller.owners))

    def remove(self, caller: Caller) -> None:
        self._table.remove(caller.owners)
