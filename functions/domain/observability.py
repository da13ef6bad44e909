"""The one logger, tracer and metrics of every function. Service name and namespace come from the template."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer

logger = Logger()
# AWS calls alone are worth segments of their own; looking for all that X-Ray knows would lengthen every cold start
tracer = Tracer(patch_modules=["botocore"])
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
