"""Runs of one stage for the blocks of a large flight: each has its own names, keys, folders and attempts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contract.blocks import COARSE, MAX_BLOCKS, BlockName
from contract.stages import Stage
from domain.layout import checkpoints_uri, output_uri, snapshot_of, split_uri
from domain.stage_runs import StageRuns, latest_of
from domain.stages import RetryState, StageRun
from report_stage.parse import ProgressMade, parse
from stage.progress import ProgressReporter
from tests.support.cloud import Cloud
from tests.support.runs import JOB_ID

blocks = st.none() | st.just(COARSE) | st.integers(1, MAX_BLOCKS)


def training(block: BlockName | None, attempt: int = 1) -> StageRun:
    return StageRun(job_id=JOB_ID, stage=Stage.TRAINING, attempt=attempt, block=block)


@pytest.fixture
def runs(cloud: Cloud) -> StageRuns:
    return StageRuns(cloud.table("stage-runs"))


def remember(runs: StageRuns, run: StageRun) -> None:
    runs.remember(run, f"token-{run.job_name}", RetryState(), 0)


@given(blocks, st.integers(1, 98))
def test_a_sagemaker_job_name_identifies_the_block(block: BlockName | None, attempt: int) -> None:
    run = training(block, attempt)
    assert StageRun.parse(run.job_name) == run


@pytest.mark.parametrize("block", [0, -1, MAX_BLOCKS + 1, 10**12])
def test_a_block_that_no_flight_has_is_that_of_no_run(block: int) -> None:
    with pytest.raises(ValidationError):
        training(block)
    assert StageRun.parse(f"{JOB_ID}-{Stage.TRAINING}-b{MAX_BLOCKS}-1") == training(MAX_BLOCKS)
    assert StageRun.parse(f"{JOB_ID}-{Stage.TRAINING}-b{MAX_BLOCKS + 1}-1") is None


@given(st.sets(st.tuples(blocks, st.integers(1, 98)), min_size=2, max_size=6))
def test_no_two_runs_share_a_name_or_a_folder(some: set[tuple[BlockName | None, int]]) -> None:
    each = [training(block, attempt) for block, attempt in some]
    for place in (lambda run: run.job_name, lambda run: output_uri(run, "results")):
        assert len({place(run) for run in each}) == len(each)
    begun = {(block, checkpoints_uri(training(block), 1, "results")) for block, _ in some}
    assert len({uri for _, uri in begun}) == len(begun)


@pytest.mark.parametrize(
    ("block", "key"), [(None, "3dgs#0002"), (7, "3dgs#b007#0002"), (40, "3dgs#b040#0002"), (COARSE, "3dgs#coarse#0002")]
)
def test_each_block_has_its_own_rows_in_the_table(
    cloud: Cloud, runs: StageRuns, block: BlockName | None, key: str
) -> None:
    remember(runs, training(block, 2))
    (item,) = cloud.table("stage-runs").scan()["Items"]
    assert item["stageRun"] == key
    assert [waiting.run for waiting in runs.of_job(JOB_ID)] == [training(block, 2)]


def test_the_newest_attempt_is_that_of_the_block(runs: StageRuns) -> None:
    for run in (training(None), training(7), training(7, 2), training(8), training(COARSE, 3), training(COARSE)):
        remember(runs, run)
    known = runs.of_job(JOB_ID)
    newest = {block: latest_of(known, Stage.TRAINING, block) for block in (None, 7, 8, COARSE, 9)}
    assert {block: waiting and waiting.run.attempt for block, waiting in newest.items()} == {
        None: 1,
        7: 2,
        8: 1,
        COARSE: 3,
        9: None,
    }


def test_all_runs_of_a_job_are_found_over_several_pages(runs: StageRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    each = [training(block, attempt) for block in range(1, 14) for attempt in (1, 2)]
    for run in each:
        remember(runs, run)
    table: Any = runs._table  # moto's pages are as long as DynamoDB's, one megabyte
    query = table.query
    monkeypatch.setattr(table, "query", lambda **how: query(**{"Limit": 5, **how}))
    assert [waiting.run for waiting in runs.of_job(JOB_ID)] == each


def test_a_block_keeps_its_checkpoints_apart() -> None:
    assert checkpoints_uri(training(None, 3), 2, "r") == f"s3://r/intermediates/{JOB_ID}/checkpoints/2/"
    assert checkpoints_uri(training(7, 3), 2, "r") == f"s3://r/intermediates/{JOB_ID}/checkpoints/b07/2/"
    assert checkpoints_uri(training(COARSE), 1, "r") == f"s3://r/intermediates/{JOB_ID}/checkpoints/coarse/1/"


def test_pictures_of_one_growing_block_are_not_shown_as_the_scene() -> None:
    whole, block = (split_uri(checkpoints_uri(training(block), 1, "r"))[1] for block in (None, 7))
    assert snapshot_of(f"{whole}snapshots/100.jpg", JOB_ID) == (100, 1)
    assert snapshot_of(f"{block}snapshots/100.jpg", JOB_ID) is None


@given(blocks, st.integers(1, 98))
def test_a_containers_progress_is_that_of_its_own_block(block: BlockName | None, attempt: int) -> None:
    said: list[dict[str, Any]] = []
    ProgressReporter("3dgs", JOB_ID, attempt, lambda detail: said.append(detail), block=block).report(0.5, "half")
    assert parse("Stage Progressed", said[0]) == ProgressMade(run=training(block, attempt))


def queue_up(runs: StageRuns, run: StageRun, start_tag: int) -> str:
    remember(runs, run)
    runs.queue_up(run, f"token-{run.job_name}", {}, start_tag)
    return run.job_name


def test_a_flight_of_many_blocks_lets_others_go_after_eight(runs: StageRuns) -> None:
    """Another owner's job of the same turn goes next, and so does the same owner's next job; whatever has a later turn
    waits."""
    blocks = [queue_up(runs, training(block), 7) for block in range(1, 14)]
    other, own_next, last = (
        queue_up(runs, StageRun(job_id=name, stage=Stage.TRAINING, attempt=1), tag)
        for name, tag in (("other-owner", 7), ("own-next", 8), ("own-after-next", 9))
    )
    order = [waiting.run.job_name for waiting in runs.queue(Stage.TRAINING)]
    assert sorted(order[:8]) == blocks[:8]
    assert order[8:10] == [other, own_next]
    assert sorted(order[10:15]) == blocks[8:]
    assert order[15:] == [last]


def test_a_block_that_waits_says_since_when(cloud: Cloud) -> None:
    runs = StageRuns(cloud.table("stage-runs"), lambda: 1_800_000_000.0)
    for run in (training(None), training(COARSE), training(3), training(9)):
        queue_up(runs, run, 1)
    queued = [waiting.queued_at for waiting in runs.queue(Stage.TRAINING)]
    assert [at and at.timestamp() for at in queued] == [1_800_000_000.0] * 4
