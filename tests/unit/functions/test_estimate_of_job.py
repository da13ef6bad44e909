"""One estimate for the whole job: after a fifth of its time, it is within a quarter of the truth, even for the first
job."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from api.views import view_of
from contract.events import progress_sequence, started_sequence, succeeded_sequence
from contract.options import Quality
from contract.stages import Stage
from domain.job import JobOptions, UploadedObject, job_of
from domain.job_item import JobItem
from domain.jobs_table import JobFacts, JobsTable
from domain.pace import prior
from tests.support.cloud import Cloud, invoke
from tests.support.events import sample_event

AT = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
PHOTOS, STEPS, GAUSSIANS = 40, 2000, 80_000
WORK = {Stage.SFM: PHOTOS, Stage.TRAINING: STEPS, Stage.COMPRESSOR: GAUSSIANS}
WAIT = 5.0


def tell(job_id: str, kind: str, stage: Stage, seconds: float, sequence: int, progress: float, **more: Any) -> None:
    event = sample_event(f"status/{kind}")
    at = (AT + timedelta(seconds=seconds)).isoformat()
    event["detail"] |= {
        "jobId": job_id, "stage": stage, "attempt": 1, "sequence": sequence, "at": at, "progress": progress,
        "metrics": {}, **more,
    }  # fmt: skip
    invoke("track_progress", event)


def play(cloud: Cloud, job_id: str, slower: float, shares: tuple[float, ...]) -> list[tuple[float, float]]:
    """Replays a job whose stages take `slower` times the first estimate, unevenly by `shares`: (share of its time
    elapsed, relative error of its estimated end) after each event."""
    upload = UploadedObject(bucket="b", key=f"{job_id}.zip", version_id="v", etag="e")
    job = job_of(upload, job_id, JobOptions(), AT)
    JobsTable(cloud.table("jobs"), clock=AT.timestamp).record(job, JobFacts(photos=PHOTOS))
    seconds = {}
    for (stage, work), share in zip(WORK.items(), shares, strict=True):
        seconds[stage] = prior(stage, Quality.STANDARD).per_unit * work * slower * share
    end = sum(seconds.values()) + WAIT * len(seconds)
    now, errors = 0.0, []
    for stage, taken in seconds.items():
        gone = prior(stage, Quality.STANDARD).gone
        tell(job_id, "stage-started", stage, now, started_sequence(stage, 1), 0)
        now += WAIT
        facts = {"metrics": {"steps": STEPS, "gaussians": GAUSSIANS}} if stage is Stage.TRAINING else {}
        for tenth in range(11):
            at, progress = now + taken * gone[tenth], tenth / 10 or 0.001  # as `stage_begun` reports it
            if tenth < 10:
                tell(job_id, "stage-progressed", stage, at, progress_sequence(stage, 1, progress), progress, **facts)
            else:
                tell(job_id, "stage-succeeded", stage, at, succeeded_sequence(stage), 1, **facts)
            errors.append((at / end, error(cloud, job_id, at, end)))
        now += taken
    return [found for found in errors if found[0] < 1]


def error(cloud: Cloud, job_id: str, now: float, end: float) -> float:
    item = JobItem.of(cloud.item(job_id) or {})
    moment = AT + timedelta(seconds=now)
    view = view_of(item, lambda _job, _uris, _title: {}, {}, moment, moment)
    assert view.seconds_left is not None
    assert view.time_left is not None
    assert view.time_left.low <= view.seconds_left <= view.time_left.high + 0.5
    return abs(now + view.seconds_left - end) / end


def worst(errors: list[tuple[float, float]]) -> float:
    """The largest error after a fifth of the job's time."""
    return max(error for gone, error in errors if gone >= 0.2)


def test_the_first_job_of_a_quick_machine_is_foreseen_within_a_quarter_from_a_fifth_on(cloud: Cloud) -> None:
    assert worst(play(cloud, "first", 0.5, (1.0, 1.0, 1.0))) <= 0.25


def test_so_are_that_of_a_slow_machine_and_the_next_one_of_another_scene(cloud: Cloud) -> None:
    assert worst(play(cloud, "first", 2.5, (1.0, 1.0, 1.0))) <= 0.25
    learnt = cloud.table("pace").scan()["Items"]
    for name, shares in (("second", (1.3, 0.8, 1.0)), ("third", (0.7, 1.2, 1.4))):
        for item in learnt:  # so that each comes directly after the first
            cloud.table("pace").put_item(Item=item)
        assert worst(play(cloud, name, 2.5, shares)) <= 0.25


def test_a_stage_that_stands_still_never_leaves_less_than_the_stages_after_it_take(cloud: Cloud) -> None:
    assert worst(play(cloud, "first", 1.0, (1.0, 1.0, 1.0))) <= 0.25
    upload = UploadedObject(bucket="b", key="slow.zip", version_id="v", etag="e")
    job = job_of(upload, "slow", JobOptions(), AT)
    JobsTable(cloud.table("jobs"), clock=AT.timestamp).record(job, JobFacts(photos=PHOTOS))
    tell("slow", "stage-started", Stage.SFM, 0, started_sequence(Stage.SFM, 1), 0)
    tell("slow", "stage-progressed", Stage.SFM, WAIT, progress_sequence(Stage.SFM, 1, 0.1), 0.1)
    later = sum(prior(stage, Quality.STANDARD).per_unit * WORK[stage] for stage in (Stage.TRAINING,))
    view = view_of(JobItem.of(cloud.item("slow") or {}), lambda *_: {}, {}, AT + timedelta(hours=3), AT)
    assert view.seconds_left is not None
    assert view.seconds_left >= later
