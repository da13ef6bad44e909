"""Return dead letters to their functions: `python scripts/redrive.py STACK [FUNCTION …] [--look]`.

A dead letter is an event that a function did not process, because the function failed three times or EventBridge could
not deliver it. The letter's body is the event itself. The function is invoked again with each event, asynchronously, so
that Lambda's retries and the dead-letter queue apply again; only then is the letter deleted. All functions tolerate
repeated events, so an interrupted redrive can simply be repeated. Without names, the letters of all functions are
returned; `--look` only prints them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3

QUEUE, FUNCTION = "DeadLetters", "Function"  # logical names in template.yaml: NotifyDeadLetters, NotifyFunction
HIDDEN_SECONDS = 60  # how long a letter that was received but not deleted stays invisible


@dataclass(frozen=True)
class Edge:
    """A function and the queue of the events that it did not process."""

    name: str
    function: str
    queue_url: str


@dataclass(frozen=True)
class Letter:
    """A dead letter. `reason`: why the last attempt failed, from Lambda or EventBridge."""

    body: str
    reason: str
    receipt: str


def edges_of(cloudformation: Any, stack: str) -> list[Edge]:
    """Every function of the stack that has a dead letter queue, by name."""
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    physical = {
        found["LogicalResourceId"]: found["PhysicalResourceId"]
        for page in pages
        for found in page["StackResourceSummaries"]
    }
    names = sorted(logical.removesuffix(QUEUE) for logical in physical if logical.endswith(QUEUE))
    names = [name for name in names if name + FUNCTION in physical]
    return [Edge(name, physical[name + FUNCTION], physical[name + QUEUE]) for name in names]


def letters_in(sqs: Any, queue_url: str, hidden_seconds: int = HIDDEN_SECONDS) -> Iterator[Letter]:
    """Receive as many letters as the queue has now, so that one that fails again is not received twice. Each is
    invisible to others for `hidden_seconds`."""
    attributes = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["ApproximateNumberOfMessages"])
    left = int(attributes["Attributes"]["ApproximateNumberOfMessages"])
    while left > 0:
        answer = sqs.receive_message(
            QueueUrl=queue_url,
            MaxNumberOfMessages=min(left, 10),
            VisibilityTimeout=hidden_seconds,
            MessageAttributeNames=["All"],
        )
        messages = answer.get("Messages", [])
        if not messages:
            return
        left -= len(messages)
        for message in messages:
            said = message.get("MessageAttributes", {})
            reason = next((said[name]["StringValue"] for name in ("ErrorMessage", "ERROR_MESSAGE") if name in said), "")
            yield Letter(message["Body"], reason, message["ReceiptHandle"])


def redrive(sqs: Any, lambda_client: Any, edge: Edge) -> int:
    """Return the edge's letters to its function; returns their number. A letter that Lambda refuses stays in the queue,
    and botocore's ClientError is raised."""
    count = 0
    for letter in letters_in(sqs, edge.queue_url):
        lambda_client.invoke(FunctionName=edge.function, InvocationType="Event", Payload=letter.body.encode())
        sqs.delete_message(QueueUrl=edge.queue_url, ReceiptHandle=letter.receipt)
        count += 1
    return count


def shown(letter: Letter) -> str:
    """One line about a letter: its event, and why it was not processed."""
    event = json.loads(letter.body)
    what = f"{event.get('time', '')} {event.get('detail-type', '')}"
    return f"  {what} {json.dumps(event.get('detail', {}))[:200]} ← {letter.reason}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stack")
    parser.add_argument("functions", nargs="*", metavar="FUNCTION", help="StartJob, Notify …; without names: all")
    parser.add_argument("--look", action="store_true", help="print the letters and leave them")
    arguments = parser.parse_args()
    sqs, lambda_client = boto3.client("sqs"), boto3.client("lambda")
    edges = edges_of(boto3.client("cloudformation"), arguments.stack)
    unknown = set(arguments.functions) - {edge.name for edge in edges}
    if unknown:
        parser.error(
            f"no dead-letter queue of {', '.join(sorted(unknown))}; choose from {', '.join(e.name for e in edges)}"
        )
    for edge in edges:
        if arguments.functions and edge.name not in arguments.functions:
            continue
        if arguments.look:
            letters = list(letters_in(sqs, edge.queue_url))
            print(f"{edge.name}: {len(letters)}", *map(shown, letters), sep="\n")
        else:
            print(f"{edge.name}: {redrive(sqs, lambda_client, edge)} redriven")
    return 0


if __name__ == "__main__":
    sys.exit(main())
