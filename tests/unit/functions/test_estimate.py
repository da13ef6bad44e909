"""The estimate of when a job ends: learnt from one scene, compared with the real end of another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.events import event_metrics, progress_sequence, started_sequence, succeeded_sequence
from contract.options import Quality
from contract.stages import Stage
from domain.job import JobOptions, UploadedObject, job_of
from domain.job_item import JobItem
from domain.jobs_table import JobFacts, JobsTable
from domain.pace import TENTHS, Pace, gone_at, learnt, prior, stage_left, units
from tests.support.cloud import Cloud, invoke
from tests.support.events import sample_event

AT = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
# Elapsed seconds at every 100th of 2,000 training steps, on two cores (report.json, "trainingCurve"): a real beach,
# then the project's sample, which shared the machine and compiled its kernels in the first steps.
BEACH = (
    1.3,
    2.4,
    3.5,
    4.7,
    7.3,
    10.0,
    12.9,
    16.3,
    19.9,
    23.1,
    26.8,
    30.3,
    38.0,
    45.4,
    52.5,
    59.6,
    66.5,
    74.0,
    81.1,
    88.3,
)
SAMPLE = (
    16.8, 19.1, 21.5, 23.8, 28.8, 33.6, 38.7, 44.2, 49.5, 55.0, 61.4, 68.7, 84.6, 100.1, 115.2, 129.8, 143.4, 157.4,
    171.3, 184.9,
)  # fmt: skip


def recorded(cloud: Cloud, job_id: str, photos: int = 20) -> None:
    upload = UploadedObject(bucket="b", key="meadow.zip", version_id="v", etag="e")
    job = job_of(upload, job_id, JobOptions(), AT)
    JobsTable(cloud.table("jobs")).record(job, JobFacts(photos=photos))


def tell(
    job_id: str,
    kind: str,
    seconds: float,
    progress: float = 0.0,
    *,
    stage: Stage = Stage.TRAINING,
    attempt: int = 1,
    **metrics: Any,
) -> None:
    event = sample_event(f"status/{kind}")
    sequence = {
        "stage-started": started_sequence(stage, attempt),
        "stage-progressed": progress_sequence(stage, attempt, progress),
        "stage-succeeded": succeeded_sequence(stage),
    }[kind]
    at = (AT + timedelta(seconds=seconds)).isoformat()
    common = {"jobId": job_id, "stage": stage, "attempt": attempt, "sequence": sequence, "at": at, "progress": progress}
    event["detail"] |= {**common, "metrics": metrics}
    invoke("track_progress", event)


def train(cloud: Cloud, job_id: str, curve: tuple[float, ...]) -> list[tuple[float, float]]:
    """Replays a training by its curve: (share of its time elapsed, relative error of its estimated length) at each
    event."""
    recorded(cloud, job_id)
    tell(job_id, "stage-started", 0)
    tell(job_id, "stage-progressed", 1, 0.05, steps=2000, gaussians=80_000)
    errors = []
    end = curve[-1] + 4
    for index, seconds in enumerate(curve):
        tell(job_id, "stage-progressed", 1 + seconds, 0.05 + 0.88 * (index + 1) / 20, steps=2000, gaussians=80_000)
        left = seconds_left_of_stage(cloud, job_id, 1 + seconds)
        errors.append((seconds / end, abs(1 + seconds + left - end) / end))
    tell(job_id, "stage-succeeded", end, 1.0, steps=2000, gaussians=80_000)
    return errors


def seconds_left_of_stage(cloud: Cloud, job_id: str, now: float, waited: float = 1) -> float:
    """Seconds left in training, whose machine was `waited` for; those of the compressor are its first estimate."""
    item = cloud.item(job_id)
    assert item is not None
    ends = {stage: (datetime.fromisoformat(eta) - AT).total_seconds() for stage, eta in item["etas"].items()}
    pace = prior(Stage.COMPRESSOR, Quality.STANDARD)
    assert ends["compressor"] - ends["3dgs"] == pytest.approx(waited + pace.per_unit * 80_000)
    return ends["3dgs"] - now


def test_from_mid_stage_on_the_estimate_is_within_a_quarter_also_where_nothing_was_learnt(cloud: Cloud) -> None:
    errors = train(cloud, "first", SAMPLE)
    assert max(error for gone, error in errors if gone >= 0.5) < 0.25
    # half of the progress is reached well before half of the time
    assert max(error for _, error in errors[9:]) < 0.25


def test_what_one_scene_taught_holds_for_the_next(cloud: Cloud) -> None:
    train(cloud, "beach", BEACH)
    errors = train(cloud, "sample", SAMPLE)
    assert max(error for _, error in errors[9:]) < 0.25
    straight = max(abs(1 - (seconds / ((i + 1) / 20)) / SAMPLE[-1]) for i, seconds in enumerate(SAMPLE) if i >= 9)
    assert straight > 0.35, "a straight line would do as well"


def test_a_stage_that_ended_before_its_first_report_is_no_sample(cloud: Cloud) -> None:
    recorded(cloud, "silent")
    tell("silent", "stage-started", 0)
    tell("silent", "stage-succeeded", 5, 1.0)
    assert cloud.table("pace").scan()["Items"] == []


def test_hours_without_a_machine_are_learnt_as_waiting_and_not_as_work(cloud: Cloud) -> None:
    recorded(cloud, "queued")
    tell("queued", "stage-started", 0)
    tell("queued", "stage-progressed", 1, 0.0)
    tell("queued", "stage-progressed", 7200, 0.001)
    tell("queued", "stage-progressed", 7300, 0.5, steps=2000)
    tell("queued", "stage-succeeded", 7400, 1.0, steps=2000)
    (item,) = cloud.table("pace").scan()["Items"]
    pace = Pace.model_validate_json(item["learnt"])
    assert (pace.waiting, pace.per_unit * 2000) == pytest.approx((7200, 200))


def lose_machine(cloud: Cloud, job_id: str) -> None:
    """Plays a training of 2,000 seconds that loses its machine at 80 %, and its next attempt's wait of a minute."""
    recorded(cloud, job_id)
    tell(job_id, "stage-started", 0)
    tell(job_id, "stage-progressed", 60, 0.01, steps=2000, gaussians=80_000)
    for tenth in range(1, 9):
        tell(job_id, "stage-progressed", 60 + 200 * tenth, tenth / 10, steps=2000, gaussians=80_000)
    tell(job_id, "stage-started", 1700, attempt=2, steps=2000, gaussians=80_000)
    tell(job_id, "stage-progressed", 1760, 0.01, attempt=2, steps=2000, gaussians=80_000)


