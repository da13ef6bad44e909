"""What AWS charges for the orchestration of a job: list prices, us-east-1, in dollars.

https://aws.amazon.com/step-functions/pricing, lambda/pricing, eventbridge/pricing, dynamodb/pricing, ses/pricing
"""

from __future__ import annotations

STATE_TRANSITION = 0.025 / 1000  # Standard workflows
INVOCATION = 0.20 / 1e6
GB_SECOND = 0.0000166667  # x86
CUSTOM_EVENT = 1.00 / 1e6
WRITE_UNIT = 0.625 / 1e6  # on demand, items up to 1 KB
MAIL = 0.10 / 1000

WRITES_A_STATUS_EVENT = 3  # track_progress: headline, progress, the stage's own part
WRITES_A_STAGE_RUN = 1
STAGES = 3
MAILS = 2  # of the start and of the outcome


def dollars_a_job(transitions: float, invocations: float, gb_seconds: float, status_events: float) -> dict[str, float]:
    """By service and in all, without SageMaker; S3 requests and logs, each far below a thousandth, are left out."""
    writes = status_events * WRITES_A_STATUS_EVENT + STAGES * WRITES_A_STAGE_RUN
    parts = {
        "stepFunctions": transitions * STATE_TRANSITION,
        "lambda": invocations * INVOCATION + gb_seconds * GB_SECOND,
        "eventBridge": status_events * CUSTOM_EVENT,
        "dynamoDb": writes * WRITE_UNIT,
        "ses": MAILS * MAIL,
    }
    return {**parts, "total": sum(parts.values())}
