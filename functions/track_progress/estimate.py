"""Predict when a job will be done. Every event of a stage is a sample of its pace; its end updates the pace."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from contract.events import StatusType
from contract.options import DEFAULT_QUALITY, Quality
from contract.stages import Stage
from domain.job_item import ItemUpdate, JobItem, moment_name
from domain.jobs_table import JobsTable
from domain.pace import TENTHS, Pace, PaceTable, learnt, left_until_ends, stage_left, units
from domain.status import StatusDetail, StatusEvent


class Estimator:
    """`machines`: the instance type of each stage and quality, since a pace is a machine's."""

    def __init__(self, jobs: JobsTable, paces: PaceTable, machines: Mapping[Stage, Mapping[Quality, str]]) -> None:
        self._jobs, self._paces, self._machines = jobs, paces, machines

    def follow(self, event: StatusEvent) -> None:
        """Write `etas`, the ends of the current stage and of those after it, as news of this event has them; learn
        from a stage that ended well."""
        detail = event.detail
        if detail.stage is None or event.type is StatusType.STAGE_FAILED:
            return
        item = self._jobs.mark(detail.job_id, moments(event))
        if item.pipeline_step is None:  # the event arrived before the job was recorded
            return
        quality = Quality(item.quality or DEFAULT_QUALITY)
        stages = item.pipeline_step.stages
        paces = {stage: self._paces.read(stage, self._machines[stage][quality], quality) for stage in stages}
        began, asked = _since(item, detail, "Began"), _since(item, detail, "Asked")
        if began is not None and asked is not None:
            # instance types without samples are assumed to start as fast as this one
            paces = {stage: pace.expecting(asked - began) for stage, pace in paces.items()}
        left = left_until_ends(stages, detail.stage, left_in(event, item, paces[detail.stage]), paces, item)
        etas = {stage.value: (detail.at + timedelta(seconds=seconds)).isoformat() for stage, seconds in left.items()}
        self._jobs.apply(
            detail.job_id, [ItemUpdate(guard="etaSequence", values={"etaSequence": detail.sequence, "etas": etas})]
        )
        if event.type is StatusType.STAGE_SUCCEEDED and (sample := sample_of(detail, item)):
            pace = learnt(paces[detail.stage], work=units(detail.stage, item, paces[detail.stage]), **sample)
            self._paces.write(detail.stage, self._machines[detail.stage][quality], quality, pace)


def moments(event: StatusEvent) -> dict[str, str]:
    """The moments of its attempt that an event reports: asked for, at work, at a tenth, ended."""
    detail = event.detail
    assert detail.stage is not None
    if event.type is StatusType.STAGE_STARTED:
        names = ["Asked"]
    elif event.type is StatusType.STAGE_PROGRESSED:
        tenth = int(detail.progress * TENTHS)
        names = ["Began", *([f"At{tenth}"] if 0 < tenth < TENTHS else [])]
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
    return stage_left(pace, work, detail.progress, _since(item, detail, "Began") or 0.0)


def sample_of(detail: StatusDetail, item: JobItem) -> dict[str, Any] | None:
    """None for a stage that reported no progress, or whose end was reported before."""
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
