"""How long a job that has not begun is likely to take, estimated from earlier jobs."""

from __future__ import annotations

from collections.abc import Mapping

from contract.options import DEFAULT_QUALITY, Quality
from contract.stages import PipelineStep, Stage
from domain.job_item import JobItem
from domain.pace import PaceTable, in_words, whole_job


class Expectation:
    """`machines`: the instance type of each stage and quality, since a pace is a machine's."""

    def __init__(self, paces: PaceTable, machines: Mapping[Stage, Mapping[Quality, str]]) -> None:
        self._paces, self._machines = paces, machines

    def of(self, item: JobItem) -> str | None:
        """A range in words; None for a job of which nothing was recorded, and for one that reuses earlier results."""
        if item.pipeline_step is None or item.rerun_of is not None:
            return None
        return in_words(*self._seconds(item, item.pipeline_step, Quality(item.quality or DEFAULT_QUALITY)))

    def of_each_quality(self, step: PipelineStep, photos: int | None) -> dict[Quality, tuple[float, float]]:
        """Seconds, the least and the most, of a job that nobody has sent yet; None: of as many photos as most have."""
        item = JobItem(job_id="", pipeline_step=step, photos=photos)
        return {quality: self._seconds(item, step, quality) for quality in Quality}

    def _seconds(self, item: JobItem, step: PipelineStep, quality: Quality) -> tuple[float, float]:
        paces = {stage: self._paces.read(stage, self._machines[stage][quality], quality) for stage in step.stages}
        return whole_job(step.stages, paces, item)
