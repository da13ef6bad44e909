"""Compute what AWS charges for the orchestration of a job, from list prices in us-east-1, in dollars.

https://aws.amazon.com/step-functions/pricing, lambda/pricing, eventbridge/pricing, dynamodb/pricing, ses/pricing
"""

from __future__ import annotations

STATE_TRANSITION = 0.025 / 1000  # Standard workflows
INVOCATION = 0.20 / 1e6
GB_SECOND = 0.0000166667  # x86
CUSTOM_EVENT = 1.00 / 1e6
WRITE_UNIT = 0.625 / 1e6  # on demand, items up to 1 KB
MAIL = 0.10 / 1000

READ_UNIT = 0.125 / 1e6  # on demand, consistent reads of up to 4 KB

# track_progress reads and writes the job's item once for each event; byOwner holds keys alone and gets no write of it
ITEM_KB = 5  # with three stages, their figures and moments
READS_A_STATUS_EVENT = 3.5  # the item of up to 8 KB, and the paces of three stages
# a stage run, of 1 KB and while it waits 3: remembered, reserved, answered, billed; the index `watch` beside it
WRITES_A_STAGE_RUN = 8
STAGES = 3
MAILS = 2  # of the start and of the outcome

# The containers' own events, which the benchmark's stubs do not publish: a real job of 18 photos (brighton_beach) had
# 22 of sfm, 74 of training and 23 of compression. Each invokes track_progress and report_stage.
PROGRESS_EVENTS = 22 + 74 + 23
INVOCATIONS_A_PROGRESS_EVENT = 2
PROGRESS_GB_SECONDS = 0.5 * 0.05  # of one invocation: 512 MB for 50 ms
READS_OF_REPORT_STAGE = 1  # the stage run; its next look is written once a minute at most


def dollars_a_job(
    transitions: float,
    invocations: float,
    gb_seconds: float,
    status_events: float,
    progress_events: float = PROGRESS_EVENTS,
) -> dict[str, float]:
    """Dollars per job by service and in total, without SageMaker, S3 requests and logs; the last two are far below a
    thousandth of a dollar each.

    `invocations`, `gb_seconds` and `status_events` are those of a job whose containers publish no progress.
    """
    events, progressed = status_events + progress_events, INVOCATIONS_A_PROGRESS_EVENT * progress_events
    writes = events * ITEM_KB + STAGES * WRITES_A_STAGE_RUN
    reads = events * READS_A_STATUS_EVENT + progress_events * READS_OF_REPORT_STAGE
    seconds = gb_seconds + progressed * PROGRESS_GB_SECONDS
    parts = {
        "stepFunctions": transitions * STATE_TRANSITION,
        "lambda": (invocations + progressed) * INVOCATION + seconds * GB_SECOND,
        "eventBridge": events * CUSTOM_EVENT,
        "dynamoDb": writes * WRITE_UNIT + reads * READ_UNIT,
        "ses": MAILS * MAIL,
    }
    return {**parts, "total": sum(parts.values())}
