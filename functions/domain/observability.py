"""The one logger, tracer and metrics of every function. Service name and namespace come from the template."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_xray_sdk.core.emitters.udp_emitter import UDPEmitter


class EmitterWithoutMessages(UDPEmitter):  # type: ignore[misc]
    """Records an exception's type and line numbers in the trace, but not its message: a message quotes values, and more
    people may read a trace than a log. The log contains the message."""

    def send_entity(self, entity: Any) -> None:
        _drop_messages(entity)
        super().send_entity(entity)


def _drop_messages(entity: Any) -> None:
    """Remove the messages from an X-Ray segment and its subsegments. A cause that is not a mapping refers to the cause
    of another segment."""
    if isinstance(entity.cause, dict):
        for exception in entity.cause.get("exceptions", ()):
            exception.message = None
    for within in entity.subsegments:
        _drop_messages(within)


logger = Logger()
# only AWS calls are worth segments; patching every library that X-Ray knows would lengthen each cold start
tracer = Tracer(patch_modules=["botocore"])
tracer.provider.emitter = EmitterWithoutMessages()  # type: ignore[attr-defined]
metrics = Metrics()


def log_faults(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Log an exception of a handler with the keys that the handler has appended, above all the job's id. Lambda's own
    record has none of them, so a search for the job would not find it."""

    @wraps(handler)
    def logged(*arguments: Any, **named: Any) -> Any:
        try:
            return handler(*arguments, **named)
        except Exception:
            logger.exception("the function failed")
            raise

    return logged
