"""The one logger and metrics of every function. Service name and namespace come from the template.

Traces are Lambda's own (`Tracing: Active`): X-Ray's SDK would add a third to every cold start.
"""

from __future__ import annotations

from aws_lambda_powertools import Logger, Metrics

logger = Logger()
metrics = Metrics()
