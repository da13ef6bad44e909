"""Twenty uploads at once on two machines of each type: all become scenes, and nothing is left waiting."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import pytest

from benchmarks.orchestration_load import Load, Stack, run_load, stub_stack
from contract.stages import Stage
from tests.support.waiting import wait_until

UPLOADS, MACHINES = 20, 2
PATIENCE_SECONDS = 600.0  # maximum wait for the next upload to end: all go through the first stage before one ends


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Load]]:
    """Twenty uploads at once, and two machines of each type for them."""
    with stub_stack(tmp_path_factory.mktemp("crowd"), machines=MACHINES) as stack:
        yield stack, run_load(stack, UPLOADS, lambda _ended: None, PATIENCE_SECONDS)


def test_twenty_uploads_at_once_all_become_scenes_with_one_mail_each(crowd: tuple[Stack, Load]) -> None:
    _, load = crowd
    assert load.all_well, load
    assert load.outcomes == {"Job Succeeded": UPLOADS}


@pytest.mark.parametrize("kind", ["Processing", "Training"])
def test_no_more_jobs_are_at_work_than_there_are_machines(crowd: tuple[Stack, Load], kind: str) -> None:
    stack, _ = crowd
    client = stack.address.client("sagemaker")
    jobs = getattr(client, f"list_{kind.lower()}_jobs")(MaxResults=100)[f"{kind}JobSummaries"]
    assert len(jobs) == UPLOADS * sum(stage.kind == kind for stage in Stage)
    changes = sorted(
        [(job["CreationTime"], 1) for job in jobs] + [(job[f"{kind}EndTime"], -1) for job in jobs],
        key=lambda change: change,
    )
    at_work = list(accumulate(change for _, change in changes))
    assert max(at_work) <= MACHINES
    assert at_work[-1] == 0


def test_nothing_of_twenty_jobs_is_left_waiting(crowd: tuple[Stack, Load]) -> None:
    stack, _ = crowd
    tables = stack.address.client("dynamodb")
    (name,) = [name for name in tables.list_tables()["TableNames"] if "StageRunsTable" in name]

    def items() -> list[dict[str, Any]]:
        return [item for page in tables.get_paginator("scan").paginate(TableName=name) for item in page["Items"]]

    assert len(items()) == UPLOADS * len(Stage)
    wait_until(lambda: not any({"queuedFor", "watchedFor", "claimedUntil"} & item.keys() for item in items()))
