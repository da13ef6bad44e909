"""A large flight's execution stays within Step Functions' quotas: 25,000 events, 256 KiB of data."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contract.blocks import MAX_BLOCKS, blocks_for
from contract.events import MAX_METRICS_BYTES
from domain.results import MAX_WARNINGS
from tests.campaign.history import Customers
from tests.campaign.machine import Execution
from tests.campaign.pipeline import Pipeline, running_pipeline
from tests.campaign.world import Faults
from tests.support.cloud import ENVIRONMENT
from tests.support.fakes import MAX_DATA_BYTES

pytestmark = pytest.mark.no_cover  # with coverage, thousands of events take twice as long
MAX_EVENTS, MAX_BYTES = 25_000, 65_536
SEED = 2  # of a history in which the customer does not touch the upload
DAY = 86_400.0


def flown(monkeypatch: pytest.MonkeyPatch, blocks: int, attempts: int, figures: int, warnings: int) -> Execution:
    """The execution of a flight with this many blocks, on a sufficient budget. Its stages report this many figures and
    long warnings, and the scores of 250 check photos; each block is interrupted in all attempts but the last."""
    monkeypatch.setitem(ENVIRONMENT, "JOB_BUDGET_DOLLARS", "1000")
    with running_pipeline(SEED, Faults()) as pipeline:
        pipeline.world.large, pipeline.world.blocks = 1.0, (blocks, blocks)
        _report(pipeline, monkeypatch, figures, warnings)
        _interrupt(pipeline, monkeypatch, attempts)
        customers = Customers(pipeline)
        customers.upload("meadow.zip")
        pipeline.world.run(20 * DAY)
        (execution,) = pipeline.machine.executions.values()
        created = [name for name in pipeline.machines.created if "-3dgs-b" in name]
    assert execution.status == "SUCCEEDED"
    assert len(created) == blocks * attempts
    return execution


def _report(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, figures: int, warnings: int) -> None:
    put = pipeline.storage.put_object

    def put_object(**request: Any) -> Any:
        if request["Key"].endswith("/result.json"):
            result = json.loads(request["Body"])
            message = {"code": "TIME_BUDGET", "message": "x" * 300, "names": ["DJI_0001.JPG"] * 2000}
            result["warnings"] = [message] * warnings
            result["metrics"] = {f"figure{number}": "9" * 80 for number in range(figures)}
            result["metrics"]["scores"] = [{"name": "DJI_0001.JPG", "psnr": 25.0, "ssim": 0.9, "seen": 0.5}] * 250
            request["Body"] = json.dumps(result).encode()
        return put(**request)

    monkeypatch.setattr(pipeline.storage, "put_object", put_object)


def _interrupt(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, attempts: int) -> None:
    finish = pipeline.machines._finish

    def finished(run: Any, outcome: str) -> None:
        again = isinstance(run.block, int) and run.attempt < attempts
        finish(run, "interrupted" if again else outcome)

    monkeypatch.setattr(pipeline.machines, "_finish", finished)


def test_two_thousand_photos_are_far_from_every_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    execution = flown(monkeypatch, blocks_for(2000), attempts=1, figures=60, warnings=6)
    assert execution.events < 250
    assert execution.largest < MAX_BYTES


def test_the_most_blocks_of_four_attempts_each_stay_within_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = MAX_METRICS_BYTES // 100
    execution = flown(monkeypatch, MAX_BLOCKS, attempts=4, figures=figures, warnings=MAX_WARNINGS)
    assert execution.events < MAX_EVENTS / 10
    assert execution.largest < MAX_DATA_BYTES / 2
