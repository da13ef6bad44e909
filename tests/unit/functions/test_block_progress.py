"""Blocks side by side give one progress and one estimate of the stage, in whatever order their events arrive."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contract.blocks import COARSE, MAX_BLOCKS, BlockName
from contract.events import StatusType, progress_sequence, started_sequence
from contract.stages import PipelineStep, Stage, block_label
from domain.block_progress import BlocksSoFar, own_moments, own_updates, shares_in, stage_event
from domain.job_item import JobItem, applied, reduced_to_trusted, updates_for
from domain.pace import Pace, machine_seconds, prior, stage_seconds, units
from domain.status import StatusDetail, StatusEvent
from tests.support.blocks import strip_of
from tests.support.cloud import Cloud, invoke
from tests.support.events import sample_event

JOB_ID = "meadow-0123456789ab"
AT = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
PACE = Pace(waiting=100, per_unit=1, usual=1000, runs=5)
TRAINING = Stage.TRAINING


def said(block: BlockName, progress: float, attempt: int = 1, seconds: float = 0.0) -> StatusEvent:
    return StatusEvent(
        type=StatusType.STAGE_PROGRESSED,
        detail=StatusDetail(
            job_id=JOB_ID,
            stage=TRAINING,
            attempt=attempt,
            block=block,
            sequence=progress_sequence(TRAINING, attempt, progress),
            at=AT + timedelta(seconds=seconds),
            progress=progress,
            message="training",
        ),
    )


def started(block: BlockName, blocks: int, attempt: int = 1) -> StatusEvent:
    event = said(block, 0.0, attempt)
    told = {"metrics": shares_in(block, strip_of(blocks)), "sequence": started_sequence(TRAINING, attempt)}
    return StatusEvent(type=StatusType.STAGE_STARTED, detail=event.detail.model_copy(update=told))


def after(events: list[StatusEvent]) -> dict[str, Any]:
    """The item after these events, as track_progress writes it."""
    item: dict[str, Any] = {}
    for event in events:
        item = applied(item, own_updates(event), own_moments(event))
        item = applied(item, updates_for(stage_event(event, BlocksSoFar.of(item))), {})
    return item


def flight(blocks: int, reports: list[float]) -> list[StatusEvent]:
    """All events of a flight: the coarse model, then all blocks at once, one of which needs two attempts."""
    names: list[BlockName] = [COARSE, *range(1, blocks + 1)]
    events = [started(name, blocks) for name in names] + [started(1, blocks, 2)]
    return events + [said(name, share) for name in names for share in (*reports, 1.0)]


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 12), st.lists(st.floats(0, 1), max_size=3), st.integers(0, 99))
@example(blocks=2, reports=[], seed=31)  # the coarse model's start comes last
def test_any_order_of_the_blocks_events_ends_with_the_stage_done(blocks: int, reports: list[float], seed: int) -> None:
    events = flight(blocks, reports)
    shuffled = [*events, *events[:5]]
    random.Random(seed).shuffle(shuffled)
    item = after(shuffled)
    so_far = BlocksSoFar.of(item)
    assert so_far.stage_progress == pytest.approx(1, abs=1e-3)
    assert (so_far.done, so_far.blocks) == (blocks, blocks)
    assert item["trainingSequence"] == progress_sequence(TRAINING, 1, round(so_far.stage_progress, 4))
    assert item["training"]["metrics"] == {"blocks": {"done": blocks, "all": blocks}}


@pytest.mark.parametrize("almost", [0.99, 0.998, 0.999, 0.9994])
@pytest.mark.parametrize("blocks", [2, 12, MAX_BLOCKS])
def test_a_block_that_had_almost_ended_is_counted_when_it_ends(blocks: int, almost: float) -> None:
    before = [*begun(blocks), *(said(block, almost) for block in range(1, blocks + 1))]
    item = after([*before, *(said(block, 1.0) for block in range(1, blocks + 1))])
    assert item["training"]["metrics"] == {"blocks": {"done": blocks, "all": blocks}}


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 12), st.data())
def test_the_stages_progress_never_falls_and_is_no_blocks_own(blocks: int, data: st.DataObject) -> None:
    events = data.draw(st.permutations(flight(blocks, [0.3, 0.7])))
    item: dict[str, Any] = {}
    last = 0.0
    for event in events:
        item = applied(item, own_updates(event), own_moments(event))
        item = applied(item, updates_for(stage_event(event, BlocksSoFar.of(item))), {})
        assert item["training"]["progress"] >= last or item["training"]["status"] == "Stage Started"
        last = item["training"]["progress"]


def test_the_fastest_block_does_not_speak_for_the_flight() -> None:
    events = [started(COARSE, 4), said(COARSE, 1), *(started(block, 4) for block in range(1, 5)), said(2, 1.0)]
    item = after(events)
    assert item["training"]["progress"] == pytest.approx(0.1 + 0.9 / 5, abs=1e-3)
    assert item["training"]["message"] == "1 of 4 blocks are trained"


def test_a_second_attempt_at_the_coarse_model_does_not_shut_out_what_comes_after() -> None:
    item = after([started(COARSE, 2), said(COARSE, 0.5), started(COARSE, 2, 2), said(COARSE, 0.9, 2)])
    assert item["training"]["progress"] == pytest.approx(0.09)


def left(events: list[StatusEvent], seconds: float) -> float:
    return BlocksSoFar.of(after(events)).seconds_left(PACE, 1000, AT + timedelta(seconds=seconds))


def begun(blocks: int) -> list[StatusEvent]:
    coarse = [started(COARSE, blocks), said(COARSE, 1.0)]
    return [*coarse, *(started(block, blocks) for block in range(1, blocks + 1))]


def test_before_the_blocks_a_whole_block_is_still_to_come() -> None:
    assert left([started(COARSE, 3)], 0) == pytest.approx(250 + 1100, rel=0.05)


def test_steps_that_were_asked_for_are_the_flights_and_shared_by_its_blocks() -> None:
    item = JobItem(job_id=JOB_ID, pipeline_step=PipelineStep.FULL, photos=2000, training_steps=30_000)
    assert units(TRAINING, item, PACE) == 6000
    assert stage_seconds(TRAINING, item, PACE) == 100 + 1500 + 100 + 6000
    assert machine_seconds(TRAINING, item, PACE) == 1500 + 5 * 6000
    whole = item.model_copy(update={"photos": 599})
    assert stage_seconds(TRAINING, whole, PACE) == 100 + 30_000 == 100 + machine_seconds(TRAINING, whole, PACE)
    alone = item.model_copy(update={"pipeline_step": PipelineStep.TRAINING})
    assert stage_seconds(TRAINING, alone, PACE) == 30_100


def test_the_slowest_block_says_when_the_stage_is_done() -> None:
    quick = [said(block, 0.01, seconds=0) for block in (1, 2, 3)] + [said(block, 0.9) for block in (1, 2)]
    assert left([*begun(3), *quick, said(3, 0.3)], 600) > 1200  # block 3 by itself: 600 s for three tenths
    assert left([*begun(3), *quick, said(3, 0.9)], 600) < 150


def test_a_block_that_waits_for_its_machine_has_all_its_time_before_it() -> None:
    assert left([*begun(2), said(1, 0.01), said(1, 0.99)], 900) >= 1100


def test_blocks_one_after_another_are_foreseen_by_the_pace_of_all() -> None:
    """Ten blocks on one machine: three have ended, and the others have sent no events."""
    one_by_one = [said(block, 0.01, seconds=1000.0 * (block - 1)) for block in (1, 2, 3)]
    done = [said(block, 1.0, seconds=1000.0 * block) for block in (1, 2, 3)]
    assert left([*begun(10), *one_by_one, *done], 3000) > 4500


@pytest.mark.parametrize("block", [0, -1, MAX_BLOCKS + 1, 10**9])
def test_a_container_cannot_fill_the_item_with_blocks_that_cannot_be(block: int) -> None:
    assert reduced_to_trusted(said(block, 0.5)) is None


def test_a_block_of_another_stage_is_not_believed() -> None:
    event = said(3, 0.5)
    sequence = progress_sequence(Stage.SFM, 1, 0.5)
    other = event.detail.model_copy(update={"stage": Stage.SFM, "sequence": sequence})
    assert reduced_to_trusted(event) is not None
    assert reduced_to_trusted(event.model_copy(update={"detail": other})) is None


def test_the_pace_of_blocks_side_by_side_teaches_nothing_of_a_training(cloud: Cloud) -> None:
    for published in (*begun(2), said(1, 0.5, seconds=10), said(1, 1.0, seconds=20), said(2, 1.0, seconds=20)):
        event = sample_event("status/stage-progressed")
        event["detail-type"] = published.type.value
        event["detail"] = published.detail.model_dump(mode="json", by_alias=True, exclude_none=True)
        invoke("track_progress", event)
    assert (cloud.item(JOB_ID) or {})["training"]["metrics"]["blocks"] == {"done": 2, "all": 2}
    event = sample_event("status/stage-succeeded")
    sequence = 2_999_999
    event["detail"] |= {"jobId": JOB_ID, "stage": "3dgs", "attempt": 1, "sequence": sequence, "progress": 1}
    invoke("track_progress", event)
    assert cloud.table("pace").scan()["Items"] == []
    assert prior(TRAINING, "standard").runs == 0  # type: ignore[arg-type]


def test_each_block_keeps_its_own_progress_in_the_item(cloud: Cloud) -> None:
    invoke("track_progress", sample_event("status/block-progressed"))
    item = cloud.item(JOB_ID) or {}
    assert item[f"trainingPermille_{block_label(7)}"] == 420
