"""The one logger, tracer and metrics of every function. Service name and namespace come from the template."""

from __future__ import annotations

from aws_lambda_powertools import Logger, Metrics, Tracer

logger = Logger()
# AWS calls alone are worth segments of their own; looking for all that X-Ray knows would lengthen every cold start
tracer = Tracer(patch_modules=["botocore"])
metrics = Metrics()
