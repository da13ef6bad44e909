"""A fresh cloud for each test of a function; a cloud with a single machine, and a clock for its queue."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from domain.stage_runs import StageRuns
from tests.support.cloud import Cloud, cloud_of
from tests.support.queueing import Clock


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with cloud_of(monkeypatch) as fresh:
        yield fresh


@pytest.fixture
def clock(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(StageRuns.__init__, "__defaults__", (clock,))
    return clock


@pytest.fixture
def one_machine(cloud: Cloud) -> Cloud:
    cloud.sagemaker.quota = 1
    for number in range(1, 4):
        cloud.has_upload(f"job-{number}")
    return cloud
