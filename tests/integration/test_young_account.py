"""A young account runs few functions at once: calls that Lambda refuses are repeated, and no upload is lost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from benchmarks.orchestration_load import Stack, stub_stack, zip_of_photos
from local.customer import subscribed
from scripts.redrive import edges_of, letters_in
from tests.support.waiting import wait_until

CONCURRENCY = 2  # ten on AWS; fewer here, so that a few uploads are a burst
UPLOADS = 6
PATIENCE = 400.0


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stub_stack(tmp_path_factory.mktemp("young"), concurrency=CONCURRENCY) as deployed:
        yield deployed


def test_a_burst_of_uploads_gets_through(stack: Stack) -> None:
    begun, ended = datetime.now(UTC), dict[str, str]()
    with subscribed(stack.address, stack.outputs["StatusBusName"]) as subscription:
        for number in range(UPLOADS):
            stack.upload(f"flight-{number}.zip", zip_of_photos(number))

        def all_ended() -> bool:
            ended.update({event.job_id: event.type for event in subscription.receive() if event.ends_job})
            return len(ended) == UPLOADS

        wait_until(all_ended, PATIENCE)
    assert set(ended.values()) == {"Job Succeeded"}
    assert refused(stack, begun) > 0
    sqs = stack.address.client("sqs")
    for edge in edges_of(stack.address.client("cloudformation"), "spaceport"):
        assert list(letters_in(sqs, edge.queue_url, hidden_seconds=0)) == [], edge.name


def refused(stack: Stack, since: datetime) -> float:
    """The number of calls that Lambda refused for want of concurrent executions."""
    cloudwatch = stack.address.client("cloudwatch")
    points = [
        point
        for metric in cloudwatch.list_metrics(Namespace="AWS/Lambda", MetricName="Throttles")["Metrics"]
        for point in cloudwatch.get_metric_statistics(
            **metric,
            StartTime=since - timedelta(minutes=1),
            EndTime=datetime.now(UTC) + timedelta(minutes=1),
            Period=3600,
            Statistics=["Sum"],
        )["Datapoints"]
    ]
    return float(sum(point["Sum"] for point in points))