def test_an_attempt_that_continued_from_a_checkpoint_teaches_no_pace(cloud: Cloud) -> None:
    lose_machine(cloud, "resumed")
    pace = prior(Stage.TRAINING, Quality.STANDARD)
    for seconds, progress in ((1790, 0.81), (1970, 0.9)):
        tell("resumed", "stage-progressed", seconds, progress, attempt=2, steps=2000, gaussians=80_000)
        left = seconds_left_of_stage(cloud, "resumed", seconds, waited=60)
        assert left == pytest.approx((1 - gone_at(pace, progress)) * pace.per_unit * 2000)
    tell("resumed", "stage-succeeded", 2160, 1.0, attempt=2, steps=2000, gaussians=80_000)
    assert cloud.table("pace").scan()["Items"] == []
    assert seconds_left_of_stage(cloud, "resumed", 2160, waited=60) == 0


def test_an_attempt_that_began_again_teaches_its_pace(cloud: Cloud) -> None:
    """After OUT_OF_MEMORY, with half of the Gaussians."""
    lose_machine(cloud, "halved")
    for tenth in range(1, 10):
        tell("halved", "stage-progressed", 1760 + 100 * tenth, tenth / 10, attempt=2, steps=2000)
    tell("halved", "stage-succeeded", 2760, 1.0, attempt=2, steps=2000)
    (item,) = cloud.table("pace").scan()["Items"]
    pace = Pace.model_validate_json(item["learnt"])
    assert (pace.waiting, pace.per_unit * 2000) == pytest.approx((60, 1000))


def test_the_same_end_reported_twice_is_one_sample(cloud: Cloud) -> None:
    train(cloud, "twice", BEACH)
    before = cloud.table("pace").scan()["Items"]
    tell("twice", "stage-succeeded", BEACH[-1] + 9, 1.0, steps=2000)
    assert cloud.table("pace").scan()["Items"] == before


@pytest.mark.parametrize(
    ("stage", "counts", "work"),
    [
        (Stage.TRAINING, {"steps": 30_000, "gaussians": 1_500_000}, 30_000),
        (Stage.SFM, {"photos": 500, "usable": 480}, 500),  # of a film, whose photos nobody could count before
    ],
)
def test_the_work_of_a_stage_is_what_its_result_counts(
    cloud: Cloud, stage: Stage, counts: dict[str, int], work: int
) -> None:
    recorded(cloud, "counted", photos=0)
    tell("counted", "stage-started", 0, stage=stage)
    tell("counted", "stage-progressed", 30, 0.05, stage=stage)
    tell("counted", "stage-succeeded", 1830, 1.0, stage=stage, **event_metrics(counts, {"psnr": 24.0}))
    (item,) = cloud.table("pace").scan()["Items"]
    pace = Pace.model_validate_json(item["learnt"])
    assert (pace.usual, pace.per_unit) == pytest.approx((work, 1800 / work))


