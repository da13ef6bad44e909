"""Predict when a job will be done, from every event of a stage; the end of a stage updates its learnt pace."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from math import exp, log
from typing import Any

from contract.events import StatusType
from contract.options import DEFAULT_QUALITY, Quality
from contract.stages import Stage
from domain.block_progress import BlocksSoFar
from domain.job_item import ItemUpdate, JobItem, moment_name
from domain.pace import (
    MAX_SPEED_FACTOR,
    TENTHS,
    Pace,
    PaceTable,
    blocks_of,
    gone_at,
    learnt,
    left_until_ends,
    prior,
    spread_of,
    stage_left,
    units,
)
from domain.status import StatusDetail, StatusEvent

OTHER_MACHINE = 0.7  # exponent for applying a speed observed on one type of machine to another type


class Estimator:
    """`machines`: the instance type of each stage and quality, because each type has its own pace."""

    def __init__(self, paces: PaceTable, machines: Mapping[Stage, Mapping[Quality, str]]) -> None:
        self._paces, self._machines = paces, machines

    def estimate(self, event: StatusEvent, item: JobItem, blocks: BlocksSoFar | None = None) -> ItemUpdate | None:
        """The expected ends (`etas`) of the current stage and the later ones after this event; None if it allows no
        estimate. `item`: with the event and its moments applied; `blocks`: for an event about a block of a large
        flight."""
        detail = event.detail
        if detail.stage is None or event.type is StatusType.STAGE_FAILED:
            return None
        if item.pipeline_step is None:  # the event arrived before the job was recorded
            return None
        quality = Quality(item.quality or DEFAULT_QUALITY)
        stages = item.pipeline_step.stages
        paces = self._adjusted(item, detail, quality)
        pace = paces[detail.stage]
        if blocks is None:
            own = left_in(event, item, pace)
        else:
            own = blocks.seconds_left(pace, units(detail.stage, item, pace), detail.at)
        left = left_until_ends(stages, detail.stage, own, paces, item)
        etas = {stage.value: (detail.at + timedelta(seconds=seconds)).isoformat() for stage, seconds in left.items()}
        total = left[stages[-1]]
        gone = 0.0 if item.started_at is None else max(0.0, (detail.at - item.started_at).total_seconds())
        spread = spread_of([paces[stage] for stage in left], total / max(total + gone, 1e-9))
        values = {"etaSequence": detail.sequence, "etas": etas, "etaSpread": round(spread, 3)}
        return ItemUpdate(guard="etaSequence", values=values)

    def learn(self, event: StatusEvent, item: JobItem) -> None:
        """Update the pace of a stage that has succeeded."""
        detail = event.detail
        if event.type is not StatusType.STAGE_SUCCEEDED or detail.stage is None or item.pipeline_step is None:
            return
        if sample := sample_of(detail, item):
            quality = Quality(item.quality or DEFAULT_QUALITY)
            known = self._adjusted(item, detail, quality)[detail.stage]
            pace = learnt(known, work=units(detail.stage, item, known), **sample)
            self._paces.write(detail.stage, self._machines[detail.stage][quality], quality, pace)

    def _adjusted(self, item: JobItem, detail: StatusDetail, quality: Quality) -> dict[Stage, Pace]:
        """The paces of the job's stages, adjusted by what the job has shown so far."""
        assert item.pipeline_step is not None
        stages = item.pipeline_step.stages
        paces = {stage: self._paces.read(stage, self._machines[stage][quality], quality) for stage in stages}
        began, asked = _since(item, detail, "Began"), _since(item, detail, "Asked")
        if began is not None and asked is not None:
            # instance types without samples are assumed to start as fast as this one
            paces = {stage: pace.expecting(asked - began) for stage, pace in paces.items()}
        return self._at_speed(paces, item, quality)

    def _at_speed(self, paces: dict[Stage, Pace], item: JobItem, quality: Quality) -> dict[Stage, Pace]:
        """Scale paces that were not learnt by the speed of the job's finished stages, compared with their priors."""
        adjusted = {}
        for stage, pace in paces.items():
            seen = [
                log(found)
                * (1.0 if self._machines[other][quality] == self._machines[stage][quality] else OTHER_MACHINE)
                for other in paces
                if other is not stage and (found := speed_factor(other, item, quality)) is not None
            ]
            adjusted[stage] = pace.at_speed(exp(sum(seen) / len(seen))) if seen else pace
        return adjusted


