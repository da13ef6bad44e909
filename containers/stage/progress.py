"""Report a stage's progress as status events, the only ones that a container publishes."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from contract.blocks import BlockName
from contract.events import SOURCE, VERSION, StatusType, progress_sequence
from contract.stages import Stage

MIN_SECONDS_BETWEEN_EVENTS = 1.0
MIN_STEP = 0.01


class EventSink(Protocol):
    """Takes the detail of one status event: EventBridge in the cloud, a list in tests."""

    def __call__(self, detail: dict[str, Any]) -> None: ...


class ProgressReporter:
    """Reports progress 0..1, never backwards and at most once a second; `report(1.0, …)` is always sent."""

    def __init__(
        self,
        stage: str,
        job_id: str,
        attempt: int,
        sink: EventSink,
        clock: Callable[[], float] = time.monotonic,
        *,
        block: BlockName | None = None,
    ) -> None:
        self._block = {} if block is None else {"block": block}
        self._stage, self._job_id, self._attempt = stage, job_id, attempt
        self._sink, self._clock = sink, clock
        self._best = 0.0
        self._sent_progress = -1.0
        self._sent_at = float("-inf")

    def report(self, progress: float, message: str, metrics: Mapping[str, Any] | None = None) -> None:
        """Report how far the stage is (0..1), what it is doing now, and figures to show."""
        self._best = max(self._best, min(max(progress, 0.0), 1.0))
        now = self._clock()
        moved = self._best - self._sent_progress >= MIN_STEP
        waited = now - self._sent_at >= MIN_SECONDS_BETWEEN_EVENTS
        last = self._best >= 1.0 and self._sent_progress < 1.0
        # without progress an event still goes out every 20 s: it counts as the stage's heartbeat
        beat = now - self._sent_at >= 20.0
        if not (last or beat or (moved and waited)):
            return
        self._sent_progress, self._sent_at = self._best, now
        self._sink(
            {
                "version": VERSION,
                "jobId": self._job_id,
                "stage": self._stage,
                "attempt": self._attempt,
                **self._block,
                "sequence": progress_sequence(Stage(self._stage), self._attempt, self._best),
                "at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "progress": round(self._best, 4),
                "message": message,
                "metrics": dict(metrics or {}),
            }
        )


def log_sink(detail: dict[str, Any]) -> None:
    """Print the event as a line of JSON on standard error, which is the container's log."""
    print(json.dumps(detail), file=sys.stderr, flush=True)


def event_bridge_sink(bus: str, events: Any) -> EventSink:
    """A sink for the status bus; `events` is a boto3 EventBridge client. A failure to send is logged, never raised."""

    def put(detail: dict[str, Any]) -> None:
        log_sink(detail)
        try:
            events.put_events(
                Entries=[
                    {
                        "Source": SOURCE,
                        "DetailType": StatusType.STAGE_PROGRESSED.value,
                        "EventBusName": bus,
                        "Detail": json.dumps(detail),
                    }
                ]
            )
        except Exception as error:
            print(f"progress event not sent: {error}", file=sys.stderr, flush=True)

    return put