def test_the_compressors_work_is_the_gaussians_that_were_trained(cloud: Cloud) -> None:
    recorded(cloud, "large")
    tell("large", "stage-succeeded", 1800, 1.0, **event_metrics({"steps": 9000, "gaussians": 1_500_000}, {}))
    item = JobItem.of(cloud.item("large") or {})
    assert units(Stage.COMPRESSOR, item, prior(Stage.COMPRESSOR, Quality.HIGH)) == 1_500_000


def test_work_that_is_not_reported_yet_is_what_earlier_jobs_had(cloud: Cloud) -> None:
    train(cloud, "first", SAMPLE)
    (item,) = cloud.table("pace").scan()["Items"]
    assert units(Stage.TRAINING, JobItem(job_id="a"), Pace.model_validate_json(item["learnt"])) == 2000
    assert units(Stage.TRAINING, JobItem(job_id="a", training_steps=300), prior(Stage.TRAINING, Quality.HIGH)) == 300
    assert units(Stage.SFM, JobItem(job_id="a", photos=0), prior(Stage.SFM, Quality.HIGH)) == 100


def test_a_better_quality_is_foreseen_to_take_longer() -> None:
    work = [units(Stage.TRAINING, JobItem(job_id="a"), prior(Stage.TRAINING, quality)) for quality in Quality]
    assert work == sorted(set(work))


def test_where_no_wait_was_learnt_the_next_stage_is_awaited_as_long_as_this_one_was(cloud: Cloud) -> None:
    recorded(cloud, "patient")
    tell("patient", "stage-started", 0)
    tell("patient", "stage-progressed", 300, 0.05, steps=2000, gaussians=80_000)
    item = cloud.item("patient")
    assert item is not None
    ends = [datetime.fromisoformat(item["etas"][stage]) for stage in ("3dgs", "compressor")]
    pace = prior(Stage.COMPRESSOR, Quality.STANDARD)
    assert (ends[1] - ends[0]).total_seconds() == pytest.approx(300 + pace.per_unit * 80_000)


def test_an_old_event_does_not_set_the_estimate_back(cloud: Cloud) -> None:
    train(cloud, "late", BEACH)
    item = cloud.item("late")
    assert item is not None
    tell("late", "stage-progressed", 20, 0.3)
    again = cloud.item("late")
    assert again is not None
    assert again["etas"] == item["etas"]


def test_an_event_of_a_job_not_yet_recorded_is_no_fault(cloud: Cloud) -> None:
    tell("unknown", "stage-started", 0)
    item = cloud.item("unknown")
    assert item is not None
    assert "etas" not in item


paces = st.builds(
    lambda waiting, per_unit, steps: Pace(
        waiting=waiting,
        per_unit=per_unit,
        usual=1,
        gone=(0.0, *(sum(steps[:i]) / sum(steps) for i in range(1, 10)), 1.0),
    ),
    st.floats(0, 600),
    st.floats(1e-6, 100),
    st.lists(st.floats(0.01, 1), min_size=TENTHS, max_size=TENTHS),
)


@given(paces, st.floats(0, 1), st.floats(0, 1))
def test_time_runs_with_progress(pace: Pace, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0 <= gone_at(pace, low) <= gone_at(pace, high) <= 1


@given(paces, st.floats(1, 1e5), st.floats(0.5, 1))
def test_a_stage_that_keeps_the_pace_is_foreseen_exactly(pace: Pace, work: float, progress: float) -> None:
    total = pace.per_unit * work
    gone = gone_at(pace, progress)
    assert stage_left(pace, work, progress, gone * total) == pytest.approx((1 - gone) * total, rel=1e-6, abs=1e-9)


@given(paces, st.floats(1, 1e4), st.floats(1, 1e5), st.dictionaries(st.integers(1, 9), st.floats(0, 1e4)))
def test_what_was_learnt_is_a_pace_again(pace: Pace, seconds: float, work: float, marks: dict[int, float]) -> None:
    after = learnt(pace, 10, seconds, work, marks)
    assert all(later >= earlier - 1e-12 for earlier, later in pairwise(after.gone))
    assert (after.gone[0], after.runs) == (0.0, 1)
    assert after.gone[-1] == pytest.approx(1)
    assert after.per_unit == pytest.approx(seconds / work)


@pytest.mark.parametrize("seconds", [0.0, -2.0])
def test_a_run_that_took_no_time_teaches_nothing(seconds: float) -> None:
    known = Pace(waiting=30, per_unit=1.0, usual=100, runs=5)
    assert learnt(known, 30, seconds, 100, {5: 0.0}) == known


def test_one_odd_run_moves_what_was_learnt_by_less_than_a_third_and_three_like_it_by_more_than_half() -> None:
    known = Pace(waiting=30, per_unit=1.0, usual=100, runs=5)
    once = learnt(known, 30, 1000, 100, {})  # ten times as slow as all before
    assert 1.0 < once.per_unit < 1.0 + 9 / 3
    thrice = learnt(learnt(once, 30, 1000, 100, {}), 30, 1000, 100, {})
    assert thrice.per_unit > 1.0 + 9 / 2