def speed_factor(stage: Stage, item: JobItem, quality: Quality) -> float | None:
    """The ratio of the time that a finished stage of the job took to its prior; None if it is not known."""
    reported = item.stages.get(stage)
    if reported is None or reported.status is not StatusType.STAGE_SUCCEEDED:
        return None
    if stage is Stage.TRAINING and blocks_of(item) > 1:  # blocks ran side by side
        return None
    attempt = reported.attempt or 1
    if resumed(item, stage, attempt):
        return None
    began, ended = (item.moment(stage, attempt, moment) for moment in ("Began", "Ended"))
    if began is None or ended is None:
        return None
    guess = prior(stage, quality)
    factor = (ended - began).total_seconds() / (guess.per_unit * units(stage, item, guess))
    return min(max(factor, 1 / MAX_SPEED_FACTOR), MAX_SPEED_FACTOR)


def resumed(item: JobItem, stage: Stage, attempt: int) -> bool:
    """Whether the attempt continued from a checkpoint, so that its time says nothing about a whole stage. Its first
    report of training then skips tenths; an attempt that starts afresh, as after OUT_OF_MEMORY, reports each of them.
    """
    reached = [tenth for tenth in range(1, TENTHS) if item.moment(stage, attempt, f"At{tenth}") is not None]
    return attempt > 1 and min(reached, default=TENTHS) > 1


def moments(event: StatusEvent) -> dict[str, str]:
    """The moments of an attempt that an event reports, by attribute: asked for, at work, at a tenth, ended."""
    detail = event.detail
    if detail.stage is None or event.type is StatusType.STAGE_FAILED:
        return {}
    if event.type is StatusType.STAGE_STARTED:
        names = ["Asked"]
    elif event.type is StatusType.STAGE_PROGRESSED:
        tenth = int(detail.progress * TENTHS)
        began = ["Began"] if detail.at_work else []
        names = [*began, *([f"At{tenth}"] if 0 < tenth < TENTHS else [])]
    else:
        names = ["Ended"]
    return {moment_name(detail.stage, detail.attempt or 1, name): detail.at.isoformat() for name in names}


def left_in(event: StatusEvent, item: JobItem, pace: Pace) -> float:
    """Seconds left in the event's own stage."""
    detail = event.detail
    assert detail.stage is not None
    if event.type is StatusType.STAGE_SUCCEEDED:
        return 0.0
    work = units(detail.stage, item, pace)
    if event.type is StatusType.STAGE_STARTED:
        return pace.waiting + pace.per_unit * work
    if resumed(item, detail.stage, detail.attempt or 1):
        return (1 - gone_at(pace, detail.progress)) * pace.per_unit * work
    return stage_left(pace, work, detail.progress, _since(item, detail, "Began") or 0.0)


def sample_of(detail: StatusDetail, item: JobItem) -> dict[str, Any] | None:
    """The arguments of `learnt` from a stage's end; None if the attempt reported no progress or continued from a
    checkpoint, or its end was reported before."""
    assert detail.stage is not None
    if resumed(item, detail.stage, detail.attempt or 1):
        return None
    seconds, waited = _since(item, detail, "Began"), _since(item, detail, "Asked")
    began = _at(item, detail, "Began")
    if not seconds or waited is None or began is None or _at(item, detail, "Ended") != detail.at:
        return None
    reached = {tenth: _at(item, detail, f"At{tenth}") for tenth in range(1, TENTHS)}
    marks = {tenth: (at - began).total_seconds() for tenth, at in reached.items() if at is not None}
    return {"waited": waited - seconds, "seconds": seconds, "marks": marks}


def _at(item: JobItem, detail: StatusDetail, moment: str) -> datetime | None:
    assert detail.stage is not None
    return item.moment(detail.stage, detail.attempt or 1, moment)


def _since(item: JobItem, detail: StatusDetail, moment: str) -> float | None:
    at = _at(item, detail, moment)
    return None if at is None else (detail.at - at).total_seconds()
