"""The customer's side of the local cloud: the order in which the events of a job are returned."""

from __future__ import annotations

import json
from typing import Any

from local.customer import Subscription


def message(detail_type: str, sequence: int) -> dict[str, Any]:
    detail = {"jobId": "meadow", "sequence": sequence, "at": "2026-01-01T00:00:00Z", "progress": 0, "message": ""}
    return {"Body": json.dumps({"detail-type": detail_type, "detail": detail}), "ReceiptHandle": "a"}


class Queue:
    """Returns batches of messages; nothing after the last."""

    def __init__(self, *batches: list[dict[str, Any]]) -> None:
        self.batches = list(batches)

    def receive_message(self, **_: object) -> dict[str, Any]:
        return {"Messages": self.batches.pop(0)} if self.batches else {}

    def delete_message(self, **_: object) -> None:
        """Does nothing, because messages are returned only once."""


def test_the_final_event_comes_last_though_it_overtook_others() -> None:
    started, succeeded = message("Job Started", 0), message("Job Succeeded", 9_000_000)
    queue = Queue([started], [succeeded, message("Stage Progressed", 5)], [message("Stage Succeeded", 6)])
    handed_out = list(Subscription(queue, "queue").follow(60))
    assert [event.type for event in handed_out] == [
        "Job Started",
        "Stage Progressed",
        "Stage Succeeded",
        "Job Succeeded",
    ]


def test_what_follows_the_end_is_not_waited_for() -> None:
    queue = Queue([message("Job Succeeded", 9_000_000)], [], [message("Job Started", 0)])
    assert [event.type for event in Subscription(queue, "queue").follow(60)] == ["Job Succeeded"]
