"""Read the logs of the Lambda functions from the local CloudWatch Logs before the cloud is removed."""

from __future__ import annotations

from datetime import UTC, datetime

from local.address import Address


def function_logs(address: Address) -> list[str]:
    """Every line of every function: time, function, text; oldest first."""
    logs = address.client("logs")
    events = []
    for group in logs.describe_log_groups()["logGroups"]:
        name = group["logGroupName"]
        for page in logs.get_paginator("filter_log_events").paginate(logGroupName=name):
            events += [(event["timestamp"], name.rpartition("/")[2], event["message"]) for event in page["events"]]
    return [
        f"{datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec='milliseconds')} {name} {message.rstrip()}"
        for at, name, message in sorted(events, key=lambda event: event[0])
    ]
