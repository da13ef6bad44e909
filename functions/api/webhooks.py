"""The caller's webhook: set, looked at, taken away."""

from __future__ import annotations

from api.caller import Caller
from api.models import NewWebhook, WebhookRequest, WebhookView
from contract.codes import ErrorCode
from domain.errors import RefusedRequest
from domain.webhooks import Targets, Webhook, WebhookTable, fault_of, new_secret


class Webhooks:
    """One a customer; it is called for every job that is his."""

    def __init__(self, table: WebhookTable, targets: Targets) -> None:
        self._table, self._targets = table, targets

    def set(self, request: WebhookRequest, caller: Caller) -> NewWebhook:
        """Raises RefusedRequest(INVALID_REQUEST) for a URL that may not be called."""
        if fault := fault_of(request.url, self._targets):
            raise RefusedRequest(ErrorCode.INVALID_REQUEST, fault)
        webhook = Webhook(request.url, new_secret())
        self._table.save(caller.owners, webhook)
        return NewWebhook(url=webhook.url, secret=webhook.secret)

    def look(self, caller: Caller) -> WebhookView:
        webhook = self._table.find(caller.subject)
        return WebhookView(url=webhook.url if webhook else None)

    def remove(self, caller: Caller) -> None:
        self._table.remove(caller.owners)
