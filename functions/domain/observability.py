"""The one logger, tracer and metrics of every function. Service name and namespace come from the template."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_xray_sdk.core.emitters.udp_emitter import UDPEmitter


class EmitterWithoutMessages(UDPEmitter):  # type: ignore[misc]
    """Sends an exception by its type and the lines that it passed, without its message: a message quotes values, and a
    trace may be read by more people than a log. The log has the message."""

    def send_entity(self, entity: Any) -> None:
        _drop_messages(entity)
        super().send_entity(entity)


def _drop_messages(entity: Any) -> None:
    """Of an X-Ray segment and those within it. A cause that is no mapping refers to another segment's."""
    if isinstance(entity.cause, dict):
        for exception in entity.cause.get("exceptions", ()):
            exception.message = None
    for within in entity.subsegments:
        _drop_messages(within)


logger = Logger()
# AWS calls alone are worth segments of their own; looking for all that X-Ray knows would lengthen every cold start
tracer = Tracer(patch_modules=["botocore"])
tracer.provider.emitter = EmitterWithoutMessages()  # type: ignore[attr-defined]
metrics = Metrics()


def log_faults(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Log what a handler raises with the keys it has appended, above all the job's id. Lambda's own record of an
    exception has none of them, so that nobody who looks for a job would find it."""

    @wraps(handler)
    def logged(*arguments: Any, **named: Any) -> Any:
        try:
            return handler(*arguments, **named)
        except Exception:
            logger.exception("the function failed")
            raise

    return logged
