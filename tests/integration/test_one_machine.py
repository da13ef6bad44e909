"""One machine of each type in the account's quota, several uploads, on the local cloud with stub containers."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise

import pytest

from benchmarks.orchestration_load import Stack, stub_stack, zip_of_photos
from local.customer import StatusEvent, subscribed

UPLOADS = 3
END_SECONDS = 300.0  # three jobs one after another take a minute on two idle cores
Span = tuple[datetime, datetime]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stub_stack(tmp_path_factory.mktemp("one"), machines=1) as deployed:
        yield deployed


@pytest.fixture(scope="module")
def events(stack: Stack) -> dict[str, list[StatusEvent]]:
    """All events received of each job."""
    heard: dict[str, list[StatusEvent]] = defaultdict(list)
    with subscribed(stack.address, stack.outputs["StatusBusName"]) as subscription:
        for number in range(UPLOADS):
            stack.upload(f"flight-{number}.zip", zip_of_photos(number))
        deadline = time.monotonic() + END_SECONDS
        while sum(event.ends_job for received in heard.values() for event in received) < UPLOADS:
            assert time.monotonic() < deadline, {job: received[-1].message for job, received in heard.items()}
            for event in subscription.receive():
                heard[event.job_id].append(event)
        while overtaken := subscription.receive():  # events that the last job's final event overtook
            for event in overtaken:
                heard[event.job_id].append(event)
    return heard


def spans(stack: Stack, kind: str) -> dict[str, Span]:
    """When each SageMaker job of a kind was created and when it ended, by the job's name, earliest first."""
    client = stack.address.client("sagemaker")
    found = getattr(client, f"list_{kind.lower()}_jobs")(SortBy="CreationTime", SortOrder="Ascending", MaxResults=100)
    jobs = found[f"{kind}JobSummaries"]
    ends = "ProcessingEndTime" if kind == "Processing" else "TrainingEndTime"
    return {job[f"{kind}JobName"]: (job["CreationTime"], job[ends]) for job in jobs}


def test_all_get_through(events: dict[str, list[StatusEvent]]) -> None:
    assert [next(event.type for event in received if event.ends_job) for received in events.values()] == (
        ["Job Succeeded"] * UPLOADS
    )


@pytest.mark.parametrize("kind", ["Processing", "Training"])
def test_no_two_jobs_are_on_the_machine_at_once(stack: Stack, events: dict[str, list[StatusEvent]], kind: str) -> None:
    assert all(before[1] <= after[0] for before, after in pairwise(spans(stack, kind).values()))


def test_a_job_that_waits_for_an_instance_reports_it(events: dict[str, list[StatusEvent]]) -> None:
    waited = [
        job_id for job_id, received in events.items() if any(e.message == "waiting for capacity" for e in received)
    ]
    found = [job_id for job_id, received in events.items() if any(e.message == "a machine was found" for e in received)]
    assert len(waited) >= 1
    assert waited == found
